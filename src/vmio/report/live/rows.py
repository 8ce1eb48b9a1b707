"""Guests, threads and disks at one moment, as every face shows them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from msgspec import Struct

from vmio.managers.owners import Manager
from vmio.model.controller import Controller
from vmio.model.iothread import IOThread
from vmio.model.topology import AttachedDisk, Topology
from vmio.observe.percentiles import LatencyRange
from vmio.observe.polling import PollingEstimate
from vmio.observe.rates import DiskRates, OperationRates, Rates, ThreadRates, sum_by_owner
from vmio.observe.readings import Look, Reading
from vmio.observe.sample import (
    DiskSample,
    LimitKind,
    Limits,
    MonitorState,
    QueueSample,
    Role,
    ThreadSample,
)
from vmio.observe.verdicts.thresholds import LEAST_USED_S
from vmio.observe.verdicts.values import Verdict
from vmio.values import replace

__all__ = [
    "DiskRow",
    "GuestRow",
    "HostRows",
    "OperationRow",
    "QueueRow",
    "ThreadRow",
    "make_rows",
]

_HELPERS: Final = frozenset({"worker", "io_uring"})


class ThreadRow(Struct, frozen=True, kw_only=True):
    """A thread, or the helper threads of an event loop together; None is what is not known.

    Before a second look there is nothing but the names and what is set.
    """

    name: str
    """`main loop`, an IOThread's id, `vCPU 0`, `workers`, or what the kernel calls it."""
    role: Role
    owner: str | None = None
    """The event loop that it works for; None where it works for none, or nobody can tell."""
    count: int = 1
    """Threads in the row: more than one for helpers only."""
    thread_id: int | None = None
    """None for helpers, which come and go."""
    cpu_share: float | None = None
    """In processors: 1.0 is one processor all the time."""
    user_share: float | None = None
    """Of its processor time, 0 to 1: spent in QEMU's own code, polling included. None also where
    it used too little for the kernel's samples to tell."""
    run_delay_share: float | None = None
    """Of the time: it was ready to run and had no processor."""
    sleeps_per_s: float | None = None
    preemptions_per_s: float | None = None
    processor: int | None = None
    """On which it ran last."""
    node: int | None = None
    """NUMA node of that processor."""
    affinity: tuple[int, ...] | None = None
    """The processors that it may run on, in rising order."""
    poll_max_ns: int | None = None
    """An IOThread's parameters, as are the next two; None for other threads."""
    poll_grow: int | None = None
    poll_shrink: int | None = None
    poll_share: float | None = None
    """Estimated processors that go into polling, over the window of the verdicts."""
    poll_share_low: float | None = None
    poll_share_high: float | None = None
    """With `poll_share_low` about a 95 % interval."""


class OperationRow(Struct, frozen=True, kw_only=True):
    """What a disk did of one kind of operation; None is what is not known."""

    operations_per_s: float | None = None
    bytes_per_s: float | None = None
    latency_mean_ns: float | None = None
    """From when QEMU took a request until it completed it; None without a request, too."""
    latency_p50: LatencyRange | None = None
    """The bin of a histogram; None without one, and of too few requests."""
    latency_p99: LatencyRange | None = None
    depth_mean: float | None = None
    failed: int | None = None
    """Since the look before."""


class QueueRow(Struct, frozen=True, kw_only=True):
    """A virtqueue of requests."""

    index: int
    served_by: str
    in_flight: int | None = None
    """Requests that QEMU has taken and not completed; None where nobody asked."""
    size: int | None = None


