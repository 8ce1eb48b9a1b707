"""What a search has found, in a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmio import app
from vmio.bench.statistics import paired_ratio
from vmio.qemu.boot import Boot
from vmio.report.tuning.words import describe_task, summarise_tuning
from vmio.tune.result import Tried, Tuning
from vmio.values import replace

ROOT = Path(__file__).parents[4]
WINNER = Tried(layout="shared", setting="poll_max_ns=0", ratio=1.7, pairs=12, stage="settings")


@pytest.fixture(scope="module")
def task() -> app.TuneTask:
    """A search that nobody has begun."""
    guest = app.open_guest(str(ROOT / "examples" / "701.conf"))
    return app.prepare_tune(guest, guest.context.host, jobs=["iodepth=8"])


@pytest.fixture
def tuning(task: app.TuneTask) -> Tuning:
    """The search before its first trial."""
    return app.make_tuner(task, Boot(binary="qemu", accelerator="tcg")).summarise()


def test_task_is_described_with_its_longest_time(task: app.TuneTask) -> None:
    """Layouts, settings, objective, boots, pairs and time are named before anything starts."""
    words = describe_task(task)
    assert words.startswith("4 layouts with 22 settings in all, by iops of randread-4k-qd8: up to")
    assert f"{len(task.trials)} boots" in words


@pytest.mark.parametrize(
    ("ratios", "words"),
    [
        ((1.4, 1.5, 1.6, 1.5), "Use shared with poll_max_ns=0: 1.50 times as good as the guest"),
        ((0.4, 0.5, 0.6, 0.5), "Keep what you have: shared with poll_max_ns=0 won, but was only"),
        ((1.0, 1.01, 0.99, 1.0), "makes no difference that matters: 1.00 times as good"),
        ((0.5, 1.5, 2.0, 1.0), "whether it is better cannot be told: 1.11 times as good"),
    ],
)
def test_result_follows_from_the_fresh_pairs_alone(
    ratios: tuple[float, ...], words: str, tuning: Tuning
) -> None:
    """A winner with 1.7 in the race is recommended only if its fresh pairs show it, too."""
    found = replace(
        tuning,
        finished=True,
        tried=(WINNER,),
        winner=WINNER,
        confirmed=paired_ratio([(1.0, ratio) for ratio in ratios]),
    )
    assert words in summarise_tuning(found)
    assert summarise_tuning(found).endswith("in 4 fresh pairs.")
    assert found.better == (words.startswith("Use"))


def test_result_without_a_winner_is_to_keep_what_there_is(tuning: Tuning) -> None:
    """Nothing better, or nothing confirmed, is no reason to change a guest."""
    finished = replace(tuning, finished=True)
    assert summarise_tuning(finished) == "Keep what you have: nothing that was tried is better."
    failed = replace(finished, tried=(WINNER,), winner=WINNER)
    assert summarise_tuning(failed).startswith("Keep what you have: shared")
    assert "failed when it was measured again" in summarise_tuning(failed)


def test_ended_search_names_the_best_so_far(tuning: Tuning) -> None:
    """What is not confirmed is said to be so."""
    assert summarise_tuning(tuning).endswith("nothing is known yet.")
    words = summarise_tuning(replace(tuning, tried=(WINNER,), trials=3))
    assert "the best so far is shared with poll_max_ns=0, at 1.70 times" in words
    assert words.endswith("which is not confirmed.")
    worse = replace(tuning, tried=(replace(WINNER, ratio=0.2),), trials=3)
    assert "nothing is better than the guest as it is so far" in summarise_tuning(worse)
