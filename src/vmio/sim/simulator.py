"""Predicts what a layout would do under a load, before anyone changes a guest.

A layout's disks, virtqueues and event loops become the records of `vmio.sim.events`, which is run
several times with different random numbers. It is run from two initial states, no polling and
polling for as long as allowed: if the results differ, the outcome is not one number, because a
real loop stays in whichever of the two states it entered.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from msgspec import Struct, structs

from vmio.errors import PlanError, UsageError
from vmio.model.capabilities import QemuVersion
from vmio.model.iothread import DEFAULT_POOL_MAX, MAIN_LOOP, MAX_POLL_WEIGHT, IOThread
from vmio.model.topology import AttachedDisk, Topology
from vmio.sim import events, kernel, records
from vmio.sim.monitor import can_poll, choose_monitor, keeps_scsi_event_queue
from vmio.sim.polling import (
    DEFAULT_MAX_NS,
    Generation,
    PollSettings,
    choose_generation,
    complete_settings,
)
from vmio.sim.profile import Profile, ServiceTimes
from vmio.sim.records import Devices, Ints, Loops, Queues, build_world, read_counts
from vmio.sim.statistics import student_t_quantile
from vmio.sim.workload import Workload

__all__ = [
    "PARAMETERS",
    "Estimate",
    "LoopEstimate",
    "Prediction",
    "Setup",
    "SimulatedRun",
    "pays_to_compile",
    "predict",
    "prepare",
    "run_once",
    "set_parameters",
]

MAX_REQUESTS: Final = 10_000_000
MAX_SEEDS: Final = 100

PARAMETERS: Final = ("poll_max_ns", "poll_grow", "poll_shrink", "poll_weight", "aio_max_batch")
_MAX_INT64: Final = 2**63 - 1
_SOCKETS: Final = frozenset({"curl", "http", "https", "iscsi", "nbd", "nfs", "ssh"})
"""Drivers that watch a socket, which has no poll callback. Source: QEMU 10.0.2, block/."""
_LOOP_RING: Final = QemuVersion(10, 2)
_AIO_BATCH: Final = 32
_AIO_SLOTS: Final = 1024
"""The default of `aio-max-batch`, and linux-aio's limit of it. Source: QEMU 10.0.2,
`block/linux-aio.c`."""
_SAMPLES: Final = 1 << 11
"""Service times drawn for each depth; they are repeated in the same order."""
_KERNEL_FROM: Final = 1_500_000
"""With fewer requests, compiling takes longer than it saves."""
_KEPT_FROM: Final = 100_000
"""With fewer, reading what was compiled before does."""
_CODES: Final[Mapping[Generation, int]] = {
    "loop": records.BY_LOOP,
    "handler": records.BY_HANDLER,
    "weighted": records.WEIGHTED,
}
# The difference from which two initial states count as two outcomes: more than repeated runs of a
# real guest differ.
_APART_RATIO: Final = 1.05
_APART_CPU: Final = 0.1
_FULL: Final = 0.97
"""Of all processors: small idle times between two threads are not used by either."""
_KEPT_UP: Final = 0.9
"""Of an open loop's rate; the mean of the random times of short runs is closer than this."""


class Estimate(Struct, frozen=True, kw_only=True):
    """A mean over seeds with its 95 % interval; the range of both outcomes if it is bistable."""

    mean: float
    low: float
    high: float


class LoopEstimate(Struct, frozen=True, kw_only=True):
    """One event loop."""

    id: str
    """An IOThread's id, or `MAIN_LOOP`."""
    cpu_share: Estimate
    """Processor time per time: 1 is one processor all the time."""
    polling_share: Estimate
    """The part of `cpu_share` spent polling."""
    work_share: Estimate
    """The rest of `cpu_share`."""
    sleeps_per_request: Estimate
    """Per request of all loops."""
    polled_share: Estimate
    """The fraction of its waits that polling caught."""


class Prediction(Struct, frozen=True, kw_only=True):
    """The predicted behaviour of a layout."""

    profile: str
    workload: str
    qemu_version: str
    seeds: int
    requests: int
    """The number counted in each run."""
    bistable: bool
    """Whether there are two possible outcomes, and the intervals span both."""
    iops: Estimate
    latency_mean_ns: Estimate
    latency_p50_ns: Estimate
    latency_p95_ns: Estimate
    latency_p99_ns: Estimate
    cpu_share: Estimate
    """All event loops together, with the main loop's work for interrupts."""
    vcpu_share: Estimate
    """Utilisation of the guest's vCPUs by these requests, 1 if always busy: near 1 the guest is
    the limit."""
    loops: tuple[LoopEstimate, ...]
    notes: tuple[str, ...]
    """What the model does not take into account for this layout."""
    warnings: tuple[str, ...] = ()
    """Why it may not apply to this guest's host; to be shown with every figure."""


