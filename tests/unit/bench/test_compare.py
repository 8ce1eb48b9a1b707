"""What a comparison waits for, and when it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

from vmio.bench import compare
from vmio.bench.course import Course, Progress
from vmio.bench.extent import Extent, estimate_duration_s, fit_pairs
from vmio.bench.jobs import DEFAULT_JOBS, Job, JobFigures
from vmio.bench.result import JobResult, Measurement, Side, ThreadLoad
from vmio.guest.agent import Agent, BlockDevice
from vmio.model.controller import Controller
from vmio.model.disk import Backing, Disk
from vmio.model.topology import AttachedDisk, Topology
from vmio.values import replace

TOPOLOGY = Topology(
    controllers=(Controller(id="scsihw0", model="virtio-scsi-pci", bus="scsi"),),
    disks=tuple(
        AttachedDisk(
            disk=Disk(
                id=f"scsi{number}",
                bus="scsi",
                index=number,
                media="cdrom" if number == 2 else "disk",
                backing=Backing(filename="/x", format="raw"),
            ),
            controller="scsihw0",
        )
        for number in range(3)
    ),
)


class SlowAgent(Agent):
    """An agent of a guest that sees one more disk each time that it is asked."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self.asked = 0

    async def disks(self) -> tuple[BlockDevice, ...]:
        """Returns what has come up so far."""
        self.asked += 1
        return tuple(
            BlockDevice(
                name=name,
                size_bytes=1,
                pci_path=(),
                scsi=None,
                ata=None,
                serial="",
                wwid="",
                read_only=False,
            )
            for name in self.names[: self.asked]
        )


def test_disks_that_come_late_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both disks have to be there before one is picked; a cd-rom counts for none."""
    monkeypatch.setattr(compare, "_DISKS_INTERVAL_S", 0.0)
    agent = SlowAgent(("sr0", "sda", "sdb", "sdc"))
    devices = asyncio.run(compare._wait_for_disks(agent, TOPOLOGY))
    assert [device.name for device in devices] == ["sr0", "sda", "sdb"]


def test_disk_that_never_comes_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk without a driver must not keep another one from being measured."""
    monkeypatch.setattr(compare, "_DISKS_INTERVAL_S", 0.0)
    monkeypatch.setattr(compare, "_DISKS_TIMEOUT_S", 0.05)
    agent = SlowAgent(("sda",))
    devices = asyncio.run(compare._wait_for_disks(agent, TOPOLOGY))
    assert [device.name for device in devices] == ["sda"]
    assert agent.asked > 1


class Clock:
    """A comparison without guests: each pair takes ten seconds and has the next ratio."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, ratios: Iterable[float]) -> None:
        self.now_s = 0.0
        self.ratios = iter(ratios)
        self.told: list[Progress] = []
        monkeypatch.setattr("vmio.bench.course.time", self)

    def monotonic(self) -> float:
        """Stands for the clock."""
        return self.now_s

    async def _measure_run(self, side: Side, job: Job) -> Measurement:
        self.now_s += 5.0
        return _measure(job, 1000.0 if side == "A" else 1000.0 * next(self.ratios))

    def run(self, extent: Extent, number: int = 0) -> JobResult:
        """Measures a job."""
        jobs = DEFAULT_JOBS[:2]
        course = Course(
            run=self._measure_run,
            jobs=jobs,
            extent=extent,
            report=self.told.append,
            began_s=0.0,
            started_s=0.0,
        )
        return asyncio.run(course.run_job(number))


def _measure(job: Job, iops: float) -> Measurement:
    figures = JobFigures(
        iops=iops,
        bandwidth_bytes_per_s=iops * job.block_size_bytes,
        requests=int(iops),
        runtime_s=1.0,
        latency_mean_ns=1e9 / iops,
        latency_p50_ns=1e9 / iops,
        latency_p99_ns=2e9 / iops,
        latency_p999_ns=3e9 / iops,
        guest_cpu_user_share=0.1,
        guest_cpu_system_share=0.1,
    )
    return Measurement(figures=figures)


def test_fixed_number_of_pairs_is_measured_whatever_comes_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ten pairs, the side that goes first in turn, and progress that only grows."""
    clock = Clock(monkeypatch, [2.0, 2.1] * 5)
    result = clock.run(Extent(pairs=10, margin=0.1))
    assert [pair.first for pair in result.pairs] == ["A", "B"] * 5
    assert (result.verdict, result.margin, result.anytime) == ("faster", 0.1, False)
    shares = [each.share for each in clock.told]
    assert shares == sorted(shares)
    assert len(shares) == 20
    assert clock.told[3].words == "randread-4k-qd1, pair 2 of 10, A"