class DiskRow(Struct, frozen=True, kw_only=True):
    """A disk, with its path to the host's processors."""

    id: str
    file: str = ""
    """What QEMU opens for it; empty if not known, as of a disk that was plugged since."""
    format: str = ""
    driver: str = ""
    """The block driver under the format."""
    device: str = ""
    """QEMU's device for the disk itself, such as scsi-hd."""
    cache: str = ""
    """The cache mode; empty if not known."""
    aio: str = ""
    controller: str = ""
    """Its controller's id; empty if not known."""
    model: str = ""
    """The controller's device."""
    served_by: tuple[str, ...] = ()
    """`main loop`, IOThreads, or what serves it outside of QEMU; empty if not known."""
    queues: tuple[QueueRow, ...] = ()
    reads: OperationRow = OperationRow()
    writes: OperationRow = OperationRow()
    flushes: OperationRow = OperationRow()
    unmaps: OperationRow = OperationRow()
    in_flight: int | None = None
    """Requests under way; None where nobody asked, or several disks share the queues."""
    limits: Limits | None = None
    """None where they are not known; no limits is `Limits()`."""
    binding: tuple[LimitKind, ...] | None = None
    """The limits that make requests wait; None where that is not known."""

    @property
    def operations_per_s(self) -> float | None:
        """Reads, writes, flushes and unmaps together."""
        return _add(each.operations_per_s for each in self.kinds)

    @property
    def bytes_per_s(self) -> float | None:
        """Reads and writes together."""
        return _add((self.reads.bytes_per_s, self.writes.bytes_per_s))

    @property
    def latency_mean_ns(self) -> float | None:
        """Over reads and writes, each request counted once; None without one."""
        pairs = [
            (each.operations_per_s, each.latency_mean_ns)
            for each in (self.reads, self.writes)
            if each.operations_per_s and each.latency_mean_ns is not None
        ]
        total = sum(rate for rate, _ in pairs if rate)
        return sum(rate * mean for rate, mean in pairs if rate and mean) / total if total else None

    @property
    def latency_p99(self) -> LatencyRange | None:
        """The worse one of reads and writes; None where neither has one."""
        found = [each.latency_p99 for each in (self.reads, self.writes) if each.latency_p99]
        return max(found, key=lambda each: each.low_ns, default=None)

    @property
    def depth_mean(self) -> float | None:
        """Requests of all kinds under way at once, on average."""
        return _add(each.depth_mean for each in self.kinds)

    @property
    def kinds(self) -> tuple[OperationRow, ...]:
        """Each kind of operation."""
        return (self.reads, self.writes, self.flushes, self.unmaps)