class SimulatedRun(Struct, frozen=True, kw_only=True):
    """The result of one run."""

    iops: float
    latency_mean_ns: float
    latency_p50_ns: float
    latency_p95_ns: float
    latency_p99_ns: float
    cpu_share: float
    irq_cpu_share: float
    """Of the main loop, for interrupts; included in `cpu_share`."""
    vcpu_share: float
    """Of the vCPUs, on average."""
    interrupts: float
    """In the guest, per request."""
    loop_cpu_shares: tuple[float, ...]
    loop_polling_shares: tuple[float, ...]
    loop_sleeps: tuple[float, ...]
    """Per request."""
    loop_polled: tuple[float, ...]
    """The fraction of waits that polling caught."""

    def average(self, other: SimulatedRun) -> SimulatedRun:
        """Returns the mean of two runs."""
        middle: dict[str, Any] = {}
        for name, mine in structs.asdict(self).items():
            theirs = getattr(other, name)
            if isinstance(mine, tuple):
                middle[name] = tuple((a + b) / 2 for a, b in zip(mine, theirs, strict=True))
            else:
                middle[name] = (mine + theirs) / 2
        return SimulatedRun(**middle)


class _Queue(Struct, frozen=True, kw_only=True):
    """A virtqueue with a program on it."""

    loop: int
    disk: int
    vcpu: int
    engine: int
    depth: int


class Setup(Struct, frozen=True, kw_only=True):
    """A guest under a load, prepared for runs."""

    generation: Generation

    names: tuple[str, ...]
    settings: tuple[PollSettings, ...]
    can_poll: tuple[int, ...]
    is_main: tuple[int, ...]
    looks: tuple[int, ...]
    batches: tuple[int, ...]
    workers: tuple[int, ...]
    queues: tuple[_Queue, ...]
    disks: int
    vcpus: int

    @property
    def polls(self) -> bool:
        """Whether any loop can poll."""
        return any(
            settings.max_ns and can_poll
            for settings, can_poll in zip(self.settings, self.can_poll, strict=True)
        )

    notes: tuple[str, ...]


def set_parameters(topology: Topology, texts: Sequence[str], *, option: str = "--set") -> Topology:
    """Returns a layout with parameters of its IOThreads replaced.

    Args:
        topology: The layout.
        texts: Such as `ID.poll_max_ns=0`; without `ID.` it applies to all.
        option: The option that they were given with, for messages.

    Raises:
        UsageError: There is no such IOThread or parameter, or the value is not valid.
    """
    from vmio.values import replace

    iothreads = topology.iothreads
    for text in texts:
        where, _, value = text.partition("=")
        name, _, parameter = where.rpartition(".")
        if parameter not in PARAMETERS:
            raise UsageError(
                f"{option} {text[:80]!r}: '{parameter[:40]}' is no parameter of polling",
                hint=f"there are {', '.join(PARAMETERS)}, as in ID.poll_max_ns=0",
            )
        most = MAX_POLL_WEIGHT if parameter == "poll_weight" else _MAX_INT64
        if not (value.isascii() and value.isdigit() and len(value) < 20 and int(value) <= most):  # noqa: PLR2004 - the digits of an int64
            raise UsageError(f"{option} {text[:80]!r}: the value is from 0 to {most}")
        if not iothreads or (name and name not in {each.id for each in iothreads}):
            known = ", ".join(each.id for each in iothreads)
            raise UsageError(
                f"{option} {text[:80]!r}: there is no IOThread" + f" '{name[:60]}'" * bool(name),
                hint=f"there are {known}" if known else "the main loop serves all disks",
            )
        changed: dict[str, Any] = {parameter: int(value)}
        iothreads = tuple(
            replace(each, **changed) if name in ("", each.id) else each for each in iothreads
        )
    return replace(topology, iothreads=iothreads)


def pays_to_compile(requests: int) -> bool:
    """Returns whether so many requests take longer than getting the faster form first."""
    least = _KEPT_FROM if kernel.is_kept() else _KERNEL_FROM
    return requests > least and kernel.is_available()


