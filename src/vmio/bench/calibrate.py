"""Measures the cost of each step on this host: a small guest under loads, and the host's waits.

A guest with a disk on an IOThread, one on the main loop and one vCPU runs each load a few times,
in rounds of all loads, each in a different order; the means are used, because a load has two
possible results, depending on where the host happens to run the vCPU. Measured directly are the
host's waits, and, with QEMU's own histogram, the disk's service times. The other costs are fitted,
so that the simulator comes closest to the measurements (`vmio.sim.fitting`).
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from vmio.bench.course import Progress
from vmio.bench.host_facts import read_host_facts
from vmio.bench.jobs import Job
from vmio.bench.load import GuestCounts, LoadedGuest, RunFigures, boot_guest
from vmio.errors import CapabilityError, GuestError, QmpError, ToolError
from vmio.host.local import identify_host
from vmio.host.timing import WaitCosts, measure_busy, measure_waits, read_others_s
from vmio.model.controller import Controller, PciAddress
from vmio.model.disk import AioEngine, Backing, Disk
from vmio.model.iothread import MAIN_LOOP, IOThread
from vmio.model.machine import Machine
from vmio.model.topology import AttachedDisk, Topology
from vmio.observe.disks import ask_disks
from vmio.observe.sample import DiskSample
from vmio.qemu.histograms import ask_to_count
from vmio.sim.fitting import FITTED, STEPS, Observation, Residual, compare_observations, fit_costs
from vmio.sim.profile import DEFAULT_PROFILE, Profile, ServiceTimes
from vmio.sim.simulator import set_parameters
from vmio.sim.workload import Workload
from vmio.values import replace

if TYPE_CHECKING:
    from vmio.model.capabilities import QemuVersion
    from vmio.qemu.boot import Boot

__all__ = ["ROUNDS", "Calibration", "calibrate", "check_idle", "find_quantiles"]

_FIRST_SLOT: Final = 0xA
_BUSY: Final = 0.25
"""Processors; if others use more, it affects every number."""
ROUNDS: Final = 4
_RUNTIME_S: Final = 0.4
"""A host drifts within seconds, so more rounds are better than longer runs."""
_RAMP_S: Final = 0.2
_SEED: Final = 1
"""Of the order of loads."""
_LONG_NS: Final = 500_000
_MIDDLE_NS: Final = 65_536
_WORK_US: Final = 100
"""Of a program with one request in flight: one that does nothing else is the usual subject of
predictions, so it is not used for fitting."""
_STEPS: Final = 20
"""Quantiles in a table of service times."""
_TAIL: Final = 0.01
_BOUNDARIES_NS: Final = tuple(round(4_000 * 1.12**step) for step in range(90))
"""Of the histogram's bins: 4 µs to 100 ms, each 12 % above the previous."""


class _Setting(Struct, frozen=True, kw_only=True):
    """A load, and the IOThread's maximum polling time; None for the main loop's disk."""

    depth: int
    poll_max_ns: int | None
    batch: int = 1
    work_us: int = 0

    @property
    def job(self) -> Job:
        return Job(
            name="calibrate",
            rw="randread",
            block_size_bytes=4096,
            iodepth=self.depth,
            runtime_s=_RUNTIME_S,
            ramp_s=_RAMP_S,
            batch=self.batch,
            work_us=self.work_us,
        )

    @property
    def name(self) -> str:
        words = [f"qd={self.depth}"]
        if self.batch > 1:
            words.append(f"batch={self.batch}")
        if self.work_us:
            words.append(f"work={self.work_us}us")
        return ",".join(words)


_SETTINGS: Final = (
    _Setting(depth=1, work_us=_WORK_US, poll_max_ns=0),
    _Setting(depth=1, work_us=_WORK_US, poll_max_ns=_LONG_NS),
    _Setting(depth=2, poll_max_ns=0),
    _Setting(depth=2, poll_max_ns=_MIDDLE_NS),
    _Setting(depth=2, poll_max_ns=_LONG_NS),
    _Setting(depth=8, poll_max_ns=0),
    _Setting(depth=8, poll_max_ns=_MIDDLE_NS),
    _Setting(depth=8, poll_max_ns=_LONG_NS),
    _Setting(depth=32, poll_max_ns=0),
    _Setting(depth=32, poll_max_ns=_LONG_NS),
    _Setting(depth=8, batch=8, poll_max_ns=_LONG_NS),
    _Setting(depth=32, batch=32, poll_max_ns=0),
    _Setting(depth=32, batch=32, poll_max_ns=_LONG_NS),
    _Setting(depth=1, work_us=_WORK_US, poll_max_ns=None),
    _Setting(depth=2, poll_max_ns=None),
    _Setting(depth=8, poll_max_ns=None),
)
_SERVICE: Final = (
    _Setting(depth=1, work_us=_WORK_US, poll_max_ns=_LONG_NS),
    _Setting(depth=8, batch=8, poll_max_ns=_LONG_NS),
    _Setting(depth=32, batch=32, poll_max_ns=_LONG_NS),
)
"""Loads whose depth is the disk's, and whose loop keeps no request waiting."""


