"""Two guests that are measured in turn; the other one is stopped meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from msgspec import Struct

from vmio import __version__
from vmio.bench.course import Course, Progress, run_pair
from vmio.bench.devices import pick_device
from vmio.bench.extent import Extent
from vmio.bench.host_facts import read_host_facts
from vmio.bench.jobs import Job
from vmio.bench.neighbours import Neighbour, name_unit, neighbour_argv, open_neighbour
from vmio.bench.result import (
    Comparison,
    Measurement,
    NeighbourFigures,
    Pair,
    Side,
    Subject,
)
from vmio.bench.runs import LoadTarget, check_host_fio, measure_alone, run_in_guest, run_on_host
from vmio.errors import GuestError, QmpError, ToolError, UsageError
from vmio.guest.agent import Agent, BlockDevice, agent_argv
from vmio.model.machine import Machine
from vmio.model.topology import AttachedDisk, Topology
from vmio.observe.running import read_running
from vmio.observe.threads import name_threads
from vmio.qemu.boot import (
    Boot,
    Volumes,
    find_root_bus,
    find_scratch_folder,
    place_volumes,
    render_boot,
)
from vmio.qemu.folder import open_runtime_folder
from vmio.qemu.process import QemuProcess
from vmio.qemu.qmp import QmpConnection
from vmio.qemu.threads import ask_threads
from vmio.units import format_bytes
from vmio.values import replace

__all__ = [
    "TCG_CLOCK",
    "BootedGuest",
    "ComparedLayout",
    "boot_pair",
    "compare",
    "find_disk",
    "measure_pair",
]

_BOOT_TIMEOUT_S = 180.0
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


class BootedGuest(Struct, frozen=True, kw_only=True):
    """A booted guest."""

    process: QemuProcess
    target: LoadTarget
    disk: str
    """The measured disk's id."""
    files: Mapping[str, str]
    """The scratch files of its disks, by the disks' ids."""
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
    neighbour: Neighbour | None = None,
    on_host: bool = False,
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
        neighbour: What keeps the main loop of the measured side busy; None for nothing.
        on_host: Whether each job also runs right on the host after each pair.
        accelerator_reason: Why `boot` has this accelerator, for the report.
        guest_description: The guest's kernel and packages, for the report.
        report: Called with the progress before each step.

    Raises:
        UsageError: No such disk.
        GuestError: A guest does not boot, or its agent does not answer.
        ToolError: QEMU or fio failed.
    """
    if on_host:
        check_host_fio()
    others = tuple({each.disk for job in jobs for each in job.all if each.disk})
    for layout in (a, b):
        for name in (disk, *others):
            find_disk(layout, name)
    host = read_host_facts()
    started_at = datetime.now(UTC)
    began_s = time.monotonic()
    report(Progress(share=0.0, words="booting both guests"))
    async with boot_pair(
        a, b, disk=disk, others=others, boot=boot, scratch_bytes=scratch_bytes, neighbour=neighbour
    ) as guests:
        course = Course(
            run=partial(_measure_run, guests),
            jobs=jobs,
            extent=extent,
            report=report,
            began_s=began_s,
            run_on_host=partial(_run_on_host, guests) if on_host else None,
        )
        await course.warm_up()
        beside = None if neighbour is None else await _measure_neighbour(guests, neighbour)
        results = [await course.run_job(number) for number in range(len(jobs))]
        qemu_version = str(guests["A"].process.qmp.version)
    report(Progress(share=1.0, words="done", left_s=0.0))
    return Comparison(
        a=guests["A"].subject,
        b=guests["B"].subject,
        disk=disk,
        volume=f"an empty sparse file of {format_bytes(scratch_bytes)} on each side",
        device=guests["A"].target.device,
        jobs=tuple(part for each in results for part in each.parts),
        neighbour=beside,
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


async def measure_pair(
    guests: Mapping[Side, BootedGuest],
    job: Job,
    *,
    first: Side,
    note: Callable[[Side], None] = lambda _: None,
) -> Pair:
    """Runs a job on each side, one right after the other, while the other one is stopped.

    Args:
        guests: Both sides, as `boot_pair` gives them.
        job: The job.
        first: The side that runs first.
        note: Called with the side before its run.

    Raises:
        GuestError: A guest or its agent does not answer.
        ToolError: QEMU or fio failed.
    """
    return await run_pair(partial(_measure_run, guests), job, first=first, note=note)


async def _measure_run(guests: Mapping[Side, BootedGuest], side: Side, job: Job) -> Measurement:
    """Runs a job on one side, while the other one is stopped."""
    await _wake(guests, side)
    return await run_in_guest(guests[side].target, job)


async def _wake(guests: Mapping[Side, BootedGuest], side: Side) -> None:
    """Resumes one side, while the other one is stopped."""
    await guests["B" if side == "A" else "A"].process.qmp.stop()
    await guests[side].process.qmp.cont()


async def _measure_neighbour(
    guests: Mapping[Side, BootedGuest], neighbour: Neighbour
) -> NeighbourFigures:
    """Returns how busy the main loops are with the neighbour and no load."""
    alone: dict[Side, float] = {}
    for side, guest in guests.items():
        await _wake(guests, side)
        alone[side] = await measure_alone(guest.target)
    return NeighbourFigures(
        name=neighbour.name,
        unit=name_unit(neighbour.kind),
        alone_a=alone["A"],
        alone_b=alone["B"],
    )


async def _run_on_host(guests: Mapping[Side, BootedGuest], job: Job) -> Measurement:
    """Runs a job on the files of A's disks, while both guests are stopped."""
    for guest in guests.values():
        await guest.process.qmp.stop()
    guest = guests["A"]
    return await run_on_host(job, guest.files[guest.disk], guest.files)