def predict(
    topology: Topology,
    workload: Workload,
    *,
    profile: Profile,
    version: QemuVersion,
    seeds: int = 5,
    requests: int = 5_000,
    compiled: bool | None = None,
    warnings: tuple[str, ...] = (),
) -> Prediction:
    """Returns the prediction for a layout; the same arguments give the same result.

    Args:
        topology: The layout.
        workload: The load on every disk.
        profile: The cost of each step.
        version: The QEMU.
        seeds: How many runs from each initial state, at least 2.
        requests: How many requests of each run are counted, after a warm-up of a tenth of them.
        compiled: Whether to use the compiled form, which gives the same result; None: if that pays
            within this call.
        warnings: Warnings to include, as `vmio.sim.placing` returns them.

    Raises:
        CapabilityError: The polling algorithm of that QEMU is not known.
        PlanError: The layout has no disk.
        UsageError: The number of runs or requests is out of range.
    """
    if not 2 <= seeds <= MAX_SEEDS or not 100 <= requests <= MAX_REQUESTS:  # noqa: PLR2004 - a spread needs two
        raise UsageError(
            f"{seeds} seeds of {requests} requests cannot be simulated",
            hint=f"2 to {MAX_SEEDS} seeds, 100 to {MAX_REQUESTS} requests",
        )
    setup = prepare(topology, workload, version)
    if compiled is None:
        count = seeds * requests * (1 + setup.polls)
        compiled = kernel.is_compiled() or pays_to_compile(count)
    idle, grown = (
        [
            run_once(
                setup,
                workload,
                profile,
                seed=seed,
                requests=requests,
                grown=grown,
                compiled=compiled,
            )
            for seed in range(seeds)
        ]
        if setup.polls or not grown
        else []
        for grown in (False, True)
    )
    bistable = bool(grown) and _are_apart(idle, grown)

    def estimate(find: Callable[[SimulatedRun], float]) -> Estimate:
        if not bistable:
            pairs = zip(*filter(None, (idle, grown)), strict=True)
            return _estimate([sum(map(find, pair)) / len(pair) for pair in pairs])
        sides = [_estimate([find(run) for run in runs]) for runs in (idle, grown)]
        low, high = min(side.low for side in sides), max(side.high for side in sides)
        return Estimate(mean=math.fsum(side.mean for side in sides) / 2, low=low, high=high)

    loops = tuple(
        LoopEstimate(
            id=name,
            cpu_share=estimate(lambda run: run.loop_cpu_shares[at]),  # noqa: B023 - called at once
            polling_share=estimate(lambda run: run.loop_polling_shares[at]),  # noqa: B023
            work_share=estimate(
                lambda run: run.loop_cpu_shares[at] - run.loop_polling_shares[at]  # noqa: B023
            ),
            sleeps_per_request=estimate(lambda run: run.loop_sleeps[at]),  # noqa: B023
            polled_share=estimate(lambda run: run.loop_polled[at]),  # noqa: B023
        )
        for at, name in enumerate(setup.names)
    )
    iops = estimate(lambda run: run.iops)
    cpu_share = estimate(lambda run: run.cpu_share)
    vcpu_share = estimate(lambda run: run.vcpu_share)
    crowd = []
    if iops.high < workload.rate_per_s * setup.disks * _KEPT_UP:
        crowd.append(
            f"{workload.rate_per_s} requests a second for each disk are more than it can do: the"
            " latency grows without limit"
        )
    if vcpu_share.low > _FULL:
        crowd.append(
            "the vCPUs are busy with these requests all the time: they are the limit, not the"
            " event loops"
        )
    wanted = cpu_share.high + setup.vcpus * vcpu_share.high
    if wanted > profile.processors * _FULL:
        count = profile.processors
        crowd.append(
            f"event loops and vCPUs share only {count} processor{'s' * (count > 1)}, which"
            f" {'are' if count > 1 else 'is'} fully used"
        )
    return Prediction(
        profile=profile.name if profile.is_this_host else f"{profile.name}, not this host",
        workload=workload.name,
        qemu_version=str(version),
        seeds=seeds,
        requests=requests,
        bistable=bistable,
        iops=iops,
        latency_mean_ns=estimate(lambda run: run.latency_mean_ns),
        latency_p50_ns=estimate(lambda run: run.latency_p50_ns),
        latency_p95_ns=estimate(lambda run: run.latency_p95_ns),
        latency_p99_ns=estimate(lambda run: run.latency_p99_ns),
        cpu_share=cpu_share,
        vcpu_share=vcpu_share,
        loops=loops,
        notes=(*setup.notes, *_note_depth(setup, workload, profile), *crowd),
        warnings=warnings,
    )


