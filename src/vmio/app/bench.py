"""Two layouts of a guest, measured against each other."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from vmio.app.guests import build_command, lay_out, load
from vmio.errors import CapabilityError, InputError, PlanError, UsageError
from vmio.units import parse_share, parse_size_bytes, parse_time_s
from vmio.values import replace

if TYPE_CHECKING:
    from vmio.bench.compare import ComparedLayout
    from vmio.bench.course import Progress
    from vmio.bench.extent import Extent
    from vmio.bench.in_guest import AgentPort, LiveGuest
    from vmio.bench.jobs import Job
    from vmio.bench.neighbours import Neighbour
    from vmio.bench.regression import Regressions
    from vmio.bench.result import Comparison
    from vmio.guest.image import GuestImage
    from vmio.managers.discovery import RunningGuest
    from vmio.model.host import Host
    from vmio.model.plan import LiveChange
    from vmio.model.topology import Topology
    from vmio.qemu.boot import Boot

__all__ = [
    "BENCH_MEMORY_MIB",
    "BenchInputs",
    "LiveBenchInputs",
    "compare_results",
    "find_live_guest",
    "parse_duration",
    "parse_jobs",
    "parse_scratch",
    "plan_extent",
    "prepare_bench",
    "prepare_live_bench",
    "read_jobs",
    "run_bench",
    "run_live_bench",
]

BENCH_MEMORY_MIB = 512
"""Memory of the benchmark guest; two guests have to fit beside each other."""
_PAIRS = 8
_MOST_PAIRS_UNTIL = 200
_MIN_SCRATCH_BYTES = 16 << 20
_MAX_DIGITS = 18
_TAINTED = (
    "libvirt passes commands to the guest's agent, and notes that in the domain's messages until"
    " it stops (tainted: custom guest agent control commands issued)"
)


class LiveBenchInputs(Struct, frozen=True, kw_only=True):
    """What is measured in a running guest."""

    live: LiveGuest
    changes: tuple[LiveChange, ...]
    """The parameters that are compared with those that it has."""
    disk: str
    jobs: tuple[Job, ...]
    note: str = ""
    """What else the person should know beforehand, in one line; empty for nothing."""


class BenchInputs(Struct, frozen=True, kw_only=True):
    """What is measured."""

    a: ComparedLayout
    b: ComparedLayout
    disk: str
    jobs: tuple[Job, ...]
    """Run one after the other; those of several disks at once are beside the first of them."""
    scratch_bytes: int
    neighbour: Neighbour | None = None
    """What keeps the main loop busy meanwhile."""
    on_host: bool = False
    """Whether each job also runs right on the host."""

    @property
    def are_alike(self) -> bool:
        """Whether both sides are the same layout, so that they differ by chance alone."""
        a, b = self.a, self.b
        return a.topology == b.topology and a.machine == b.machine

    @property
    def controllers(self) -> frozenset[str]:
        """The models of controllers that the benchmark guest needs drivers for."""
        return frozenset(
            each.model for side in (self.a, self.b) for each in side.topology.controllers
        )


def prepare_bench(
    a: str,
    b: str,
    *,
    host: Host,
    storage: str | None = None,
    disk: str | None = None,
    jobs: Sequence[str] = (),
    loads: Sequence[str] = (),
    recording: str | None = None,
    recorded_guest: str | None = None,
    neighbour: str | None = None,
    on_host: bool = False,
    runtime_s: float | None = None,
    scratch: str = "1G",
) -> BenchInputs:
    """Returns what is to be measured; nothing is booted.

    Args:
        a: The config whose layout the other is compared with.
        b: The other config.
        host: The host that both would run on.
        storage: The storage.cfg to use.
        disk: The disk to measure; None for the first disk that both have.
        jobs: Such as `rw=randread,bs=4k,iodepth=32`; the default jobs if there is no load at all.
        loads: Names of loads or fio's job files; those in the form `DISK=LOAD` run at once.
        recording: A recording of `vmio record`, whose guest's load is repeated.
        recorded_guest: The guest in it; None for the only one.
        neighbour: What keeps the main loop busy meanwhile, such as `monitor`; None for nothing.
        on_host: Whether each job also runs right on the host, on the same file.
        runtime_s: How long each run is measured, in seconds; None for the default.
        scratch: Size of the empty files that replace all disks.

    Raises:
        UsageError: A job, the size or the disk makes no sense.
        InputError: A config cannot be read.
    """
    from vmio.bench.compare import find_disk
    from vmio.bench.jobs import DEFAULT_JOBS
    from vmio.bench.neighbours import parse_neighbour

    busy = parse_neighbour(neighbour) if neighbour is not None else None
    parsed = read_jobs(jobs, loads, runtime_s=runtime_s)
    scratch_bytes = parse_scratch(scratch)
    layouts = [_load_layout(path, host, storage) for path in (a, b)]
    named = [part.disk for job in parsed for part in job.all if part.disk]
    if disk is None:
        disk = named[0] if named else _choose_disk(*layouts)
    if recording is not None:
        known = {each.disk.id for layout in layouts for each in layout.topology.disks}
        repeated = _repeat_recording(recording, recorded_guest, disk, known)
        parsed = (
            *parsed,
            repeated if runtime_s is None else replace(repeated, runtime_s=runtime_s),
        )
    elif recorded_guest is not None:
        raise UsageError("--live-guest belongs to --from-live")
    if not parsed:
        parsed = read_jobs([job.name for job in DEFAULT_JOBS], runtime_s=runtime_s)
    for layout in layouts:
        for name in {disk, *(part.disk for job in parsed for part in job.all if part.disk)}:
            find_disk(layout, name)
    return BenchInputs(
        a=layouts[0],
        b=layouts[1],
        disk=disk,
        jobs=parsed,
        scratch_bytes=scratch_bytes,
        neighbour=busy,
        on_host=on_host,
    )


def read_jobs(
    jobs: Sequence[str] = (), loads: Sequence[str] = (), *, runtime_s: float | None = None
) -> tuple[Job, ...]:
    """Returns jobs in the order in which they run.

    Args:
        jobs: Such as `rw=randread,bs=4k,iodepth=32`.
        loads: Names of loads or fio's job files; those in the form `DISK=LOAD` run at once.
        runtime_s: How long each run is measured, in seconds; None for what they say.

    Raises:
        UsageError: A job makes no sense, or there is no such load.
        InputError: A job file cannot be read, or has an option that vmio does not take.
    """
    from vmio.bench.jobs import parse_job
    from vmio.bench.loads import combine_jobs

    parsed = [parse_job(text, runtime_s=runtime_s) for text in jobs]
    at_once: list[Job] = []
    for text in loads:
        disk, _, name = text.partition("=")
        if not disk or not name:
            parsed.append(_read_load(text, runtime_s))
            continue
        one = _read_load(name, runtime_s)
        own = [
            replace(part, beside=(), disk=disk, name=f"{_clean(disk)}-{part.name}"[:40])
            for part in one.all
        ]
        at_once += own
    if at_once:
        parsed.append(combine_jobs(at_once))
    return tuple(parsed)


def _clean(disk: str) -> str:
    return re.sub(r"[^\w.+-]", "-", disk, flags=re.ASCII)[:16]


def _read_load(text: str, runtime_s: float | None) -> Job:
    from vmio.bench.loads import NAMED_LOADS, parse_job_file
    from vmio.host.files import is_there, read_source

    if text in NAMED_LOADS:
        job = NAMED_LOADS[text].job
        return job if runtime_s is None else replace(job, runtime_s=runtime_s)
    if not is_there(text):
        raise UsageError(
            f"--load {text[:80]}: there is no such load, and no such job file",
            hint=f"loads are {', '.join(NAMED_LOADS)}",
        )
    source = read_source(text)
    return parse_job_file(source.data.decode("utf-8", "replace"), text, runtime_s=runtime_s)


def _repeat_recording(path: str, guest: str | None, disk: str, known: Collection[str]) -> Job:
    """Returns the load of a recorded guest, on the disks of the same ids.

    A single disk stands for the measured one, whatever its id.
    """
    from vmio.bench.loads import combine_jobs, derive_loads
    from vmio.observe.recording import read_recording

    found = derive_loads(read_recording(path))
    guests = list(dict.fromkeys(each.guest for each in found))
    if guest is None and len(guests) == 1:
        guest = guests[0]
    names = ", ".join(guests[:20])
    if not guests:
        raise InputError(
            f"{path}: no disk in it did anything, or its guest's monitor was not asked"
        )
    if guest not in guests:
        raise UsageError(
            f"{path} has no guest '{guest[:80]}' with a load"
            if guest is not None
            else f"{path} has several guests",
            hint=f"choose with --live-guest: {names}",
        )
    own = [each for each in found if each.guest == guest]
    if len(own) == 1:
        return replace(own[0].job, disk="" if own[0].disk not in known else own[0].disk)
    missing = [each.disk for each in own if each.disk not in known]
    if missing:
        raise UsageError(
            f"{path}: '{guest}' used {', '.join(missing[:20])}, which the layouts do not have",
            hint=f"record one disk alone to repeat its load on {disk}",
        )
    return combine_jobs([replace(each.job, disk=each.disk) for each in own])


def prepare_live_bench(
    address: str,
    *,
    settings: Sequence[str],
    disk: str | None = None,
    jobs: Sequence[str] = (),
    loads: Sequence[str] = (),
    runtime_s: float | None = None,
    writable_file: str | None = None,
) -> LiveBenchInputs:
    """Returns what is to be measured in a running guest; it is not touched yet.

    Args:
        address: The guest: a VM's number or name, `pid:NUMBER` or `qmp:SOCKET`.
        settings: What is compared with what it has, as `PARAMETER=NUMBER` for all of its IOThreads
            or `IOTHREAD.PARAMETER=NUMBER` for one.
        disk: The disk to measure; None for the first one.
        jobs: As for `prepare_bench`.
        loads: As for `prepare_bench`, all on the one disk.
        runtime_s: How long each run is measured, in seconds; None for the default.
        writable_file: A file in the guest that may be overwritten; None to only read its disk.

    Raises:
        CapabilityError: Its monitor or its agent is its manager's alone, and that is not libvirt;
            or it has none.
        InputError: No such guest runs here, or its layout cannot be read.
        UsageError: A setting, a job or the disk makes no sense, or a job writes without a file.
    """
    from vmio.bench.jobs import DEFAULT_JOBS

    parsed = read_jobs(jobs, loads, runtime_s=runtime_s)
    parsed = parsed or read_jobs([job.name for job in DEFAULT_JOBS], runtime_s=runtime_s)
    live, disk, note = find_live_guest(
        address, disk=disk, jobs=parsed, writable_file=writable_file
    )
    return LiveBenchInputs(
        live=live,
        changes=_parse_settings(settings, live.topology),
        disk=disk,
        jobs=parsed,
        note=note,
    )


def find_live_guest(
    address: str, *, disk: str | None, jobs: Sequence[Job], writable_file: str | None
) -> tuple[LiveGuest, str, str]:
    """Returns a running guest that can be measured, and the disk; it is not touched yet.

    Args:
        address: The guest: a VM's number or name, `pid:NUMBER` or `qmp:SOCKET`.
        disk: The disk to measure; None for the first one.
        jobs: What is to run there.
        writable_file: A file in the guest that may be overwritten; None to only read its disk.

    Returns:
        The guest, the disk's id, and what else the person should know beforehand.

    Raises:
        CapabilityError: Its monitor or its agent is its manager's alone, and that is not libvirt;
            or it has none.
        InputError: No such guest runs here, or its layout cannot be read.
        UsageError: The disk makes no sense, or a job writes without a file.
    """
    from vmio.app.ps import list_running
    from vmio.bench.in_guest import LiveGuest

    found = list_running([address])
    for error in found.errors:
        raise error
    if len(found.guests) != 1:
        raise UsageError(f"{address[:80]} is {len(found.guests)} guests, and this takes one")
    (guest,) = found.guests
    name = guest.name or guest.id or guest.address
    layout = guest.layout
    if layout is None:
        raise InputError(guest.problem)
    for part in (part for job in jobs for part in job.all):
        if part.disk:
            raise UsageError(f"--load {part.disk}=...: one disk is measured in a running guest")
        if part.writes and writable_file is None:
            raise UsageError(
                f"job {part.name} writes, and {name} is somebody's guest",
                hint="name a file in the guest that may be overwritten with --allow-write FILE",
            )
    known = [each.disk.id for each in layout.disks if each.disk.media == "disk"]
    if disk is None and known:
        disk = known[0]
    if disk is None or disk not in known:
        raise UsageError(f"{name} has no disk '{disk}'", hint=f"it has {', '.join(known[:20])}")
    _check_monitor(guest, name)
    live = LiveGuest(
        guest=guest,
        name=name,
        topology=layout,
        agent=_find_agent(guest, name),
        writable_file=writable_file,
    )
    return live, disk, _TAINTED if guest.manager == "libvirt" else ""


def _check_monitor(guest: RunningGuest, name: str) -> None:
    """Refuses a guest whose parameters nobody sets from here.

    Raises:
        CapabilityError: Its monitor is its manager's alone, and that is not libvirt.
    """
    from vmio.observe.watching import choose_monitor

    monitor, reason = choose_monitor(guest)
    if monitor is None and guest.manager != "libvirt":
        raise CapabilityError(
            f"{name}: its parameters cannot be set from here: {reason}",
            hint="compare two recordings with vmio record, before and after a change",
        )


def _find_agent(guest: RunningGuest, name: str) -> AgentPort:
    """Returns how a guest's agent is reached.

    Raises:
        CapabilityError: There is none that others may connect to.
    """
    from vmio.bench.in_guest import AgentSocket, DomainAgent
    from vmio.formats.base import ReadContext
    from vmio.formats.qemu.monitors import find_agent
    from vmio.formats.qemu.reader import read_process_vm
    from vmio.managers.libvirt.running import find_daemon
    from vmio.model.host import Host
    from vmio.model.source import Source

    source = Source(name=guest.address, data=guest.process.command)
    options = read_process_vm(source, ReadContext(host=Host())).vm.options
    agent = find_agent(options)
    if agent is None:
        raise CapabilityError(
            f"{name} has no port for a guest agent",
            hint="with Proxmox VE: qm set ID --agent 1, and stop and start the guest;"
            " with libvirt: a channel with the target org.qemu.guest_agent.0",
        )
    if guest.manager == "libvirt":
        uri, reason = find_daemon(guest)
        if not uri:
            raise CapabilityError(f"{name}: its agent cannot be reached: {reason}")
        return DomainAgent(uri=uri, guest=guest)
    if guest.manager == "kubevirt" or agent.transport != "unix" or not agent.listens:
        raise CapabilityError(
            f"{name}: its guest agent is its manager's alone",
            hint="fio can be run in the guest by hand while vmio record records it",
        )
    return AgentSocket(pid=guest.process.pid, path=Path(agent.address))


def _parse_settings(settings: Sequence[str], layout: Topology) -> tuple[LiveChange, ...]:
    from vmio.managers.live import check_live
    from vmio.model.plan import LiveChange

    known = [each.id for each in layout.iothreads]
    changes: dict[tuple[str, str], LiveChange] = {}
    for text in settings:
        target, equals, number = text.partition("=")
        iothread, _, parameter = target.rpartition(".")
        if not equals or not number.isdecimal() or len(number) > _MAX_DIGITS:
            raise UsageError(
                f"--live {text[:80]}: not of the form PARAMETER=NUMBER",
                hint="as in --live poll-max-ns=0, or iothread0.poll-max-ns=0 for one IOThread",
            )
        if not known or (iothread and iothread not in known):
            raise UsageError(
                f"--live {text[:80]}: there is no such IOThread",
                hint=f"it has {', '.join(known[:20]) or 'none'}",
            )
        for each in [iothread] if iothread else known:
            change = LiveChange(path=f"/objects/{each}", property=parameter, new=int(number))
            changes[change.path, change.property] = change
    if not changes:
        raise UsageError(
            "nothing to compare the running guest with", hint="give --live poll-max-ns=0 or so"
        )
    check_live(list(changes.values()))
    return tuple(changes.values())


async def run_live_bench(
    inputs: LiveBenchInputs,
    *,
    extent: Extent | None = None,
    folder: Path | None = None,
    report: Callable[[Progress], None] = lambda _: None,
) -> Comparison:
    """Measures a running guest as it is (A) and with other parameters (B), in pairs.

    Its parameters are as before when it returns, however it ends. If vmio is killed, the next run
    on the guest, an autopilot or `restore_polling` puts them back.

    Args:
        inputs: What is measured.
        extent: How many pairs are measured, as `plan_extent` returns it; None for the default.
        folder: Where the guest's own parameters are kept meanwhile; None for this user's own.
        report: Called with the progress.

    Raises:
        CapabilityError: Its parameters cannot be set from here, or it lacks one.
        ConflictError: Somebody else is connected to its agent, or changes its parameters.
        GuestError: Its agent does not answer or must not run programs, or the guest has no fio.
        LibvirtError: libvirt does not answer, or refuses a value.
        OutputError: What its parameters are cannot be recorded.
        QmpError: A parameter cannot be set.
        ToolError: fio failed, or the guest has ended.
    """
    from vmio.bench.in_guest import compare_settings
    from vmio.managers.live_records import find_records_folder

    return await compare_settings(
        inputs.live,
        inputs.changes,
        jobs=inputs.jobs,
        extent=extent or plan_extent(inputs.jobs),
        disk=inputs.disk,
        folder=folder or find_records_folder(),
        report=report,
    )


def parse_jobs(texts: Sequence[str], *, runtime_s: float | None = None) -> tuple[Job, ...]:
    """Returns the jobs that texts such as `rw=randread,bs=4k,iodepth=32` name.

    Args:
        texts: The texts; the default jobs if empty.
        runtime_s: How long each run is measured, in seconds; None for the default.

    Raises:
        UsageError: A text is not a job.
    """
    from vmio.bench.jobs import DEFAULT_JOBS, parse_job

    names = texts or tuple(job.name for job in DEFAULT_JOBS)
    return tuple(parse_job(name, runtime_s=runtime_s) for name in names)


def parse_scratch(text: str) -> int:
    """Returns the size of the empty files that replace all disks, in bytes.

    Raises:
        UsageError: It is not a size, or too small for the jobs.
    """
    scratch_bytes = parse_size_bytes(text)
    if scratch_bytes is None or scratch_bytes < _MIN_SCRATCH_BYTES:
        raise UsageError(f"--scratch {text[:40]}: 16M is the least", hint="write it as 512M or 1G")
    return scratch_bytes


def parse_duration(text: str) -> float:
    """Returns how long a measurement may take, in seconds.

    Raises:
        UsageError: It is not a time such as `5m`, or shorter than a second.
    """
    time_s = parse_time_s(text)
    if time_s is None or time_s < 1:
        raise UsageError(
            f"--time {text[:40]}: not a time of a second or more", hint="write it as 5m"
        )
    return time_s


def plan_extent(
    jobs: Sequence[Job],
    *,
    pairs: int | None = None,
    margin: str | None = None,
    until: str | None = None,
    time: str | None = None,
    on_host: bool = False,
) -> Extent:
    """Returns how many pairs of each job are to be measured, before anything is.

    Args:
        jobs: What is to be measured.
        pairs: How many times each job runs on each side; with `until`, at most. None for 8, or at
            most 200 with `until`.
        margin: The difference that does not matter, such as `5%`, which None stands for.
        until: The margin with which each job is measured until it has a verdict.
        time: How long the comparison may take, such as `5m`: the number of pairs follows from it,
            and with `until` a job ends without a verdict when its part of the time is over.
        on_host: Whether each pair is followed by a run right on the host.

    Raises:
        UsageError: An option makes no sense, or two contradict each other.
    """
    from vmio.bench.extent import Extent, fit_pairs
    from vmio.bench.statistics import MARGIN

    if until is not None and margin is not None:
        raise UsageError("--until and --margin exclude each other", hint="--until has the margin")
    if time is not None and pairs is not None and until is None:
        raise UsageError(
            "--time and --pairs exclude each other", hint="--time decides the number of pairs"
        )
    time_s = None if time is None else parse_duration(time)
    runs = 3 if on_host else 2
    if until is not None:
        return Extent(
            pairs=pairs or _MOST_PAIRS_UNTIL,
            margin=_parse_margin("--until", until),
            until_verdict=True,
            time_s=time_s,
            runs=runs,
        )
    if time_s is not None:
        pairs = fit_pairs(jobs, time_s, runs=runs)
    return Extent(
        pairs=pairs or _PAIRS,
        margin=MARGIN if margin is None else _parse_margin("--margin", margin),
        runs=runs,
    )


async def run_bench(
    inputs: BenchInputs,
    how: Boot,
    image: GuestImage,
    *,
    extent: Extent | None = None,
    accelerator_reason: str = "",
    report: Callable[[Progress], None] = lambda _: None,
) -> Comparison:
    """Boots both layouts and measures a disk of each, in pairs, one while the other is stopped.

    Both guests and everything that belongs to them are gone when it returns, however it ends.

    Args:
        inputs: What is measured.
        how: How both are booted, with the benchmark guest's kernel.
        image: The benchmark guest.
        extent: How many pairs are measured, as `plan_extent` returns it; None for the default.
        accelerator_reason: Why `how` has its accelerator, for the report.
        report: Called with the progress.

    Raises:
        GuestError: A guest does not boot.
        ToolError: QEMU or fio failed.
    """
    from vmio.bench.compare import compare

    return await compare(
        inputs.a,
        inputs.b,
        jobs=inputs.jobs,
        extent=extent or plan_extent(inputs.jobs),
        disk=inputs.disk,
        boot=how,
        scratch_bytes=inputs.scratch_bytes,
        neighbour=inputs.neighbour,
        on_host=inputs.on_host,
        accelerator_reason=accelerator_reason,
        guest_description=image.description,
        report=report,
    )


def compare_results(old: str, new: str, *, margin: str | None = None) -> Regressions:
    """Returns what changed from one saved comparison to a later one; nothing is measured.

    Only the ratios of B to A are judged, because the figures of one side also contain what the
    host did differently at the two times. So A has to be the same reference in both.

    Args:
        old: The file with the earlier result, as `vmio bench --json` printed it.
        new: That with the later one.
        margin: The change that does not matter, such as `5%`, which None stands for.

    Raises:
        UsageError: The margin makes no sense, or the results cannot be compared.
        InputError: A file is not the result of a comparison.
    """
    from vmio.bench.regression import find_regressions
    from vmio.bench.statistics import MARGIN
    from vmio.host.files import read_source
    from vmio.report.comparison.saved import parse_comparison

    share = MARGIN if margin is None else _parse_margin("--margin", margin)
    saved = [parse_comparison(read_source(path)) for path in (old, new)]
    return find_regressions(saved[0], saved[1], margin=share)


def _parse_margin(option: str, text: str) -> float:
    from vmio.bench.statistics import MARGINS

    margin = parse_share(text)
    if margin is None or not MARGINS[0] <= margin <= MARGINS[1]:
        raise UsageError(
            f"{option} {text[:40]}: {MARGINS[0]:.1%} to {MARGINS[1]:.0%} can be decided",
            hint=f"write it as {option} 5%",
        )
    return margin


def _load_layout(path: str, host: Host, storage: str | None) -> ComparedLayout:
    from vmio.bench.compare import ComparedLayout

    guest = load(path, host=host, storage=storage)
    topology = lay_out(guest)
    try:
        arguments = build_command(guest, host)
    except PlanError:
        arguments = ()  # a config that Proxmox would refuse can still be measured
    return ComparedLayout(
        name=path,
        title=_name_controllers(topology),
        machine=guest.vm.machine,
        topology=topology,
        config_argv=tuple(word for argument in arguments for word in argument),
    )


def _name_controllers(topology: Topology) -> str:
    """Returns the models of the controllers that serve disks, each with its number."""
    counts = Counter(controller.model for controller in topology.controllers)
    names = (f"{model} x{count}" if count > 1 else model for model, count in counts.items())
    return ", ".join(names) or "no controller"


def _choose_disk(a: ComparedLayout, b: ComparedLayout) -> str:
    """Returns the first disk that both sides have."""
    for attached in a.topology.disks:
        other = b.topology.find_disk(attached.disk.id)
        if other is not None and {attached.disk.media, other.disk.media} == {"disk"}:
            return attached.disk.id
    raise UsageError(f"{a.name} and {b.name} have no disk in common")