class _Run(Struct, frozen=True, kw_only=True):
    """One run of a load, and the guest's counts around it."""

    figures: RunFigures
    before: GuestCounts
    after: GuestCounts

    @property
    def interrupts(self) -> float:
        """Per request."""
        requests = max(1, self.after.requests - self.before.requests)
        return (self.after.interrupts - self.before.interrupts) / requests


class Calibration(Struct, frozen=True, kw_only=True):
    """A host's profile, and its error on the loads that it was fitted to."""

    profile: Profile
    residuals: tuple[Residual, ...]


def check_idle(*, force: bool = False) -> float:
    """Returns how many processors other programs use now.

    Raises:
        ToolError: They use so many that it would affect every number.
    """
    busy = measure_busy()
    if not force:
        _check_busy(busy, "use")
    return busy


def _check_busy(busy: float, verb: str) -> None:
    if busy > _BUSY:
        raise ToolError(
            f"this host is busy: other programs {verb} {busy:.1f} of its processors",
            hint="that would affect every number; stop them, or use --even-if-busy",
        )


def _lay_out(aio: AioEngine) -> Topology:
    """Returns a disk on an IOThread and one on the main loop, both with O_DIRECT."""
    threads = {"virtio0": IOThread(id="iothread-virtio0"), "virtio1": None}
    return Topology(
        iothreads=tuple(thread for thread in threads.values() if thread is not None),
        controllers=tuple(
            Controller(
                id=name,
                model="virtio-blk-pci",
                bus="virtio",
                pci=PciAddress(bus="pci.0", slot=_FIRST_SLOT + number),
                iothread=thread.id if thread is not None else None,
            )
            for number, (name, thread) in enumerate(threads.items())
        ),
        disks=tuple(
            AttachedDisk(
                disk=Disk(
                    id=name,
                    bus="virtio",
                    index=number,
                    backing=Backing(filename=f"/scratch/{name}.raw", format="raw"),
                    aio=aio,
                ),
                controller=name,
                driver="virtio-blk-pci",
                cache="none",
                cache_direct=True,
                cache_no_flush=False,
                write_cache=True,
                aio=aio,
                detect_zeroes="on",
            )
            for number, name in enumerate(threads)
        ),
    )


async def calibrate(
    boot: Boot,
    version: QemuVersion,
    *,
    aio: AioEngine,
    folder: Path | None = None,
    rounds: int = ROUNDS,
    steps: int = STEPS,
    even_if_busy: bool = False,
    report: Callable[[Progress], None] = lambda _: None,
) -> Calibration:
    """Measures for less than two minutes, unless the guest hangs; removes everything at the end.

    The guest has a disk on an IOThread, a disk on the main loop and one vCPU.

    Args:
        boot: How the guest is booted.
        version: The QEMU.
        aio: The engine of its disks.
        folder: Where scratch files are created.
        rounds: How often each load runs.
        steps: How often costs are changed, as for `fit_costs`.
        even_if_busy: Whether other programs may use the host meanwhile.
        report: Called with the progress.

    Raises:
        GuestError: The guest does not boot, or has hung twice.
        ToolError: QEMU or fio failed, or other programs used the host meanwhile.
        OutputError: The scratch files cannot be created.
    """
    machine, topology = Machine(name="calibration"), _lay_out(aio)

    async def measure(
        *, again: bool = True
    ) -> tuple[dict[_Setting, list[_Run]], tuple[ServiceTimes, ...], WaitCosts]:
        async with boot_guest(machine, topology, boot, folder=folder) as loaded:
            try:
                return await _measure(loaded, rounds, report, even_if_busy=even_if_busy)
            except GuestError:
                if not again:
                    raise
        # A guest under TCG hangs now and then; its measurements are not used.
        report(Progress(share=0.0, words="the guest hangs; booting another"))
        return await measure(again=False)

    report(Progress(share=0.0, words="booting the guest"))
    found, service, waits = await measure()
    gap_ns = _measure_gap(found)
    observations = tuple(
        _observe(topology, setting, runs, gap_ns) for setting, runs in found.items()
    )
    facts = read_host_facts()
    start = _begin(waits, service, facts.cpu_count)
    fitted = fit_costs(
        observations,
        start,
        version,
        steps=steps,
        report=lambda share: report(Progress(share=0.7 + 0.3 * share, words="fitting the costs")),
    )
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    profile = replace(
        fitted,
        name=f"calibrated {now}, QEMU {version}, {boot.accelerator}, aio={aio}",
        is_this_host=True,
        host=identify_host(),
        accelerator="kvm" if boot.accelerator == "kvm" else "tcg",
        sources=(
            ("host", f"{facts.cpu_model}, {facts.cpu_count} processors, Linux {facts.kernel}"),
            ("syscall_ns", "a ppoll of five descriptors, one of them ready, and reading it"),
            ("wake_ns", "half of what two processes take to wake each other in turn"),
            ("sleep_ns", "processor time of a process that an eventfd wakes up"),
            ("service", "QEMU's histogram of the disk, while its IOThread polled"),
            (", ".join(FITTED), f"fitted to {len(observations)} loads of a guest"),
            (
                "self_kick_ns, submit_ns, poll_pass_ns",
                "of the default profile",
            ),
        ),
    )
    residuals = compare_observations(observations, profile, version, requests=3_000)
    return Calibration(profile=profile, residuals=residuals)