@asynccontextmanager
async def boot_pair(
    a: ComparedLayout,
    b: ComparedLayout,
    *,
    disk: str,
    others: Sequence[str] = (),
    boot: Boot,
    scratch_bytes: int,
    neighbour: Neighbour | None = None,
) -> AsyncIterator[dict[Side, BootedGuest]]:
    """Boots both guests at once, and ends them.

    Args:
        a: The first layout.
        b: The second one.
        disk: The disk that is measured, by its id.
        others: Further disks that loads run on.
        boot: How both are booted.
        scratch_bytes: Size of each side's empty files.
        neighbour: What can keep their main loops busy.
    """
    sides: tuple[tuple[Side, ComparedLayout], ...] = (("A", a), ("B", b))
    volumes = Volumes(scratch_bytes=scratch_bytes)
    if boot.accelerator == "tcg":
        boot = replace(boot, append=f"{boot.append} {TCG_CLOCK}")
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(open_runtime_folder())
        started: list[tuple[Side, ComparedLayout, Topology, QemuProcess, float]] = []
        for side, layout in sides:
            topology = stack.enter_context(place_volumes(layout.topology, volumes))
            own = folder / side
            own.mkdir(mode=0o700)
            bus = find_root_bus(layout.machine, topology)
            extra = (*boot.extra, *agent_argv(own / "agent", bus=bus))
            if neighbour is not None:
                extra = (*extra, *neighbour_argv(neighbour, own))
            argv = render_boot(layout.machine, topology, replace(boot, extra=extra))
            process = await stack.enter_async_context(QemuProcess.start(argv))
            started.append((side, layout, topology, process, time.monotonic()))
        guests: dict[Side, BootedGuest] = {}
        for side, layout, topology, process, at_s in started:
            own = folder / side
            agent = await stack.enter_async_context(_connect(own / "agent", layout, process))
            boot_s = time.monotonic() - at_s
            live = await _observe(process, topology)
            placed = _add_addresses(topology, live)
            seen = await _wait_for_disks(agent, topology)
            devices = {
                name: pick_device(seen, placed, find_disk(layout, name)).path
                for name in (disk, *others)
            }
            running = None
            if neighbour is not None:
                scratch = stack.enter_context(open_runtime_folder(Path(find_scratch_folder())))
                running = await stack.enter_async_context(
                    open_neighbour(neighbour, process.qmp, own, scratch)
                )
            guests[side] = BootedGuest(
                process=process,
                target=LoadTarget(
                    name=layout.name,
                    pid=process.pid,
                    agent=agent,
                    device=devices[disk],
                    devices=devices,
                    threads=name_threads(process.pid, await ask_threads(process.qmp)),
                    writable=True,
                    neighbour=running,
                    explain_end=partial(_explain_end, process, layout.name),
                    explain_stop=partial(_explain_stop, process.qmp, layout.name),
                ),
                disk=disk,
                files={
                    each.disk.id: each.disk.backing.filename
                    for each in topology.disks
                    if each.disk.backing is not None
                },
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


def _explain_end(process: QemuProcess, name: str) -> ToolError | None:
    """Returns that a guest's QEMU has ended, with what it said; None if it runs."""
    if process.running:
        return None
    return ToolError(
        f"QEMU with {name} ended during a run", argv=process.argv, output=process.output
    )


async def _explain_stop(monitor: QmpConnection, name: str) -> ToolError | None:
    """Returns that QEMU has stopped a guest since its scratch files cannot be written, or None."""
    with suppress(QmpError):
        status = await monitor.execute("query-status")
        if isinstance(status, dict) and status.get("status") == "io-error":
            folder = find_scratch_folder()
            return ToolError(
                f"QEMU stopped {name}: a scratch file in {folder} cannot be written",
                hint="its disk may be full: TMPDIR can name another, and --scratch less",
            )
    return None


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
