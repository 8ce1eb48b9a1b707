"""A search on guests that are simulated: its results, its journal, and faults in mid-trial."""

from __future__ import annotations

import asyncio
import math
import os
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from vmio import app
from vmio.bench.compare import ComparedLayout
from vmio.bench.course import Progress
from vmio.bench.jobs import Job, JobFigures
from vmio.bench.result import HostFacts, Measurement, Pair, Side, ThreadLoad
from vmio.errors import ConflictError, OutputError, ToolError
from vmio.model.plan import LiveChange
from vmio.qemu.boot import Boot
from vmio.tune import booted as home
from vmio.tune import tuner
from vmio.tune.booted import TuneTask
from vmio.tune.objective import parse_objective
from vmio.tune.search import Effort
from vmio.values import replace

ROOT = Path(__file__).parents[3]
BOOT = Boot(binary="qemu", accelerator="tcg")
FACTORS = {"as it is": 1.0, "per-disk": 1.2, "shared": 1.5, "pool:2": 1.1}
"""How many times the requests of the guest as it is a layout does."""


class Guests:
    """A host on which layouts do requests as in `FACTORS`, and twice as many without polling."""

    def __init__(self) -> None:
        self.random = random.Random(0)  # noqa: S311 - no secret
        self.layout = ""
        self.poll_max_ns = 0
        self.booted: list[str] = []
        self.running = 0
        self.failures: dict[str, Exception] = {}
        self.failing_once = False
        self.interrupt_at = -1
        self.measured = 0

    @asynccontextmanager
    async def boot_pair(
        self, a: ComparedLayout, b: ComparedLayout, **_how: object
    ) -> AsyncIterator[Mapping[str, str]]:
        """Boots two layouts."""
        assert a.name == "as it is"
        self.running += 2
        self.layout = b.name
        self.booted.append(b.name)
        try:
            yield {"A": a.name, "B": b.name}
        finally:
            self.running -= 2

    async def measure_pair(self, _guests: object, job: Job, *, first: Side) -> Pair:
        """Measures both, unless something happens to one."""
        self.measured += 1
        if job.rate_per_s is not None and job.rate_per_s * job.runtime_s < 1:
            raise ToolError("fio's job completed no request")
        await asyncio.sleep(0)
        if self.measured == self.interrupt_at:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(0)
        if self.layout in self.failures:
            error = self.failures[self.layout]
            if self.failing_once:
                del self.failures[self.layout]
            raise error
        fast = FACTORS[self.layout] * (2 if self.poll_max_ns == 0 else 1)
        load = math.exp(self.random.gauss(0, 0.5))  # of the host, for both alike
        noise = math.exp(self.random.gauss(0, 0.02))
        return Pair(first=first, a=self.run(load), b=self.run(load * fast * noise))

    @staticmethod
    def run(iops: float) -> Measurement:
        """Returns a run with this many requests a second."""
        figures = JobFigures(
            iops=iops,
            bandwidth_bytes_per_s=iops,
            requests=1,
            runtime_s=1,
            latency_mean_ns=1e9 / iops,
            latency_p50_ns=1e9 / iops,
            latency_p99_ns=1e9 / iops,
            latency_p999_ns=1e9 / iops,
            guest_cpu_user_share=0,
            guest_cpu_system_share=0,
        )
        load = ThreadLoad(name="main loop", kind="main loop", cpu_share=0.5)
        return Measurement(figures=figures, threads=(load,))

    async def find_loops(self, _guest: object, _disk: str) -> home._Loops:
        """Returns one thread that polls."""
        has_thread = self.layout != "as it is"
        return home._Loops(
            booted={"vmio0": {"poll_max_ns": 32768}} if has_thread else {},
            threads={},
            processors=frozenset({0}),
        )

    async def set_live(self, _monitor: object, changes: list[LiveChange]) -> None:
        """Sets the thread's polling."""
        (change,) = changes
        assert (change.path, change.property) == ("/objects/vmio0", "poll-max-ns")
        self.poll_max_ns = change.new


class _Monitor:
    """A side of a pair, whose monitor nobody asks."""

    qmp = None

    @property
    def process(self) -> _Monitor:
        return self


@pytest.fixture
def guests(monkeypatch: pytest.MonkeyPatch) -> Guests:
    """Replaces everything that would start a QEMU."""
    made = Guests()

    @asynccontextmanager
    async def boot_pair(*layouts: ComparedLayout, **how: Any) -> AsyncIterator[object]:  # noqa: ANN401
        made.poll_max_ns = 32768
        async with made.boot_pair(*layouts, **how):
            yield {"A": _Monitor(), "B": _Monitor()}

    monkeypatch.setattr(home, "boot_pair", boot_pair)
    monkeypatch.setattr(home, "measure_pair", made.measure_pair)
    monkeypatch.setattr(home, "_find_loops", made.find_loops)
    monkeypatch.setattr(home, "set_live", made.set_live)
    monkeypatch.setattr(tuner, "read_host_facts", HostFacts)
    return made


