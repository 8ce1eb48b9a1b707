"""Holds the search of `vmio tune` against an exhaustive grid of layouts and live settings.

    tune.py record FILE [--pairs 4] [--job JOB]    measures every layout with every setting
    tune.py judge FILE                             searches it, a hundred times, without a guest
    tune.py search FILE                            searches it once more, on real guests

The grid is the space of `vmio tune examples/701.conf --vary threads --vary aio --vary polling`,
with four settings of each IOThread. `record` continues FILE if it exists. `judge` takes the means
of the recorded gains as the truth, adds noise of 5 and 10 % to each pair, and prints how often the
search finds a setting within 5 % of the best, and with how many of the grid's pairs. `search`
prints where the winner of a new search stands in the grid.
"""

from __future__ import annotations

import argparse
import math
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from vmio import app
from vmio.guest.image import ensure_image
from vmio.qemu.boot import Boot
from vmio.qemu.signals import run_async
from vmio.tune.journal import TrialResult, open_journal
from vmio.tune.search import Arm, Effort, Found, Trial, search
from vmio.tune.space import AS_BOOTED, LiveSetting, digest_space
from vmio.tune.tuner import Tuner, TuneTask
from vmio.values import replace

CONFIG: Final = Path(__file__).parents[1] / "examples/701.conf"
JOB: Final = "name=qd8,rw=randread,bs=4k,iodepth=8,runtime=0.3,ramp=0.1"
SETTINGS: Final = (
    AS_BOOTED,
    LiveSetting(poll_max_ns=0),
    LiveSetting(poll_max_ns=131_072),
    LiveSetting(poll_max_ns=1_000_000),
)
GRID_PAIRS: Final = 8
"""Pairs of an exhaustive grid for each of its points: as many as `vmio bench` measures."""
SEEDS: Final = 100


def main() -> None:
    """Records, judges or searches."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("what", choices=["record", "judge", "search"])
    parser.add_argument("file", type=Path)
    parser.add_argument("--pairs", type=int, default=4)
    parser.add_argument("--job", default=JOB)
    given = parser.parse_args()
    task = make_task(given.job)
    if given.what == "record":
        run_async(record(task, given.file, given.pairs))
    elif given.what == "judge":
        judge(task, read_grid(task, given.file, given.pairs))
    else:
        run_async(search_again(task, read_grid(task, given.file, given.pairs)))


def make_task(job: str) -> TuneTask:
    """Returns the search, with the grid's settings."""
    guest = app.open_guest(str(CONFIG))
    task = app.prepare_tune(
        guest,
        guest.context.host,
        vary=("threads", "aio", "polling"),
        jobs=[job],
        scratch="64M",
    )
    candidates = tuple(
        replace(each, settings=SETTINGS if len(each.settings) > 1 else each.settings)
        for each in task.candidates
    )
    return replace(task, candidates=candidates, effort=Effort(pairs=1))


def make_boot(task: TuneTask) -> Boot:
    """Returns how guests are booted."""
    image = ensure_image(controllers=task.controllers)
    how, _ = app.choose_boot(
        kernel=str(image.kernel),
        initrd=str(image.initrd),
        append=image.append,
        memory_mib=app.BENCH_MEMORY_MIB,
    )
    return how


def list_trials(task: TuneTask, pairs: int) -> tuple[Trial, ...]:
    """Returns one trial for each layout, its settings mixed."""
    mixed = random.Random(0)  # noqa: S311 - no secret
    trials = []
    for layout, count in enumerate(task.counts):
        settings = [*range(count)] * pairs
        mixed.shuffle(settings)
        trials.append(
            Trial(number=layout, stage="settings", layout=layout, settings=tuple(settings))
        )
    return tuple(trials)


def digest(task: TuneTask, pairs: int) -> str:
    """Returns what a recording has to be of."""
    return digest_space(task.candidates, task.disk, task.jobs, task.scratch_bytes, pairs)