@pytest.mark.parametrize(
    ("ratios", "verdict"),
    [((2.0, 2.1), "faster"), ((0.5, 0.6), "slower"), ((1.0, 1.01), "the same")],
)
def test_job_ends_with_its_verdict(
    ratios: tuple[float, float], verdict: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As soon as the interval that may be looked at after each pair shows something."""
    result = Clock(monkeypatch, ratios * 50).run(Extent(pairs=100, until_verdict=True))
    assert result.verdict == verdict
    assert 5 <= len(result.pairs) <= 8
    shorter = replace(result, pairs=result.pairs[:-1])
    assert shorter.verdict == "cannot tell"


def test_job_without_a_verdict_ends_with_its_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of pairs is a limit, which progress names."""
    clock = Clock(monkeypatch, [0.5, 2.0] * 50)
    result = clock.run(Extent(pairs=12, until_verdict=True))
    assert (result.verdict, len(result.pairs)) == ("cannot tell", 12)
    assert clock.told[-1].words == "randread-4k-qd1, pair 12 of up to 12, A"


def test_progress_never_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four pairs that hardly differ let few more be expected, and a fifth that does, many."""
    clock = Clock(monkeypatch, [1.0, 1.02, 1.0, 1.02, 3.0, *[0.5, 2.0] * 20])
    clock.run(Extent(pairs=40, until_verdict=True))
    shares = [each.share for each in clock.told]
    assert len(shares) == 80
    assert shares == sorted(shares)
    expected = [each.words.split()[-2] for each in clock.told]
    assert int(expected[8].rstrip(",")) < int(expected[10].rstrip(","))


@pytest.mark.parametrize(("number", "pairs"), [(0, 6), (1, 12)])
def test_job_without_a_verdict_ends_with_its_part_of_the_time(
    number: int, pairs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two minutes for two jobs the first has one; what it leaves is the second's."""
    clock = Clock(monkeypatch, [0.5, 2.0] * 50)
    result = clock.run(Extent(pairs=100, until_verdict=True, time_s=120.0), number)
    assert (result.verdict, len(result.pairs)) == ("cannot tell", pairs)


@pytest.mark.parametrize(
    "wrong", [{"pairs": 1}, {"pairs": 1001}, {"margin": 0.0}, {"margin": 2.0}, {"time_s": 0.0}]
)
def test_extent_has_limits(wrong: dict[str, Any]) -> None:
    """A comparison of one pair, of none, or without a margin says nothing."""
    with pytest.raises(ValueError, match="must be at"):
        Extent(**{"pairs": 8} | wrong)


def test_pairs_follow_from_the_time() -> None:
    """As many as there is time for after booting; two at least, a thousand at most."""
    pairs = fit_pairs(DEFAULT_JOBS, 300.0)
    assert estimate_duration_s(DEFAULT_JOBS, pairs) <= 300
    assert estimate_duration_s(DEFAULT_JOBS, pairs + 1) > 300
    assert fit_pairs(DEFAULT_JOBS, 1.0) == 2
    assert fit_pairs(DEFAULT_JOBS, 1e9) == 1000


def test_pair_is_followed_by_a_run_on_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each side's share of the host's rate follows from the pairs."""
    clock = Clock(monkeypatch, [1.5] * 4)

    async def run_on_host(job: Job) -> Measurement:
        return _measure(job, 2000.0)

    course = Course(
        run=clock._measure_run,
        jobs=DEFAULT_JOBS[:1],
        extent=Extent(pairs=4, runs=3),
        report=clock.told.append,
        began_s=0.0,
        run_on_host=run_on_host,
    )
    result = asyncio.run(course.run_job(0))
    assert result.host_share_a is not None
    assert result.host_share_b is not None
    assert result.host_share_a.ratio == pytest.approx(0.5)
    assert result.host_share_b.ratio == pytest.approx(0.75)


def test_loads_at_the_same_time_have_a_result_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with its own figures, and with the CPU of all requests together."""
    job = replace(DEFAULT_JOBS[0], beside=(DEFAULT_JOBS[1],))
    load = ThreadLoad(name="main loop", kind="main loop", cpu_share=0.5)

    async def run(side: Side, each: Job) -> Measurement:
        own = _measure(each, 1000.0 if side == "A" else 2000.0)
        return replace(own, beside=(_measure(job.beside[0], 9000.0).figures,), threads=(load,))

    clock = Clock(monkeypatch, [])
    course = Course(
        run=run, jobs=(job,), extent=Extent(pairs=3), report=clock.told.append, began_s=0.0
    )
    first, second = asyncio.run(course.run_job(0)).parts
    assert (first.job.name, second.job.name) == ("randread-4k-qd1", "randread-4k-qd32")
    assert [each.name for each in second.job.beside] == ["randread-4k-qd1"]
    assert first.iops_ratio.ratio == pytest.approx(2.0)
    assert second.iops_ratio.ratio == pytest.approx(1.0)
    for each in (first, second):
        assert each.cpu_ratio is not None
        assert each.cpu_ratio.ratio == pytest.approx(10 / 11)


def test_loads_at_the_same_time_go_on_until_each_has_its_verdict(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first one, clearly faster after a few pairs, does not end the one that varies."""
    job = replace(DEFAULT_JOBS[0], beside=(DEFAULT_JOBS[1],))
    clear, varying = iter([2.0, 2.1] * 100), iter([0.8, 1.3] * 100)

    async def run(side: Side, each: Job) -> Measurement:
        if side == "A":
            beside = _measure(job.beside[0], 1000.0).figures
            return replace(_measure(each, 1000.0), beside=(beside,))
        beside = _measure(job.beside[0], 1000.0 * next(varying)).figures
        return replace(_measure(each, 1000.0 * next(clear)), beside=(beside,))

    def measure(jobs: tuple[Job, ...]) -> JobResult:
        course = Course(
            run=run,
            jobs=jobs,
            extent=Extent(pairs=60, until_verdict=True),
            report=clock.told.append,
            began_s=0.0,
        )
        return asyncio.run(course.run_job(0))

    clock = Clock(monkeypatch, [])
    result = measure((job,))
    assert [each.verdict for each in result.parts] == ["faster", "cannot tell"]
    assert len(result.pairs) == 60
    varying = iter([1.0, 1.01] * 30)
    result = measure((job,))
    assert [each.verdict for each in result.parts] == ["faster", "the same"]
    assert len(result.pairs) < 60