def _estimate(values: Sequence[float]) -> Estimate:
    mean = math.fsum(values) / len(values)
    variance = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
    spread = student_t_quantile(0.975, len(values) - 1) * math.sqrt(variance / len(values))
    return Estimate(mean=mean, low=max(0.0, mean - spread), high=mean + spread)


def _are_apart(idle: Sequence[SimulatedRun], grown: Sequence[SimulatedRun]) -> bool:
    """Returns whether the two initial states gave two outcomes."""

    def order(find: Callable[[SimulatedRun], float]) -> tuple[Estimate, Estimate]:
        sides = (_estimate([find(run) for run in runs]) for runs in (idle, grown))
        less, more = sorted(sides, key=lambda side: side.mean)
        return less, more

    less, more = order(lambda run: run.iops)
    if more.mean > less.mean * _APART_RATIO and more.low > less.high:
        return True
    less, more = order(lambda run: run.cpu_share)
    return more.mean > less.mean + _APART_CPU and more.low > less.high


def prepare(topology: Topology, workload: Workload, version: QemuVersion) -> Setup:
    """Returns a guest's queues and loops under a load.

    Raises:
        CapabilityError: The polling algorithm of that QEMU is not known.
        PlanError: The layout has no disk.
    """
    generation = choose_generation(version)
    monitor = choose_monitor(version, fds=0, io_uring_usable=True)
    disks = [
        each
        for each in topology.disks
        if each.disk.media == "disk" and not topology.controller_of(each).served_outside
    ]
    if not disks:
        outside = any(each.served_outside for each in topology.controllers)
        which = " that QEMU serves itself" if outside else ""
        raise PlanError(f"there is no disk to simulate{which}")
    iothreads = {each.id: each for each in topology.iothreads}
    names: list[str] = []
    deaf: set[str] = set()
    notes: dict[str, None] = {}
    queues = []
    vcpus = max(1, min(topology.vcpus, len(disks) * workload.jobs))
    for number, attached in enumerate(disks):
        controller = topology.controller_of(attached)
        served = [queue.served_by for queue in topology.virtqueues_of(controller)]
        # Programs are spread over the vCPUs in turn, and each vCPU has its virtqueue, as in the
        # guest's kernel; two programs of a vCPU are one with the depth of both.
        programs = Counter((number * workload.jobs + job) % vcpus for job in range(workload.jobs))
        for vcpu, jobs in sorted(programs.items()):
            name = served[vcpu % len(served)]
            if name not in names:
                names.append(name)
            queues.append(
                _Queue(
                    loop=names.index(name),
                    disk=number,
                    vcpu=vcpu,
                    engine=_choose_engine(attached, version),
                    depth=0 if workload.rate_per_s else workload.depth * jobs,
                )
            )
            if controller.model.startswith("virtio-scsi") and keeps_scsi_event_queue(version):
                deaf.add(name)
                notes["virtio-scsi keeps its IOThread from polling before QEMU 10.0"] = None
            backing = attached.disk.backing
            if backing is not None and backing.driver in _SOCKETS and not can_poll(monitor, 1):
                deaf.add(name)
                notes[
                    f"the socket of {backing.driver} keeps its IOThread from polling while a"
                    " request is under way, before QEMU 10.2"
                ] = None
        notes.update(dict.fromkeys(_note_disk(attached, controller.takes_iothread)))
    if generation != "weighted" and any(
        each.poll_weight is not None for each in topology.iothreads
    ):
        notes["poll_weight is ignored: it exists since QEMU 11.1"] = None
    if any(each.served_outside for each in topology.controllers):
        notes["disks that QEMU does not serve itself are left out"] = None
    if len(queues) > len(disks):
        notes["jobs are assumed to be spread over the vCPUs, each with its own virtqueue"] = None
    return Setup(
        generation=generation,
        names=tuple(names),
        settings=tuple(_settings(iothreads.get(name), generation) for name in names),
        can_poll=tuple(0 if name in deaf or name == MAIN_LOOP else 1 for name in names),
        is_main=tuple(int(name == MAIN_LOOP) for name in names),
        looks=tuple(int(name == MAIN_LOOP or monitor == "io_uring") for name in names),
        batches=tuple(
            min((each and each.aio_max_batch) or _AIO_BATCH, _AIO_SLOTS)
            for each in map(iothreads.get, names)
        ),
        workers=tuple(
            (iothreads[name].thread_pool_max if name in iothreads else 0) or DEFAULT_POOL_MAX
            for name in names
        ),
        queues=tuple(queues),
        disks=len(disks),
        vcpus=vcpus,
        notes=tuple(notes),
    )