@pytest.fixture
def task(tmp_path: Path) -> TuneTask:
    """Every layout of a guest with three disks, by one job."""
    guest = app.open_guest(
        str(ROOT / "examples" / "701.conf"), storage=str(ROOT / "examples" / "storage.cfg")
    )
    task = app.prepare_tune(
        guest,
        guest.context.host,
        jobs=["rw=randread,iodepth=8"],
        journal=str(tmp_path / "journal"),
    )
    assert {each.name for each in task.candidates} == FACTORS.keys()
    return task


def test_tuner_finds_the_best_and_plans_it(guests: Guests, task: TuneTask) -> None:
    """It names layout and setting, confirms them by fresh pairs, and has a plan for both."""
    seen: list[Progress] = []
    tuning = asyncio.run(app.make_tuner(task, BOOT).run(seen.append))
    assert tuning.finished
    assert tuning.winner is not None
    assert (tuning.winner.layout, tuning.winner.setting) == ("shared", "poll_max_ns=0")
    assert tuning.confirmed is not None
    assert tuning.confirmed.pairs == task.effort.confirmation
    assert tuning.confirmed.low < 3 < tuning.confirmed.high
    assert tuning.better
    assert tuning.plan is not None
    assert tuning.plan.policy == "shared"
    assert [each.poll_max_ns for each in tuning.plan.after.iothreads] == [0]
    assert tuning.left == ()
    assert tuning.tried[0] == tuning.winner
    assert tuning.trials == len(guests.booted) <= tuning.planned
    assert guests.running == 0
    shares = [each.share for each in seen]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    left = [each.left_s for each in seen if each.left_s is not None]
    assert len(left) == len(seen)


class SlowHost:
    """A clock of a host on which a boot takes 60 s, and a pair of runs 3 s."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 0.0
        self.boots = 0
        self.pairs = 0
        boot, measure = vars(home)["boot_pair"], vars(home)["measure_pair"]
        is_warm = False

        @asynccontextmanager
        async def boot_pair(*layouts: Any, **how: Any) -> AsyncIterator[object]:  # noqa: ANN401
            nonlocal is_warm
            is_warm = False
            self.now_s += 60.0
            self.boots += 1
            async with boot(*layouts, **how) as guests:
                yield guests

        async def measure_pair(*what: Any, **how: Any) -> Pair:  # noqa: ANN401
            nonlocal is_warm
            if is_warm:
                self.now_s += 3.0
                self.pairs += 1
            is_warm = True
            pair: Pair = await measure(*what, **how)
            return pair

        monkeypatch.setattr(home, "boot_pair", boot_pair)
        monkeypatch.setattr(home, "measure_pair", measure_pair)
        monkeypatch.setattr(tuner, "time", self)

    def monotonic(self) -> float:
        """Stands for the clock."""
        return self.now_s


@pytest.mark.parametrize("interrupt_at", [0, 20])
def test_time_that_is_left_follows_the_trials_so_far(
    interrupt_at: int, guests: Guests, task: TuneTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the first pair on it is that of this host; a journal's trials take no time."""
    if interrupt_at:
        guests.interrupt_at = interrupt_at
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(app.make_tuner(task, BOOT).run())
    clock = SlowHost(monkeypatch)
    told: list[tuple[int, int, float]] = []

    def note(progress: Progress) -> None:
        if progress.share < 1:
            told.append((clock.boots, clock.pairs, progress.left_s or 0.0))

    tuning = asyncio.run(app.make_tuner(task, BOOT).run(note))
    boots = len(task.trials) - (tuning.trials - clock.boots)
    pairs = sum(len(each.settings) for each in task.trials) - (tuning.pairs - clock.pairs)
    assert (tuning.trials > clock.boots) == bool(interrupt_at)
    assert len(told) > 5
    assert told[0][2] < 60.0 * boots
    assert told[1][2] > 60.0 * (boots - 1)
    for booted, measured, left_s in told[2:]:
        assert left_s == pytest.approx(60.0 * (boots - booted) + 3.0 * (pairs - measured))


