"""Two guests that are measured in turn; the other one is stopped meanwhile."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from msgspec import Struct, field

from vmio import __version__
from vmio.bench.devices import pick_device
from vmio.bench.extent import STARTUP_S, TAIL_S, Extent, estimate_pair_s
from vmio.bench.host_facts import read_host_facts
from vmio.bench.jobs import Job, fio_argv, parse_fio
from vmio.bench.result import Comparison, JobResult, Measurement, Pair, Side, Subject
from vmio.bench.statistics import count_pairs_until
from vmio.bench.threads import summarise_threads
from vmio.errors import GuestError, ToolError, UsageError
from vmio.guest.agent import Agent, agent_argv
from vmio.observe.running import read_running
from vmio.observe.sampler import collect
from vmio.observe.threads import name_threads
from vmio.qemu.boot import Boot, Volumes, find_root_bus, place_volumes, render_boot
from vmio.qemu.folder import open_runtime_folder
from vmio.qemu.process import QemuProcess
from vmio.qemu.threads import ask_threads
from vmio.units import format_bytes
from vmio.values import replace

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

    from vmio.guest.agent import BlockDevice
    from vmio.model.machine import Machine
    from vmio.model.topology import AttachedDisk, Topology
    from vmio.observe.sample import ThreadName

__all__ = [
    "TCG_CLOCK",
    "BootedGuest",
    "ComparedLayout",
    "Progress",
    "boot_pair",
    "compare",
    "find_disk",
    "measure_pair",
]

_BOOT_TIMEOUT_S = 180.0
_RUN_GRACE_S = 60.0
"""Additional time that fio may take: a guest under TCG on a busy host is slow."""
_SAMPLE_INTERVAL_S = 0.1
_WARM_UP_S = 0.1
_DISKS_TIMEOUT_S = 20.0
_DISKS_INTERVAL_S = 0.2
TCG_CLOCK = "clocksource=tsc tsc=reliable"
"""The clock options of a kernel under TCG.

By default it considers the emulated TSCs unsynchronised, which they are not, and reads the time
from the HPET: a device access, for which QEMU takes the lock that its main loop needs. With each
request timed, single guests went from about 7000 to 14000 requests a second at 4k QD32 with these
options (QEMU 10.0, separate runs).
"""


class ComparedLayout(Struct, frozen=True, kw_only=True):
    """One of the two layouts, planned."""

    name: str
    title: str
    machine: Machine
    topology: Topology
    config_argv: tuple[str, ...] = ()
    """The config's command line on its own host, for the report."""


class Progress(Struct, frozen=True, kw_only=True):
    """The progress of a comparison."""

    share: float
    """Completed fraction, 0 to 1."""
    words: str
    left_s: float | None = None
    """None if not known yet."""


class BootedGuest(Struct, frozen=True, kw_only=True):
    """A booted guest."""

    process: QemuProcess
    agent: Agent
    device: BlockDevice
    threads: dict[int, ThreadName]
    subject: Subject