def _choose_engine(attached: AttachedDisk, version: QemuVersion) -> int:
    """Returns how a disk's requests reach it.

    Source: QEMU 10.0.2 and 10.2.2, `block/io_uring.c`, `util/fdmon-io_uring.c`: since 10.2 a loop
    waits with the same ring that it submits requests to.
    """
    if attached.aio == "threads":
        return records.THREADS
    if attached.aio == "io_uring":
        return records.IO_URING if version < _LOOP_RING else records.LOOP_RING
    return records.NATIVE


def _note_disk(attached: AttachedDisk, takes_iothread: bool) -> list[str]:  # noqa: FBT001 - one of a row of facts
    notes = []
    if not takes_iothread:
        notes.append("a device that is not virtio is assumed to have the costs of virtio")
    if attached.aio == "threads":
        notes.append("aio=threads: a worker is assumed to start as late as a loop wakes up")
    if attached.disk.limits:
        notes.append("throttling limits of disks are ignored")
    return notes


def _note_depth(setup: Setup, workload: Workload, profile: Profile) -> list[str]:
    deepest = profile.service[-1].depth
    depth = max(queue.depth for queue in setup.queues)
    if workload.rate_per_s or depth <= deepest:
        return []
    return [f"disks are assumed to be as fast with {depth} requests in flight as with {deepest}"]


def _settings(iothread: IOThread | None, generation: Generation) -> PollSettings:
    """Returns an IOThread's parameters in force; the main loop never polls."""
    if iothread is None:
        return complete_settings(PollSettings(max_ns=0), generation)
    max_ns = iothread.poll_max_ns
    return complete_settings(
        PollSettings(
            max_ns=DEFAULT_MAX_NS if max_ns is None else max_ns,
            grow=iothread.poll_grow or 0,
            shrink=iothread.poll_shrink or 0,
            weight=iothread.poll_weight or 0,
        ),
        generation,
    )