async def record(task: TuneTask, path: Path, pairs: int) -> None:
    """Measures each point of the grid, or what a recording lacks of it."""
    tuner = Tuner(task, make_boot(task))
    with open_journal(path, digest(task, pairs)) as journal:
        for trial in list_trials(task, pairs)[len(journal.results) :]:
            print(f"{trial.number + 1} of {len(task.candidates)}", flush=True)
            journal.append(await tuner.measure(trial))


def read_grid(task: TuneTask, path: Path, pairs: int) -> Mapping[Arm, float]:
    """Returns the mean gain of each point, that of the guest as it is being zero."""
    gains: dict[Arm, list[float]] = {}
    with open_journal(path, digest(task, pairs)) as journal:
        results: Sequence[TrialResult] = journal.results
    for trial, result in zip(list_trials(task, pairs), results, strict=True):
        for setting, pair in zip(trial.settings, result.pairs, strict=True):
            score = task.objective.score(pair)
            assert score is not None  # noqa: S101 - IOPS are always measured
            gains.setdefault((trial.layout, setting), []).append(score)
    means = {arm: math.fsum(values) / len(values) for arm, values in gains.items()}
    return {**means, (0, 0): 0.0}


def judge(task: TuneTask, grid: Mapping[Arm, float]) -> None:
    """Prints how often the search finds a good point of the grid, and at which cost."""
    best = max(grid.values())
    print(f"{len(grid)} points; the best is {math.exp(best):.2f} times the guest as it is")
    print("noise  pairs each  of the grid's pairs  within 2 %  within 5 %")
    for noise in (0.05, 0.1):
        for pairs in (1, 2):
            losses, measured = [], 0
            for seed in range(SEEDS):
                found, count = simulate(task, grid, Effort(pairs=pairs), noise=noise, seed=seed)
                losses.append(1 - math.exp(grid[found.best] - best))
                measured += count
            share = measured / SEEDS / (len(grid) * GRID_PAIRS)
            close = [sum(loss <= within for loss in losses) / SEEDS for within in (0.02, 0.05)]
            print(f"{noise:5.0%}  {pairs:10}  {share:19.0%}  {close[0]:10.0%}  {close[1]:10.0%}")


def simulate(
    task: TuneTask, grid: Mapping[Arm, float], effort: Effort, *, noise: float, seed: int
) -> tuple[Found, int]:
    """Returns what a search finds in a recorded grid, and how many pairs it took."""
    noisy = random.Random(seed)  # noqa: S311 - no secret
    steps = search(task.counts, effort, seed)
    trial, pairs = next(steps), 0
    while True:
        pairs += len(trial.settings)
        gains = [grid[trial.layout, each] + noisy.gauss(0, noise) for each in trial.settings]
        try:
            trial = steps.send(gains)
        except StopIteration as stop:
            found: Found = stop.value
            return found, pairs


async def search_again(task: TuneTask, grid: Mapping[Arm, float]) -> None:
    """Searches on real guests, and prints where the winner stands in the grid."""
    tuning = await Tuner(task, make_boot(task)).run(
        lambda progress: print(f"{progress.share:4.0%} {progress.words}", flush=True)
    )
    arms = {
        (candidate.name, setting.name): (layout, number)
        for layout, candidate in enumerate(task.candidates)
        for number, setting in enumerate(candidate.settings)
    }
    winner = tuning.winner
    arm = (0, 0) if winner is None else arms[winner.layout, winner.setting]
    better = sum(value > grid[arm] for value in grid.values())
    name = "the guest as it is" if winner is None else f"{winner.layout} {winner.setting}".strip()
    print(f"winner: {name}, place {better + 1} of {len(grid)} in the grid")
    print(f"in the grid {math.exp(grid[arm] - max(grid.values())):.2f} of the best")
    print(
        f"{tuning.pairs} pairs, {tuning.pairs / (len(grid) * GRID_PAIRS):.0%} of the grid's at"
        f" {GRID_PAIRS} each; {tuning.trials} boots; {tuning.duration_s:.0f} s"
    )
    if tuning.confirmed is not None:
        ratio = tuning.confirmed
        print(f"confirmed: {ratio.ratio:.2f} ({ratio.low:.2f} to {ratio.high:.2f})")


if __name__ == "__main__":
    main()