async def compare(  # what a comparison depends on
    a: ComparedLayout,
    b: ComparedLayout,
    *,
    jobs: tuple[Job, ...],
    extent: Extent,
    disk: str,
    boot: Boot,
    scratch_bytes: int,
    accelerator_reason: str = "",
    guest_description: str = "",
    report: Callable[[Progress], None] = lambda _: None,
) -> Comparison:
    """Boots two layouts and measures a disk of each, in pairs, one while the other is stopped.

    Both guests and everything that belongs to them are gone when it returns, however it ends.

    Args:
        a: The layout that the other is compared with.
        b: The other one.
        jobs: The fio jobs for both.
        extent: How many pairs of each job are measured.
        disk: The disk's id, which both layouts have.
        boot: How both are booted, with the benchmark guest's kernel.
        scratch_bytes: Size of each side's empty files.
        accelerator_reason: Why `boot` has this accelerator, for the report.
        guest_description: The guest's kernel and packages, for the report.
        report: Called with the progress before each step.

    Raises:
        UsageError: No such disk.
        GuestError: A guest does not boot, or its agent does not answer.
        ToolError: QEMU or fio failed.
    """
    for layout in (a, b):
        find_disk(layout, disk)
    host = read_host_facts()
    started_at = datetime.now(UTC)
    began_s = time.monotonic()
    report(Progress(share=0.0, words="booting both guests"))
    async with boot_pair(a, b, disk=disk, boot=boot, scratch_bytes=scratch_bytes) as guests:
        course = _Course(guests=guests, jobs=jobs, extent=extent, report=report, began_s=began_s)
        await course.warm_up()
        results = tuple([await course.run_job(number) for number in range(len(jobs))])
        qemu_version = str(guests["A"].process.qmp.version)
    report(Progress(share=1.0, words="done", left_s=0.0))
    return Comparison(
        a=guests["A"].subject,
        b=guests["B"].subject,
        disk=disk,
        volume=f"an empty sparse file of {format_bytes(scratch_bytes)} on each side",
        device=guests["A"].device.path,
        jobs=results,
        host=host,
        accelerator=boot.accelerator,
        accelerator_reason=accelerator_reason,
        qemu_version=qemu_version,
        guest=guest_description,
        fio_version=results[0].pairs[0].a.figures.fio_version,
        vmio_version=__version__,
        started_at=started_at.isoformat(timespec="seconds").replace("+00:00", "Z"),
        duration_s=time.monotonic() - began_s,
    )


class _Course(Struct, kw_only=True):
    """The measurements of one comparison, in their order."""

    guests: dict[Side, BootedGuest]
    jobs: tuple[Job, ...]
    extent: Extent
    report: Callable[[Progress], None]
    began_s: float
    """When the comparison began, booting included."""
    started_s: float = field(default_factory=time.monotonic)
    """When the measurements began."""
    share: float = 0.0
    """The completed fraction that was reported last."""

    async def warm_up(self) -> None:
        """Runs fio once on each side, so that no measured run includes loading it."""
        job = replace(self.jobs[0], runtime_s=_WARM_UP_S, ramp_s=0.0)
        for side in self.guests:
            await _measure_run(self.guests, side, job)
        self.started_s = time.monotonic()

    async def run_job(self, number: int) -> JobResult:
        """Measures the pairs of a job; the side that goes first alternates, as in A B B A."""
        job, extent = self.jobs[number], self.extent
        pairs: list[Pair] = []
        expected = extent.pairs
        while True:
            first: Side = "A" if len(pairs) % 2 == 0 else "B"
            pairs.append(await self._run_pair(number, len(pairs), expected, first))
            if len(pairs) < 2:  # noqa: PLR2004  # a spread needs two
                continue
            result = JobResult(
                job=job,
                pairs=tuple(pairs),
                margin=extent.margin,
                anytime=extent.until_verdict,
            )
            if len(pairs) >= extent.pairs or (
                extent.until_verdict and (result.verdict != "cannot tell" or self._is_late(number))
            ):
                return result
            if extent.until_verdict:
                more = count_pairs_until(extent.margin, result.iops_ratio.spread)
                expected = min(extent.pairs, max(more, len(pairs) + 1))

    def _is_late(self, number: int) -> bool:
        """Returns whether a job's part of the time is over."""
        if self.extent.time_s is None:
            return False
        part_s = self.extent.time_s * (number + 1) / len(self.jobs)
        return time.monotonic() - self.began_s >= part_s

    async def _run_pair(self, number: int, done: int, expected: int, first: Side) -> Pair:
        """Measures a pair, and reports the state before each of its runs."""

        def note(side: Side) -> None:
            most = f"{expected}"
            if self.extent.until_verdict:
                most = f"{'up to' if expected == self.extent.pairs else 'about'} {expected}"
            words = f"{self.jobs[number].name}, pair {done + 1} of {most}, {side}"
            runs = 2 * done + (side != first)
            self._report_progress(words, number, runs / (2 * expected), expected)

        return await measure_pair(self.guests, self.jobs[number], first=first, note=note)

    def _report_progress(self, words: str, job: int, part: float, expected: int) -> None:
        """Reports the completed part of a job, and the remaining time at the current pace.

        The expected number of pairs grows if they spread more than those before, so that the same
        number of them is a smaller part; the reported part stays the same then.
        """
        lengths_s = [estimate_pair_s(one) * expected for one in self.jobs]
        passed_s = sum(lengths_s[:job]) + lengths_s[job] * part
        self.share = max(self.share, passed_s / sum(lengths_s))
        left_s = sum(lengths_s) - passed_s
        if passed_s:
            left_s *= (time.monotonic() - self.started_s) / passed_s
        if self.extent.time_s is not None and self.extent.until_verdict:
            ends_s = self.began_s + self.extent.time_s
            left_s = max(0.0, min(left_s, ends_s - time.monotonic()))
        self.report(Progress(share=self.share, words=words, left_s=left_s))