def run_once(
    setup: Setup,
    workload: Workload,
    profile: Profile,
    *,
    seed: int,
    requests: int,
    grown: bool = False,
    compiled: bool = False,
    interrupted: float | None = None,
) -> SimulatedRun:
    """Returns the result of one run.

    Args:
        setup: The guest.
        workload: The load on each disk.
        profile: The cost of each step.
        seed: The seed of the random times.
        requests: How many are counted.
        grown: Whether the loops start with the maximum polling time.
        compiled: Whether to use numba.
        interrupted: Fraction of the time that a vCPU is on the processor that handles the disks'
            interrupts; None for the expected value.
    """
    if interrupted is None:
        interrupted = _expect_interrupted(setup, profile)
    count, queues = len(setup.names), setup.queues
    # A rate is a disk's, and its queues share it.
    rates = [sum(other.disk == queue.disk for other in queues) for queue in queues]
    interval_ns = 10**9 // workload.rate_per_s if workload.rate_per_s else 0
    # A polling time that no longer applies cannot overflow 64 bits in the compiled form.
    longest_ns = [
        min(each.max_ns, 10**12) if can_poll else 0
        for each, can_poll in zip(setup.settings, setup.can_poll, strict=True)
    ]
    world = build_world(
        _CODES[setup.generation],
        loops=Loops(
            max_ns=longest_ns,
            grow=[min(each.grow, 10**6) for each in setup.settings],
            shrink=[each.shrink for each in setup.settings],
            weight=[each.weight for each in setup.settings],
            is_main=setup.is_main,
            looks=setup.looks,
            batch=setup.batches,
            workers=setup.workers,
            first_ns=longest_ns if grown else [0] * count,
        ),
        queues=Queues(
            loop=[queue.loop for queue in queues],
            device=[queue.disk for queue in queues],
            vcpu=[queue.vcpu for queue in queues],
            engine=[queue.engine for queue in queues],
            depth=[queue.depth for queue in queues],
            batch=[workload.batch] * len(queues),
            interval_ns=[interval_ns * share for share in rates],
            work_ns=[workload.work_ns] * len(queues),
            think_ns=[workload.think_ns] * len(queues),
        ),
        devices=_draw_devices(profile.service, setup.disks, seed),
        costs=profile.costs,
        processors=profile.processors,
        vcpu_disk_irq_ns=round(profile.costs.disk_irq_ns * interrupted),
        requests=requests,
        warm_up=requests // 10,
        gaps=_draw_gaps(seed) if workload.rate_per_s else (1024,),
    )
    (kernel if compiled else events).run(world)
    counts = read_counts(world)
    span_ns = counts.span_ns
    ordered = sorted(counts.latencies_ns)
    loop_cpu_ns = list(counts.cpu_ns)
    if 1 in setup.is_main:
        loop_cpu_ns[setup.is_main.index(1)] += counts.irq_cpu_ns
    waits = [polled + sleeps for polled, sleeps in zip(counts.polled, counts.sleeps, strict=True)]
    return SimulatedRun(
        iops=requests * 1e9 / span_ns,
        latency_mean_ns=sum(ordered) / requests,
        latency_p50_ns=ordered[requests * 50 // 100],
        latency_p95_ns=ordered[requests * 95 // 100],
        latency_p99_ns=ordered[requests * 99 // 100],
        cpu_share=(sum(counts.cpu_ns) + counts.irq_cpu_ns) / span_ns,
        irq_cpu_share=counts.irq_cpu_ns / span_ns,
        vcpu_share=sum(counts.vcpu_ns) / setup.vcpus / span_ns,
        interrupts=sum(counts.interrupts) / requests,
        loop_cpu_shares=tuple(each / span_ns for each in loop_cpu_ns),
        loop_polling_shares=tuple(each / span_ns for each in counts.polling_ns),
        loop_sleeps=tuple(each / requests for each in counts.sleeps),
        loop_polled=tuple(
            polled / max(1, all_waits)
            for polled, all_waits in zip(counts.polled, waits, strict=True)
        ),
    )


def _expect_interrupted(setup: Setup, profile: Profile) -> float:
    """Returns the fraction of time that a vCPU is on the processor with the disks' interrupts.

    The host places a thread that they wake up on that processor, and it stays there. If that is
    the main loop, the vCPUs run elsewhere; IOThreads and vCPUs end up on either. See
    docs/concepts/accuracy.md for the observation.
    """
    return 0.0 if all(setup.is_main) else 1 / profile.processors


@lru_cache(maxsize=64)
def _draw_devices(service: tuple[ServiceTimes, ...], disks: int, seed: int) -> Devices:
    """Draws service times; all disks are alike, but each has tables of its own.

    Between two measured depths, quantiles are assumed to grow linearly with the logarithm of the
    depth; there is a table for each power of two.
    """
    source = random.Random(seed)  # noqa: S311 - a simulation's, not a secret's
    most = service[-1].depth
    powers = [1 << power for power in range(most.bit_length())]
    samples: list[int] = []
    tables: list[int] = []
    for disk in range(disks):
        for power in powers:
            quantiles_ns = _interpolate(service, power)
            samples += [_draw(quantiles_ns, source) for _ in range(_SAMPLES)]
        tables += [disk * len(powers) + d.bit_length() - 1 for d in range(1, most + 1)]
    return Devices(samples=samples, size=_SAMPLES, tables=tables, most=most)


def _interpolate(service: tuple[ServiceTimes, ...], depth: int) -> Ints:
    """Returns the quantiles at a depth from those of its neighbours, which have equally many."""
    below = max((each for each in service if each.depth <= depth), key=lambda each: each.depth)
    above = min((each for each in service if each.depth >= depth), key=lambda each: each.depth)
    if above.depth == below.depth or len(above.quantiles_ns) != len(below.quantiles_ns):
        return below.quantiles_ns
    share = math.log(depth / below.depth) / math.log(above.depth / below.depth)
    return [
        round(low + (high - low) * share)
        for low, high in zip(below.quantiles_ns, above.quantiles_ns, strict=True)
    ]


@lru_cache(maxsize=16)
def _draw_gaps(seed: int) -> tuple[int, ...]:
    """Draws times between requests of an open loop."""
    source = random.Random(f"gaps {seed}")  # noqa: S311 - as above
    return tuple(round(source.expovariate(1 / 1024)) for _ in range(_SAMPLES))


def _draw(quantiles_ns: Ints, source: random.Random) -> int:
    place = source.random() * (len(quantiles_ns) - 1)
    below = int(place)
    low, high = quantiles_ns[below], quantiles_ns[below + 1]
    return round(low + (high - low) * (place - below))
