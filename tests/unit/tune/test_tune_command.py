"""`vmio tune` as a person calls it, as far as it goes without a guest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast, get_args

import pytest

from vmio import app
from vmio.app import BENCH_MEMORY_MIB
from vmio.bench.statistics import paired_ratio
from vmio.cli import tune as verb
from vmio.errors import OutputError
from vmio.qemu.boot import Boot
from vmio.testing import call
from vmio.tune.booted import BootedTrials, TuneTask
from vmio.tune.result import MetricRatio, Tried, Tuning
from vmio.tune.space import PARTS, LiveSetting, keep_setting
from vmio.tune.tuner import Tuner
from vmio.values import replace

ROOT = Path(__file__).parents[3]
SHARED = str(ROOT / "examples" / "701.conf")
FACTS = ("--set", "qemu_version=10.0.2")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns the current folder, which is empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("--objective", "speed"), 2, "'speed' is not an objective"),
        (("--vary", "colour"), 2, "'colour' is not one of"),
        (("--vary", "polling"), 2, "there is nothing to choose from for scsi0"),
        (("--disk", "scsi9"), 2, "has no disk 'scsi9'"),
        (("--time", "soon"), 2, "write it as 5m"),
        (("--time", "60s"), 2, "the shortest search takes about"),
        (("--seed", "-1"), 2, "-1 is not in the range"),
        (("--scratch", "1K"), 2, "--scratch 1K: 16M is the least"),
        (("--fio-job", "rw=trim"), 2, "rw='trim' is not one of"),
        (("--force",), 2, "--force requires --output FILE"),
        (("--dry-run", "--json"), 2, "--dry-run and --json exclude each other"),
        (("-o", "missing/plan"), 4, "cannot write missing/plan"),
        (("--journal", "missing/j"), 4, "cannot write missing/j"),
        (("--journal", "/dev/null"), 4, "cannot write /dev/null: it is not a plain file"),
        (("--kernel", "vmlinuz"), 2, "--kernel and --initrd go together"),
        (("--in-guest", "pid:1"), 2, "--in-guest takes no VM"),
        (("--allow-write", "/x"), 2, "--allow-write belongs to --in-guest"),
    ],
)
def test_tune_says_what_is_wrong_before_anything_starts(
    words: tuple[str, ...],
    status: int,
    said: str,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What cannot work is told at once, with its status, and leaves nothing behind."""
    assert call("tune", SHARED, *FACTS, *words) == status
    shown = capsys.readouterr()
    assert said in shown.err
    assert shown.out == ""
    assert not [*folder.iterdir()]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "a VM is needed"),
        (("--in-guest", "pid:1", "--vary", "queues"), "--vary queues cannot be changed in a"),
        (
            ("--in-guest", "pid:1", "-o", "plan"),
            "--in-guest takes no VM, and nothing about a plan",
        ),
        (("--in-guest", "pid:1", "--set", "cpus=2"), "--in-guest takes no VM"),
        (("--in-guest", "pid:1", "--dry-run", "--json"), "exclude each other"),
    ],
)
def test_guest_is_one_or_the_other(
    words: tuple[str, ...], said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A VM that is booted or a guest that runs; the latter has no plan and no other layout."""
    assert call("tune", *words) == 2
    assert said in capsys.readouterr().err
    assert not [*folder.iterdir()]


def test_dry_run_lists_what_would_be_done(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Layouts, their settings, the trials and the time; nothing is started or written."""
    job = ("--fio-job", "rw=randread,bs=4k,iodepth=8")
    assert call("tune", SHARED, *FACTS, "--dry-run", *job, "--journal", "j", "-o", "plan") == 0
    out = capsys.readouterr().out
    assert out.startswith("4 layouts with 22 settings in all, by iops of randread-4k-qd8: up to")
    for word in ("as it is", "pool:2", "poll_max_ns=8192", "confirmation"):
        assert word in out
    assert not [*folder.iterdir()]


def test_less_time_measures_less(capsys: pytest.CaptureFixture[str]) -> None:
    """`--time` decides how many pairs there are."""
    shown = []
    for time in ("20m", "2h"):
        assert call("tune", SHARED, *FACTS, "--dry-run", "--time", time) == 0
        shown.append(capsys.readouterr().out.splitlines()[0])
    assert shown[0] != shown[1]


def test_command_line_offers_every_part() -> None:
    """What can be varied is what a space knows."""
    assert verb._PARTS == PARTS
    assert get_args(app.TunePart) == PARTS


def make_tuning(task: TuneTask, *, better: bool = True) -> Tuning:
    """Returns what a search has found, in whose plan something is left."""
    candidate = next(each for each in task.candidates if each.name == "per-disk")
    setting = LiveSetting(poll_max_ns=0)
    pairs = [(1.0, 1.5 + 0.01 * number if better else 0.8) for number in range(8)]
    winner = Tried(
        layout="per-disk",
        setting=setting.name,
        ratio=1.6,
        metrics=(MetricRatio(metric="iops", ratio=1.6), MetricRatio(metric="p99", ratio=0.9)),
        pairs=12,
        busy_pairs=3,
        stage="settings",
    )
    trials = BootedTrials(task, Boot(binary="qemu", accelerator="tcg"))
    tuning = Tuner(task, trials).summarise()
    return replace(
        tuning,
        trials=9,
        pairs=60,
        finished=True,
        tried=(winner, replace(winner, layout="shared", setting="", ratio=1.1)),
        failures=(("pool:2", "QEMU ended\x1b[2J"),),
        winner=winner,
        confirmed=paired_ratio(pairs),
        plan=keep_setting(task.guest, task.host, candidate, setting) if better else None,
        left=("iothread-virtioscsi0: poll-max-ns=0",) if better else (),
    )


class _Search:
    """A search that is over at once."""

    def __init__(self, tuning: Tuning, error: BaseException | None = None) -> None:
        self.tuning = tuning
        self.error = error

    async def run(self, _report: object) -> Tuning:
        if self.error is not None:
            raise self.error
        return self.tuning

    def summarise(self) -> Tuning:
        return self.tuning


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """What the search returns, or raises; no guest is built or booted."""
    told: dict[str, object] = {"better": True}

    def make_tuner(task: TuneTask, *_: object, **_how: object) -> _Search:
        tuning = make_tuning(task, better=bool(told["better"]))
        error = cast("BaseException | None", told.get("error"))
        return _Search(replace(tuning, finished=error is None), error)

    class Image:
        kernel = initrd = Path("x")
        append = ""

    monkeypatch.setattr(verb, "ensure_image", lambda *_, **__: Image())
    monkeypatch.setattr(
        app, "choose_boot", lambda **_: (Boot(binary="qemu", accelerator="tcg"), "no KVM")
    )
    monkeypatch.setattr(app, "make_tuner", make_tuner)
    assert BENCH_MEMORY_MIB > 0
    return told


def test_tune_prints_the_winner_and_writes_its_plan(
    found: dict[str, object], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The plan is one that `vmio apply` takes; what it lacks is said."""
    del found
    assert call("tune", SHARED, *FACTS, "-o", "plan") == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("Use per-disk with poll_max_ns=0: 1.53 times as good as")
    assert "in 8 fresh pairs." in shown.out.splitlines()[0]
    assert "to be set by yourself: iothread-virtioscsi0: poll-max-ns=0" in shown.out
    assert "failed: pool:2: QEMU ended\\x1b[2J" in shown.out
    assert "vmio apply plan makes the changes" in shown.err
    plan = app.read_plan(str(folder / "plan"))
    assert plan.policy == "per-disk"
    assert call("apply", "plan", SHARED, "--dry-run", "--no-live") == 0


def test_tune_keeps_what_is_not_confirmed(
    found: dict[str, object], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a confirmed gain the status is 1, and no plan is written."""
    found["better"] = False
    assert call("tune", SHARED, *FACTS, "-o", "plan") == 1
    shown = capsys.readouterr()
    assert shown.out.startswith("Keep what you have: per-disk with poll_max_ns=0")
    assert "plan is not written: there is no plan" in shown.err
    assert not [*folder.iterdir()]


def test_tune_prints_json(found: dict[str, object], capsys: pytest.CaptureFixture[str]) -> None:
    """All figures are there for a program."""
    del found
    assert call("tune", SHARED, *FACTS, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["kind"] == "tuning"
    data = document["data"]
    assert data["winner"]["layout"] == "per-disk"
    assert data["verdict"] == "higher"
    assert data["policy"] == "per-disk"
    assert data["confirmed"]["low"] > 1
    assert data["failures"] == [{"layout": "pool:2", "reason": "QEMU ended\x1b[2J"}]


@pytest.mark.parametrize(
    ("error", "status"),
    [(KeyboardInterrupt(), 130), (SystemExit(143), 143), (OutputError("the disk is full"), 4)],
)
def test_tune_prints_what_there_is_when_it_is_ended(
    error: BaseException,
    status: int,
    found: dict[str, object],
    folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Ended by a person or a fault, it shows the best so far, also on a page, and how to go on."""
    found["error"] = error
    words = ("--journal", "j", "--html", "page.html", "-o", "plan")
    assert call("tune", SHARED, *FACTS, *words) == status
    shown = capsys.readouterr()
    assert shown.out.startswith("The search was ended after 9 of up to 16 trials; the best so far")
    assert "j has the results: the same call goes on from there" in shown.err
    assert "wrote page.html" in shown.err
    assert "The search was ended after 9" in (folder / "page.html").read_text()
    assert not (folder / "plan").exists()


def test_page_that_cannot_be_written_does_not_hide_why_the_search_ended(
    found: dict[str, object],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Both are told, and the exit status is that of the search."""

    def refuse(*_: object) -> None:
        raise OutputError("cannot write page.html")

    monkeypatch.setattr("vmio.report.tuning.html.write_page", refuse)
    found["error"] = KeyboardInterrupt()
    assert call("tune", SHARED, *FACTS, "--html", "page.html") == 130
    shown = capsys.readouterr()
    assert shown.out.startswith("The search was ended after 9")
    assert "error: cannot write page.html" in shown.err
    assert shown.err.endswith("vmio: interrupted\n")
    assert not [*folder.iterdir()]


@pytest.mark.usefixtures("found")
def test_output_that_cannot_be_written_does_not_cost_the_files(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A search takes long: its page and its plan are there though nothing could be printed."""

    def refuse(*_: object, **__: object) -> None:
        raise OutputError("cannot write the output")

    monkeypatch.setattr("vmio.report.tuning.text.print_tuning", refuse)
    assert call("tune", SHARED, *FACTS, "--html", "page.html", "-o", "plan") == 4
    assert "cannot write the output" in capsys.readouterr().err
    assert {each.name for each in folder.iterdir()} == {"page.html", "plan"}
    monkeypatch.setattr("vmio.report.tuning.html.write_page", refuse)
    (folder / "plan").write_text("old")
    assert call("tune", SHARED, *FACTS, "--html", "page.html", "-o", "plan", "--force") == 4
    assert (folder / "plan").read_text() != "old"