class GuestRow(Struct, frozen=True, kw_only=True):
    """A guest with its threads and disks; None is what is not known."""

    address: str
    """`pid:NUMBER`, which every verb takes."""
    started_ticks: int
    """With the process's number it tells the guest from all others of this host."""
    label: str
    """What people call it: `RunningGuest.label`."""
    id: str
    name: str
    manager: Manager
    uptime_s: float
    window_s: float | None = None
    """Since the look before, which the rates are of."""
    threads: tuple[ThreadRow, ...] = ()
    """The main loop, the IOThreads, the vCPUs, then what helps each loop and all others."""
    disks: tuple[DiskRow, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    """The worst first."""
    is_judged: bool = False
    """Whether there was a window to conclude from: no verdict then says that nothing limits it."""
    monitor: MonitorState = "not asked"
    notes: tuple[str, ...] = ()
    """What could not be read, a line each."""

    @property
    def cpu_share(self) -> float | None:
        """All threads together, in processors."""
        return _add(each.cpu_share for each in self.threads)

    @property
    def main_loop_share(self) -> float | None:
        """The main loop, in processors."""
        return self._add_role("main loop")

    @property
    def vcpu_share(self) -> float | None:
        """The vCPUs together, in processors; None without any."""
        return self._add_role("vcpu")

    @property
    def busiest_iothread(self) -> ThreadRow | None:
        """The IOThread that uses most; None without one, or before a second look."""
        known = [
            each for each in self.threads if each.role == "iothread" and each.cpu_share is not None
        ]
        return max(known, key=lambda each: each.cpu_share or 0.0, default=None)

    @property
    def run_delay_share(self) -> float | None:
        """Of the thread that waits for a processor most."""
        known = [each.run_delay_share for each in self.threads if each.run_delay_share is not None]
        return max(known, default=None)

    @property
    def operations_per_s(self) -> float | None:
        """All disks together."""
        return _add(each.operations_per_s for each in self.disks)

    @property
    def bytes_per_s(self) -> float | None:
        """All disks together."""
        return _add(each.bytes_per_s for each in self.disks)

    @property
    def latency_mean_ns(self) -> float | None:
        """Over the reads and writes of all disks; None without one."""
        pairs = [
            (_add((each.reads.operations_per_s, each.writes.operations_per_s)), mean)
            for each in self.disks
            if (mean := each.latency_mean_ns) is not None
        ]
        total = sum(rate for rate, _ in pairs if rate)
        return sum(rate * mean for rate, mean in pairs if rate) / total if total else None

    def find_thread(self, name: str) -> ThreadRow | None:
        """Returns the event loop of a name; None if there is none."""
        return next((each for each in self.threads if each.name == name), None)

    def _add_role(self, role: Role) -> float | None:
        return _add(each.cpu_share for each in self.threads if each.role == role)


class HostRows(Struct, frozen=True, kw_only=True):
    """All guests at one moment."""

    wall_ns: int
    """When, since 1970 in UTC."""
    duration_s: float
    """How long it took to look."""
    host_processors: int | None
    guests: tuple[GuestRow, ...]
    """In the order of their processes' numbers."""
    unseen: tuple[str, ...] = ()
    """What this user cannot see, a line each."""


def make_rows(look: Look, readings: Iterable[Reading]) -> HostRows:
    """Returns the rows of a look at all guests.

    Args:
        look: The look.
        readings: What `HostTracker.add` made of it.
    """
    return HostRows(
        wall_ns=look.wall_ns,
        duration_s=look.duration_s,
        host_processors=look.host_processors,
        guests=tuple(map(_make_guest, readings)),
        unseen=look.unseen,
    )


def _make_guest(reading: Reading) -> GuestRow:
    observation, guest = reading.observation, reading.guest
    sample = observation.sample
    notes = [guest.problem, observation.problem, *observation.notes]
    if sample is not None:
        notes.append(sample.monitor_note)
    return GuestRow(
        address=guest.address,
        started_ticks=guest.process.started_ticks,
        label=guest.label,
        id=guest.id,
        name=guest.name,
        manager=guest.manager,
        uptime_s=guest.uptime_s,
        window_s=reading.rates.duration_s if reading.rates is not None else None,
        threads=tuple(_list_threads(reading)),
        disks=tuple(_list_disks(reading)),
        verdicts=reading.verdicts,
        is_judged=reading.is_judged,
        monitor=sample.monitor if sample is not None else "not asked",
        notes=tuple(dict.fromkeys(filter(None, notes))),
    )


def _list_threads(reading: Reading) -> Iterator[ThreadRow]:
    sample, rates = reading.observation.sample, reading.rates
    if sample is None:
        return
    settings = {each.id: each for each in reading.layout.iothreads} if reading.layout else {}
    polling = {each.name: each for each in reading.polling}
    known = {each.thread_id: each for each in rates.threads} if rates is not None else {}
    ranks: dict[Role, int] = {"main loop": 0, "iothread": 1, "vcpu": 2}
    rows = [
        (
            ranks.get(each.role, 3),
            _make_thread(
                each,
                known.get(each.thread_id),
                rates.duration_s if rates is not None else 0.0,
                settings.get(each.name) if each.role == "iothread" else None,
                polling.get(each.name),
            ),
        )
        for each in sample.threads
        if each.role not in _HELPERS
    ]
    yield from (row for rank, row in sorted(rows, key=lambda each: each[0]) if rank < len(ranks))
    yield from _list_helpers(reading)
    yield from (row for rank, row in rows if rank == len(ranks))


def _make_thread(
    thread: ThreadSample,
    rates: ThreadRates | None,
    duration_s: float,
    iothread: IOThread | None,
    polling: PollingEstimate | None,
) -> ThreadRow:
    is_loop = thread.role in {"main loop", "iothread"}
    return ThreadRow(
        name=thread.name,
        role=thread.role,
        owner=thread.name if is_loop else None,
        thread_id=thread.thread_id,
        cpu_share=rates.cpu_share if rates is not None else None,
        user_share=_find_user_share(rates, duration_s),
        run_delay_share=rates.run_delay_share if rates is not None else None,
        sleeps_per_s=rates.voluntary_switches_per_s if rates is not None else None,
        preemptions_per_s=rates.involuntary_switches_per_s if rates is not None else None,
        processor=rates.processor if rates is not None else None,
        node=rates.node if rates is not None else None,
        affinity=rates.affinity if rates is not None else None,
        poll_max_ns=iothread.poll_max_ns if iothread is not None else None,
        poll_grow=iothread.poll_grow if iothread is not None else None,
        poll_shrink=iothread.poll_shrink if iothread is not None else None,
        poll_share=polling.poll_share if polling is not None and is_loop else None,
        poll_share_low=polling.poll_share_low if polling is not None and is_loop else None,
        poll_share_high=polling.poll_share_high if polling is not None and is_loop else None,
    )


def _find_user_share(rates: ThreadRates | None, duration_s: float) -> float | None:
    """Returns the user share of a thread that the kernel saw run often enough to tell it."""
    if rates is None or rates.cpu_share * duration_s < LEAST_USED_S:
        return None
    return rates.user_share


def _list_helpers(reading: Reading) -> Iterator[ThreadRow]:
    """Yields the helper threads of each event loop together."""
    rates = reading.rates
    if rates is None:
        return
    for each in sum_by_owner(rates.threads):
        if each.worker_count:
            yield ThreadRow(
                name="workers",
                role="worker",
                owner=each.owner,
                count=each.worker_count,
                cpu_share=each.worker_cpu_share + each.io_uring_cpu_share,
            )


def _list_disks(reading: Reading) -> Iterator[DiskRow]:
    """Yields the disks of the layout in its order, then those that were plugged since."""
    layout, sample = reading.layout, reading.observation.sample
    sampled = {each.id: each for each in sample.disks} if sample is not None else {}
    rates = _index_rates(reading.rates)
    attached = {each.disk.id: each for each in layout.disks} if layout is not None else {}
    # A device without an id has a name of QEMU's own, and its drive the one of the command line.
    reported = {
        each.device if each.id not in attached and each.device in attached else each.id: each.id
        for each in sampled.values()
    }
    for identity in dict.fromkeys((*attached, *reported)):
        disk = attached.get(identity)
        name = reported.get(identity, identity)
        row = _measure_disk(identity, sampled.get(name), rates.get(name))
        if (
            layout is not None
            and disk is not None
            and (controller := layout.find_controller(disk)) is not None
        ):
            queues = sample.queues if sample is not None else ()
            row = replace(
                _place_disk(row, disk, controller),
                served_by=layout.served_by(disk),
                queues=tuple(_list_queues(layout, controller, identity, queues)),
            )
        yield row


def _index_rates(rates: Rates | None) -> Mapping[str, DiskRates]:
    return {each.id: each for each in rates.disks} if rates is not None else {}


def _measure_disk(identity: str, sampled: DiskSample | None, rates: DiskRates | None) -> DiskRow:
    """Returns the row of a disk with what it does."""
    none = OperationRow()
    return DiskRow(
        id=identity,
        reads=_make_operations(rates.reads) if rates is not None else none,
        writes=_make_operations(rates.writes) if rates is not None else none,
        flushes=_make_operations(rates.flushes) if rates is not None else none,
        unmaps=_make_operations(rates.unmaps) if rates is not None else none,
        in_flight=sampled.in_flight if sampled is not None else None,
        limits=sampled.limits if sampled is not None else None,
        binding=rates.binding if rates is not None else None,
    )


def _place_disk(row: DiskRow, attached: AttachedDisk, controller: Controller) -> DiskRow:
    """Returns the row of a disk with its place in the layout."""
    backing = attached.disk.backing
    return replace(
        row,
        file=backing.filename if backing is not None else "",
        format=backing.format if backing is not None else "",
        driver=backing.driver if backing is not None else "",
        device=attached.driver,
        cache=attached.cache or "",
        aio=attached.aio or "",
        controller=controller.id,
        model=controller.model,
    )


def _list_queues(
    layout: Topology, controller: Controller, disk: str, queues: Sequence[QueueSample]
) -> Iterator[QueueRow]:
    known = {each.index: each for each in queues if each.device in {controller.id, disk}}
    for each in layout.virtqueues_of(controller):
        found = known.get(each.index)
        yield QueueRow(
            index=each.index,
            served_by=each.served_by,
            in_flight=found.in_flight if found is not None else None,
            size=found.size if found is not None else None,
        )


def _make_operations(rates: OperationRates) -> OperationRow:
    return OperationRow(
        operations_per_s=rates.operations_per_s,
        bytes_per_s=rates.bytes_per_s,
        latency_mean_ns=rates.latency_mean_ns,
        latency_p50=rates.latency_p50,
        latency_p99=rates.latency_p99,
        depth_mean=rates.depth_mean,
        failed=rates.failed,
    )


def _add(values: Iterable[float | None]) -> float | None:
    """Returns the sum of what is known; None if nothing is."""
    known = [each for each in values if each is not None]
    return sum(known) if known else None