async def _measure(
    loaded: LoadedGuest,
    rounds: int,
    report: Callable[[Progress], None],
    *,
    even_if_busy: bool,
) -> tuple[dict[_Setting, list[_Run]], tuple[ServiceTimes, ...], WaitCosts]:
    """Runs every load in each round, in a random order that is the same in every calibration.

    A disturbance of some seconds then affects different loads in each round. Waits are measured
    between the rounds, while the guest is idle: they drift within seconds, so a single measurement
    would not represent the loads.
    """
    found: dict[_Setting, list[_Run]] = {setting: [] for setting in _SETTINGS}
    bins: dict[_Setting, list[int]] = {}
    waits = [await asyncio.to_thread(measure_waits)]
    draw = random.Random(_SEED)  # noqa: S311 - for an order, not a secret
    total, done = rounds * len(_SETTINGS), 0
    for number in range(rounds):
        begin_s, before_s = time.monotonic(), read_others_s(loaded.process.pid)
        for setting in draw.sample(_SETTINGS, len(_SETTINGS)):
            words = f"round {number + 1} of {rounds}, {setting.name}"
            report(Progress(share=0.08 + 0.62 * done / total, words=words))
            disk = _find_disk(loaded.topology, polled=setting.poll_max_ns is not None).disk.id
            if setting.poll_max_ns is not None:
                await loaded.set_polling(setting.poll_max_ns)
            if setting in _SERVICE:
                await _reset_histogram(loaded, disk)
            before = await loaded.count_interrupts()
            figures = await loaded.run(setting.job, only=disk)
            found[setting].append(
                _Run(figures=figures, before=before, after=await loaded.count_interrupts())
            )
            if setting in _SERVICE:
                counted = await _read_histogram(loaded, disk)
                bins[setting] = [
                    a + b
                    for a, b in zip(bins.get(setting, [0] * len(counted)), counted, strict=True)
                ]
            done += 1
        if not even_if_busy:
            used_s = read_others_s(loaded.process.pid) - before_s
            _check_busy(used_s / (time.monotonic() - begin_s), "used")
        waits.append(await asyncio.to_thread(measure_waits))
    service = tuple(
        ServiceTimes(
            depth=setting.depth, quantiles_ns=find_quantiles(_BOUNDARIES_NS, bins[setting])
        )
        for setting in _SERVICE
    )
    return found, service, _find_middle(waits)


def _find_middle(waits: Sequence[WaitCosts]) -> WaitCosts:
    """Returns the median of each cost."""
    return WaitCosts(
        syscall_ns=round(statistics.median(each.syscall_ns for each in waits)),
        wake_ns=round(statistics.median(each.wake_ns for each in waits)),
        sleep_ns=round(statistics.median(each.sleep_ns for each in waits)),
    )


def _find_disk(topology: Topology, *, polled: bool) -> AttachedDisk:
    """Returns the first disk that an IOThread serves, or the first that the main loop serves."""
    return next(
        attached
        for attached in topology.disks
        if (MAIN_LOOP not in topology.served_by(attached)) == polled
    )


def _measure_gap(found: Mapping[_Setting, Sequence[_Run]]) -> float:
    """Returns a program's time between a completion and its next request, in nanoseconds.

    fio's latencies do not include it; the simulator's latencies do.
    """
    return statistics.median(
        setting.depth * 1e9 / run.figures.iops - run.figures.latency_mean_ns
        for setting, runs in found.items()
        if setting.depth == 2  # noqa: PLR2004 - of more, a program that is late would be in it
        for run in runs
    )