async def measure_pair(
    guests: Mapping[Side, BootedGuest],
    job: Job,
    *,
    first: Side,
    note: Callable[[Side], None] = lambda _: None,
) -> Pair:
    """Runs a job on each side, one right after the other.

    Args:
        guests: Both sides, as `boot_pair` gives them.
        job: The job.
        first: The side that runs first.
        note: Called with the side before its run.

    Raises:
        GuestError: A guest or its agent does not answer.
        ToolError: QEMU or fio failed.
    """
    runs: dict[Side, Measurement] = {}
    order: tuple[Side, Side] = ("A", "B") if first == "A" else ("B", "A")
    for side in order:
        note(side)
        runs[side] = await _measure_run(guests, side, job)
    return Pair(first=first, a=runs["A"], b=runs["B"])


async def _measure_run(guests: Mapping[Side, BootedGuest], side: Side, job: Job) -> Measurement:
    """Runs a job on one side, while the other one is stopped."""
    guest = guests[side]
    other = guests["B" if side == "A" else "A"]
    await other.process.qmp.stop()
    await guest.process.qmp.cont()
    argv = fio_argv(job, guest.device.path, scratch=True)
    length_s = job.ramp_s + job.runtime_s
    sampling = collect(guest.process.pid, interval_s=_SAMPLE_INTERVAL_S, names=guest.threads)
    try:
        async with sampling as samples:
            completed = await guest.agent.run(
                argv,
                timeout_s=length_s + _RUN_GRACE_S,
                first_poll_s=length_s + STARTUP_S / 2,
            )
    except GuestError as error:
        if guest.process.running:
            raise
        raise ToolError(
            f"QEMU with {guest.subject.name} ended during {job.name}",
            argv=guest.subject.argv,
            output=guest.process.output,
        ) from error
    end_s = time.monotonic() - TAIL_S
    if completed.status:
        raise ToolError(
            f"fio failed in the guest with {guest.subject.name} during {job.name}",
            argv=argv,
            status=completed.status,
            output=completed.stderr.decode("utf-8", "replace"),
        )
    return Measurement(
        figures=parse_fio(completed.stdout),
        threads=summarise_threads(samples, start_s=end_s - job.runtime_s, end_s=end_s),
    )