def test_tuner_keeps_the_guest_as_it_is_if_nothing_is_better(
    guests: Guests, task: TuneTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no plan then, and nothing is confirmed."""
    monkeypatch.setitem(FACTORS, "per-disk", 0.2)
    monkeypatch.setitem(FACTORS, "shared", 0.3)
    monkeypatch.setitem(FACTORS, "pool:2", 0.4)
    tuning = asyncio.run(app.make_tuner(task, BOOT).run())
    assert tuning.finished
    assert (tuning.winner, tuning.confirmed, tuning.plan) == (None, None, None)
    assert not tuning.better
    assert guests.running == 0


def test_tuner_has_the_front_of_two_metrics(guests: Guests, task: TuneTask) -> None:
    """With a pair of metrics it marks what nothing is better than in both."""
    del guests
    pair = replace(task, objective=parse_objective("iops:1,cpu:1"))
    tuning = asyncio.run(app.make_tuner(pair, BOOT).run())
    assert any(each.on_front for each in tuning.tried)
    best = max(tuning.tried, key=lambda each: each.metrics[0].ratio)
    assert best.on_front


def test_tuner_goes_on_without_a_layout_that_fails(guests: Guests, task: TuneTask) -> None:
    """A guest that dies in mid-trial is out of the race, with the reason in the result."""
    guests.failures["shared"] = ToolError("QEMU ended", output="boom\nSegmentation fault\n")
    tuning = asyncio.run(app.make_tuner(task, BOOT).run())
    assert tuning.winner is not None
    assert (tuning.winner.layout, tuning.winner.setting) == ("per-disk", "poll_max_ns=0")
    assert tuning.failures == (("shared", "QEMU ended: Segmentation fault"),)
    assert tuning.left == ("iothread-virtioscsi0: poll-max-ns=0",)
    assert guests.booted.count("shared") == 2
    assert guests.running == 0


def test_tuner_tries_again_what_fails_once(guests: Guests, task: TuneTask) -> None:
    """A guest that misses its time on a busy host does not cost its layout the race."""
    guests.failures["shared"] = ToolError("fio did not end")
    guests.failing_once = True
    tuning = asyncio.run(app.make_tuner(task, BOOT).run())
    assert tuning.failures == ()
    assert tuning.winner is not None
    assert tuning.winner.layout == "shared"


def test_tuner_measures_a_job_of_a_low_rate(guests: Guests, task: TuneTask) -> None:
    """Before the first pair fio runs for a moment, in which such a job would do nothing."""
    (job,) = task.jobs
    slow = replace(job, runtime_s=1.0, rate_per_s=2.0)
    tuning = asyncio.run(app.make_tuner(replace(task, jobs=(slow,)), BOOT).run())
    assert tuning.failures == ()
    assert guests.running == 0


def test_tuner_ends_if_everything_fails(guests: Guests, task: TuneTask) -> None:
    """Three failures in a row are the host's, and are not kept: the next search tries again."""
    for name in FACTORS:
        guests.failures[name] = ToolError("fio failed", output="No space left on device")
    tuner = app.make_tuner(task, BOOT)
    with pytest.raises(ToolError, match="fio failed"):
        asyncio.run(tuner.run())
    assert guests.running == 0
    guests.failures.clear()
    assert asyncio.run(app.make_tuner(task, BOOT).run()).better


@pytest.mark.parametrize("number", [1, 2, 20, 60])
def test_tuner_goes_on_from_its_journal(number: int, guests: Guests, task: TuneTask) -> None:
    """Ended at any time, it leaves no guest, and finds the same with no trial repeated."""
    guests.interrupt_at = number
    ended = app.make_tuner(task, BOOT)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(ended.run())
    assert guests.running == 0
    done = ended.summarise()
    assert not done.finished
    assert done.plan is None
    before = len(guests.booted)
    tuning = asyncio.run(app.make_tuner(task, BOOT).run())
    assert tuning.winner is not None
    assert (tuning.winner.layout, tuning.winner.setting) == ("shared", "poll_max_ns=0")
    assert tuning.trials == len(guests.booted) - before + done.trials
    # Once it has ended, its journal has everything.
    guests.booted.clear()
    again = asyncio.run(app.make_tuner(task, BOOT).run())
    assert guests.booted == []
    assert again.tried == tuning.tried
    assert again.confirmed == tuning.confirmed


def test_tuner_ends_on_a_full_disk_with_its_results(
    guests: Guests, task: TuneTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A journal that cannot be written ends the search; what it has is whole and is used again."""
    real, calls = os.fsync, [0]

    def fill(descriptor: int) -> None:
        calls[0] += 1
        if calls[0] > 3:
            raise OSError(28, os.strerror(28))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fill)
    tuner = app.make_tuner(task, BOOT)
    with pytest.raises(OutputError, match="No space left"):
        asyncio.run(tuner.run())
    assert guests.running == 0
    assert tuner.summarise().trials == 2
    monkeypatch.setattr(os, "fsync", real)
    guests.booted.clear()
    tuning = asyncio.run(app.make_tuner(task, BOOT).run())
    assert tuning.better
    assert tuning.trials == len(guests.booted) + 2


def test_two_tuners_have_no_journal_in_common(guests: Guests, task: TuneTask) -> None:
    """The second one is refused before it boots anything."""

    async def run_both() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(2):
                group.create_task(app.make_tuner(task, BOOT).run())

    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(run_both())
    assert caught.group_contains(ConflictError)
    assert guests.running == 0


def test_search_without_a_confirmed_gain_has_no_plan(
    guests: Guests, task: TuneTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A winner by chance alone is measured again, and is not planned."""
    for name in FACTORS:
        monkeypatch.setitem(FACTORS, name, 0.5)
    monkeypatch.setitem(FACTORS, "as it is", 1.0)
    small = replace(task, effort=Effort(pairs=1))
    tuning = asyncio.run(app.make_tuner(small, BOOT).run())
    assert tuning.winner is None or not tuning.better
    assert tuning.plan is None
    assert guests.running == 0