def _observe(
    topology: Topology, setting: _Setting, runs: Sequence[_Run], gap_ns: float
) -> Observation:
    """Returns the mean of a load's runs, with the layout of the loaded disk.

    The computing time of a program is the time of its requests beyond their latencies and that
    gap, not the configured one: fio measures that with the guest's clock.
    """

    def average(find: Callable[[RunFigures], float]) -> float:
        return statistics.mean(find(run.figures) for run in runs)

    work_ns = 0
    if setting.work_us:
        work_ns = max(0, round(average(lambda run: 1e9 / run.iops - run.latency_mean_ns) - gap_ns))
    polled = setting.poll_max_ns is not None
    loaded = _find_disk(topology, polled=polled)
    alone = replace(
        topology,
        disks=(loaded,),
        controllers=(topology.controller_of(loaded),),
        iothreads=topology.iothreads if polled else (),
    )
    if polled:
        alone = set_parameters(alone, [f"poll_max_ns={setting.poll_max_ns}"])
    main_loop_cpu = average(lambda run: run.main_loop.cpu_share)
    loop_cpu = average(lambda run: run.iothreads[0].cpu_share) if polled else main_loop_cpu
    return Observation(
        topology=alone,
        workload=Workload(
            name=setting.name, depth=setting.depth, batch=setting.batch, work_ns=work_ns
        ),
        iops=average(lambda run: run.iops),
        latency_mean_ns=average(lambda run: run.latency_mean_ns) + gap_ns,
        loop_cpu_share=loop_cpu,
        irq_cpu_share=main_loop_cpu if polled else 0.0,
        interrupts=statistics.mean(run.interrupts for run in runs),
        interrupted=average(lambda run: run.interrupted),
    )


def _begin(waits: WaitCosts, service: tuple[ServiceTimes, ...], processors: int) -> Profile:
    """Returns the initial profile for fitting: measured costs, and defaults for the rest."""
    costs = replace(
        DEFAULT_PROFILE.costs,
        wake_ns=waits.wake_ns,
        sleep_ns=waits.sleep_ns,
        syscall_ns=waits.syscall_ns,
    )
    return replace(DEFAULT_PROFILE, costs=costs, service=service, processors=processors)


async def _find_sample(loaded: LoadedGuest, disk: str) -> DiskSample:
    """Returns QEMU's statistics of a disk."""
    for each in await ask_disks(loaded.process.qmp):
        if each.id == disk:
            return each
    raise QmpError("QEMU has no statistics of the guest's disk")


async def _reset_histogram(loaded: LoadedGuest, disk: str) -> None:
    place = (await _find_sample(loaded, disk)).qdev
    question = ask_to_count(place, _BOUNDARIES_NS, ("reads",))
    try:
        await loaded.process.qmp.execute(question.command, question.arguments)
    except QmpError as error:
        raise CapabilityError(f"this QEMU has no latency histogram: {error.message}") from error


async def _read_histogram(loaded: LoadedGuest, disk: str) -> tuple[int, ...]:
    histogram = (await _find_sample(loaded, disk)).reads.histogram
    if histogram is None or histogram.boundaries_ns != _BOUNDARIES_NS:
        raise QmpError("QEMU does not report its latency histogram")
    if sum(histogram.counts) < _STEPS:
        raise ToolError("the disk had too few requests to measure its service times")
    return histogram.counts


def find_quantiles(boundaries_ns: Sequence[int], bins: Sequence[int]) -> tuple[int, ...]:
    """Returns quantiles of a histogram at even steps of probability, interpolated in each bin.

    The ends are the 1 and 99 % quantiles: otherwise a single request that took a hundred times as
    long would stretch the last step.

    Args:
        boundaries_ns: The boundaries between the bins, ascending.
        bins: Counts; one more than boundaries.
    """
    edges = (boundaries_ns[0] // 2, *boundaries_ns, round(boundaries_ns[-1] * 1.12))
    found: list[int] = []
    total, before = sum(bins), 0
    inner = (step / _STEPS for step in range(1, _STEPS))
    wanted = [total * share for share in (_TAIL, *inner, 1 - _TAIL)]
    for (low, high), count in zip(pairwise(edges), bins, strict=True):
        while len(found) <= _STEPS and count and wanted[len(found)] <= before + count:
            place = (wanted[len(found)] - before) / count
            found.append(round(low + (high - low) * place))
        before += count
    return tuple(found)