@asynccontextmanager
async def boot_pair(
    a: ComparedLayout, b: ComparedLayout, *, disk: str, boot: Boot, scratch_bytes: int
) -> AsyncIterator[dict[Side, BootedGuest]]:
    """Boots both guests at once, and ends them."""
    sides: tuple[tuple[Side, ComparedLayout], ...] = (("A", a), ("B", b))
    volumes = Volumes(scratch_bytes=scratch_bytes)
    if boot.accelerator == "tcg":
        boot = replace(boot, append=f"{boot.append} {TCG_CLOCK}")
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(open_runtime_folder())
        started: list[tuple[Side, ComparedLayout, Topology, QemuProcess, float]] = []
        for side, layout in sides:
            topology = stack.enter_context(place_volumes(layout.topology, volumes))
            extra = (
                *boot.extra,
                *agent_argv(folder / side, bus=find_root_bus(layout.machine, topology)),
            )
            argv = render_boot(layout.machine, topology, replace(boot, extra=extra))
            process = await stack.enter_async_context(QemuProcess.start(argv))
            started.append((side, layout, topology, process, time.monotonic()))
        guests: dict[Side, BootedGuest] = {}
        for side, layout, topology, process, at_s in started:
            agent = await stack.enter_async_context(_connect(folder / side, layout, process))
            boot_s = time.monotonic() - at_s
            live = await _observe(process, topology)
            placed = _add_addresses(topology, live)
            devices = await _wait_for_disks(agent, topology)
            guests[side] = BootedGuest(
                process=process,
                agent=agent,
                device=pick_device(devices, placed, find_disk(layout, disk)),
                threads=name_threads(process.pid, await ask_threads(process.qmp)),
                subject=Subject(
                    name=layout.name,
                    title=layout.title,
                    topology=live,
                    argv=process.argv,
                    config_argv=layout.config_argv,
                    boot_s=boot_s,
                ),
            )
        yield guests


@asynccontextmanager
async def _connect(
    socket: Path, layout: ComparedLayout, process: QemuProcess
) -> AsyncIterator[Agent]:
    """Waits for a guest's agent; reports it if QEMU has ended instead."""
    async with AsyncExitStack() as stack:
        try:
            agent = await stack.enter_async_context(Agent.connect(socket, _BOOT_TIMEOUT_S))
        except GuestError as error:
            if process.running:
                raise GuestError(
                    f"the guest with {layout.name} did not boot: {error.message}",
                    hint="a guest given with --kernel and --initrd needs a guest agent",
                ) from error
            raise ToolError(
                f"QEMU with {layout.name} ended before its guest was up",
                argv=process.argv,
                output=process.output,
            ) from error
        yield agent


async def _observe(process: QemuProcess, planned: Topology) -> Topology:
    """Returns QEMU's report, with the plan's names, and effects of what QEMU does not know."""
    live = await read_running(process.qmp, pid=process.pid)
    known = {attached.qemu_id: attached for attached in planned.disks}
    return replace(
        live,
        disks=tuple(
            replace(
                found,
                disk=replace(found.disk, id=known[found.disk.id].disk.id),
                effects=known[found.disk.id].effects,
            )
            if found.disk.id in known
            else found
            for found in live.disks
        ),
    )


def _add_addresses(planned: Topology, live: Topology) -> Topology:
    """Returns a layout with the PCI addresses that QEMU chose, by which a guest is asked."""
    chosen = {each.id: each.pci for each in live.controllers}
    return replace(
        planned,
        controllers=tuple(
            each if each.pci is not None else replace(each, pci=chosen.get(each.id))
            for each in planned.controllers
        ),
    )


async def _wait_for_disks(agent: Agent, topology: Topology) -> tuple[BlockDevice, ...]:
    """Returns a guest's disks once all are there, because kernels probe them in the background.

    A disk behind a controller without a driver never appears; then the others are returned.
    """
    expected = sum(
        attached.disk.media == "disk" and attached.disk.backing is not None
        for attached in topology.disks
    )
    deadline_s = time.monotonic() + _DISKS_TIMEOUT_S
    while True:
        devices = await agent.disks()
        found = sum(device.name.startswith(("sd", "vd")) for device in devices)
        if found >= expected or time.monotonic() > deadline_s:
            return devices
        await asyncio.sleep(_DISKS_INTERVAL_S)


def find_disk(layout: ComparedLayout, disk: str) -> AttachedDisk:
    """Returns the disk with that id.

    Raises:
        UsageError: The layout has no such disk that can be measured.
    """
    attached = layout.topology.find_disk(disk)
    known = [one.disk.id for one in layout.topology.disks if one.disk.media == "disk"]
    if attached is None or disk not in known:
        raise UsageError(
            f"{layout.name} has no disk '{disk}'",
            hint=f"it has {', '.join(known[:20])}; choose with --disk" if known else "",
        )
    return attached
