"""Two layouts of a guest, measured against each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from vmio.app.guests import build_command, lay_out, load
from vmio.errors import PlanError, UsageError
from vmio.units import parse_share, parse_size_bytes, parse_time_s

if TYPE_CHECKING:
    from vmio.bench.compare import ComparedLayout, Progress
    from vmio.bench.extent import Extent
    from vmio.bench.jobs import Job
    from vmio.bench.regression import Regressions
    from vmio.bench.result import Comparison
    from vmio.guest.image import GuestImage
    from vmio.model.host import Host
    from vmio.model.topology import Topology
    from vmio.qemu.boot import Boot

__all__ = [
    "BENCH_MEMORY_MIB",
    "BenchInputs",
    "compare_results",
    "parse_duration",
    "parse_jobs",
    "parse_scratch",
    "plan_extent",
    "prepare_bench",
    "run_bench",
]

BENCH_MEMORY_MIB = 512
"""Memory of the benchmark guest; two guests have to fit beside each other."""
_PAIRS = 8
_MOST_PAIRS_UNTIL = 200
_MIN_SCRATCH_BYTES = 16 << 20


class BenchInputs(Struct, frozen=True, kw_only=True):
    """What is measured."""

    a: ComparedLayout
    b: ComparedLayout
    disk: str
    jobs: tuple[Job, ...]
    scratch_bytes: int

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
        jobs: Such as `rw=randread,bs=4k,iodepth=32`; the default jobs if empty.
        runtime_s: How long each run is measured, in seconds; None for the default.
        scratch: Size of the empty files that replace all disks.

    Raises:
        UsageError: A job, the size or the disk makes no sense.
        InputError: A config cannot be read.
    """
    from vmio.bench.compare import find_disk

    parsed = parse_jobs(jobs, runtime_s=runtime_s)
    scratch_bytes = parse_scratch(scratch)
    layouts = [_load_layout(path, host, storage) for path in (a, b)]
    if disk is None:
        disk = _choose_disk(*layouts)
    for layout in layouts:
        find_disk(layout, disk)
    return BenchInputs(
        a=layouts[0], b=layouts[1], disk=disk, jobs=parsed, scratch_bytes=scratch_bytes
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
    if until is not None:
        return Extent(
            pairs=pairs or _MOST_PAIRS_UNTIL,
            margin=_parse_margin("--until", until),
            until_verdict=True,
            time_s=time_s,
        )
    if time_s is not None:
        pairs = fit_pairs(jobs, time_s)
    return Extent(
        pairs=pairs or _PAIRS,
        margin=MARGIN if margin is None else _parse_margin("--margin", margin),
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
