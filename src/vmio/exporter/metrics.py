"""Every metric: its name, kind, labels and meaning, and where its figures come from.

docs/metrics.md is made of this table.

Source: Prometheus, "Metric and label naming" and "Writing exporters": base units, `_total` on
counters, metadata in `_info`, labels of few values, figures of the moment of the scrape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal

from msgspec import Struct

from vmio import __version__
from vmio.exporter.figures import MAX_DISKS, GuestFigures, HostFigures
from vmio.exporter.labels import make_value
from vmio.model.topology import AttachedDisk
from vmio.observe.sample import DiskSample, Limits, Operations, QueueSample, Role
from vmio.observe.totals import COARSE_BOUNDARIES_NS, ThreadTotals

__all__ = [
    "GUEST_METRICS",
    "HOST_METRICS",
    "GuestHistogram",
    "GuestMetric",
    "HistogramPoint",
    "HostMetric",
    "Kind",
    "Metric",
    "Point",
]

Kind = Literal["counter", "gauge", "histogram", "info"]
Point = tuple[tuple[str, ...], float]
"""The values of a metric's labels, and its value."""
HistogramPoint = tuple[tuple[str, ...], Sequence[int], float]
"""The values of the labels, the counts of the bins, and the sum of what was observed."""

_NS: Final = 1e9
_MAX_SERIES: Final = 1024
"""Of a guest in one metric, where nothing else bounds them."""
_MAX_SERVERS: Final = 64
"""Of a disk."""
_ROLES: Final[Mapping[Role, str]] = {
    "main loop": "main",
    "iothread": "iothread",
    "vcpu": "vcpu",
    "worker": "pool",
    "io_uring": "io_uring",
    "other": "other",
}


class Metric(Struct, frozen=True, kw_only=True):
    """A family of series."""

    name: str
    """Without the suffix of its kind."""
    kind: Kind
    help: str
    """A clause; the unit is in the name."""
    labels: tuple[str, ...] = ()
    """Of a guest's metrics, `guest` is the first."""
    option: str = ""
    """The option of `vmio exporter` that it requires."""

    @property
    def series(self) -> str:
        """Its name in queries; a histogram's has `_bucket`, `_sum` and `_count` behind it."""
        return self.name + {"counter": "_total", "info": "_info"}.get(self.kind, "")


class GuestMetric(Metric, frozen=True, kw_only=True):
    """A metric of each guest."""

    read: Callable[[GuestFigures], Iterable[Point]]
    """Returns the points of a guest; labels without the guest's name."""


class GuestHistogram(Metric, frozen=True, kw_only=True):
    """A histogram of each guest."""

    boundaries: tuple[float, ...]
    """Of its bins, in its unit."""
    read: Callable[[GuestFigures], Iterable[HistogramPoint]]
    """Returns the points of a guest; labels without the guest's name."""


class HostMetric(Metric, frozen=True, kw_only=True):
    """A metric of the exporter itself."""

    read: Callable[[HostFigures], Iterable[Point]]


# --- guests --------------------------------------------------------------------------------------


def _describe_guest(figures: GuestFigures) -> Iterator[Point]:
    guest = figures.reading.guest
    version = figures.reading.observation.qemu_version
    namespace = guest.id.partition("/")[0] if guest.manager == "kubevirt" else ""
    values = (
        guest.name,
        "" if guest.manager == "none" else guest.manager,
        f"qemu/{guest.id}" if guest.manager == "proxmox" else "",
        guest.name if guest.manager == "libvirt" else "",
        namespace,
        guest.uuid,
        str(version) if version is not None else "",
    )
    yield tuple(map(make_value, values)), 1


def _is_read(figures: GuestFigures) -> bool:
    sample = figures.reading.observation.sample
    return sample is not None and sample.monitor in {"answered", "not asked"}


def _is_asked(figures: GuestFigures) -> Iterator[Point]:
    sample = figures.reading.observation.sample
    if sample is not None:
        yield (), float(sample.monitor != "not asked")


def _is_held(figures: GuestFigures) -> bool:
    sample = figures.reading.observation.sample
    return sample is not None and sample.monitor == "held by another"


def _describe_disk(figures: GuestFigures) -> Iterator[Point]:
    for name, each in figures.attached.items():
        values = (
            each.controller,
            ",".join(_list_servers(figures, each)),
            each.driver or _find_model(figures, each),
            each.cache or "",
            each.aio or "",
        )
        yield (name, *map(make_value, values)), 1


def _list_disk_threads(figures: GuestFigures) -> Iterator[Point]:
    for name, each in figures.attached.items():
        for thread in dict.fromkeys(map(make_value, _list_servers(figures, each)[:_MAX_SERVERS])):
            yield (name, thread), 1


def _list_servers(figures: GuestFigures, attached: AttachedDisk) -> Sequence[str]:
    layout = figures.reading.layout
    return layout.served_by(attached) if layout is not None else ()


def _find_model(figures: GuestFigures, attached: AttachedDisk) -> str:
    """Returns the device of a disk that is its own controller."""
    layout = figures.reading.layout
    controller = layout.find_controller(attached) if layout is not None else None
    return controller.model if controller is not None else ""


# --- threads -------------------------------------------------------------------------------------


def _read_cpu(figures: GuestFigures) -> Iterator[Point]:
    for name, each in figures.threads:
        for mode, used_ns in (("user", each.user_ns), ("system", each.system_ns)):
            if used_ns is not None:
                yield (_ROLES[each.role], name, mode), used_ns / _NS


def _read_threads(
    field: Callable[[ThreadTotals], int | None], scale: float = 1
) -> Callable[[GuestFigures], Iterator[Point]]:
    def read(figures: GuestFigures) -> Iterator[Point]:
        for name, each in figures.threads:
            value = field(each)
            if value is not None:
                yield (_ROLES[each.role], name), value / scale

    return read


def _read_poll_max(figures: GuestFigures) -> Iterator[Point]:
    layout = figures.reading.layout
    found = layout.iothreads[:_MAX_SERIES] if layout is not None else ()
    for each in found:
        if each.poll_max_ns is not None:
            yield (make_value(each.id),), each.poll_max_ns / _NS


def _read_polling(figures: GuestFigures) -> Iterator[Point]:
    for name, polled_s in figures.totals.poll_s[:_MAX_SERIES]:
        yield (make_value(name),), polled_s


# --- disks ---------------------------------------------------------------------------------------


def _read_disks(
    field: Callable[[DiskSample], float | None], scale: float = 1
) -> Callable[[GuestFigures], Iterator[Point]]:
    def read(figures: GuestFigures) -> Iterator[Point]:
        for name, each in figures.disks:
            value = field(each)
            if value is not None:
                yield (name,), value / scale

    return read


def _make_disk_metrics(
    operation: str, choose: Callable[[DiskSample], Operations]
) -> Iterator[GuestMetric]:
    """Returns the counters of one kind of operation; a flush has no bytes."""
    requests = f"{operation} requests"
    title = requests.capitalize()
    counters: list[tuple[str, str, Callable[[DiskSample], int | None], float]] = [
        ("requests", f"{title} completed", lambda disk: choose(disk).count, 1),
        (
            "bytes",
            f"Bytes of completed {requests}",
            lambda disk: choose(disk).transferred_bytes,
            1,
        ),
        (
            "time_seconds",
            f"Time from when QEMU took {requests} until it completed them, throttling included",
            lambda disk: choose(disk).time_ns,
            _NS,
        ),
        ("failed_requests", f"{title} that failed", lambda disk: choose(disk).failed, 1),
    ]
    for name, words, field, scale in counters:
        if (operation, name) != ("flush", "bytes"):
            yield GuestMetric(
                name=f"vmio_disk_{operation}_{name}",
                kind="counter",
                help=words,
                labels=("guest", "disk"),
                read=_read_disks(field, scale),
            )


def _read_limits(
    *kinds: tuple[str, Callable[[Limits], float | None]],
) -> Callable[[GuestFigures], Iterator[Point]]:
    def read(figures: GuestFigures) -> Iterator[Point]:
        for name, each in figures.disks:
            for operation, field in kinds:
                limit = field(each.limits) if each.limits is not None else None
                if limit is not None:
                    yield (name, operation), limit

    return read


def _read_latencies(figures: GuestFigures) -> Iterator[HistogramPoint]:
    shown = {name for name, _ in figures.disks}
    for each in figures.totals.latencies:
        name = make_value(each.disk)
        if name in shown:
            yield (name, each.operation), each.histogram.counts, each.time_ns / _NS


def _read_queues(
    field: Callable[[QueueSample], int],
) -> Callable[[GuestFigures], Iterator[Point]]:
    def read(figures: GuestFigures) -> Iterator[Point]:
        sample = figures.reading.observation.sample
        found = sample.queues if sample is not None else ()
        unique = {(make_value(each.device), str(each.index)): each for each in found}
        for labels, each in unique.items():
            yield labels, field(each)

    return read


def _read_verdicts(figures: GuestFigures) -> Iterator[Point]:
    found = {(each.kind, make_value(each.subject)) for each in figures.reading.verdicts}
    for labels in sorted(found)[:_MAX_SERIES]:
        yield labels, 1


def _read_disk_count(figures: GuestFigures) -> Iterator[Point]:
    sample = figures.reading.observation.sample
    if sample is not None and sample.disks:
        yield (), len(sample.disks)


# --- all of them ---------------------------------------------------------------------------------

GUEST_METRICS: Final[tuple[GuestMetric | GuestHistogram, ...]] = (
    GuestMetric(
        name="vmio_guest",
        kind="info",
        help="A running guest, with its manager (proxmox, libvirt, kubevirt; empty if started by"
        " hand); id joins pve_* metrics, domain those of libvirt, namespace and name those of"
        " KubeVirt",
        labels=(
            *("guest", "name", "manager", "id", "domain", "namespace", "uuid"),
            "qemu_version",
        ),
        read=_describe_guest,
    ),
    GuestMetric(
        name="vmio_guest_start_time_seconds",
        kind="gauge",
        help="When the guest's process started, since the Unix epoch",
        labels=("guest",),
        read=lambda figures: [((), figures.started_s)],
    ),
    GuestMetric(
        name="vmio_guest_sample_success",
        kind="gauge",
        help="Whether all that may be read of the guest was read: 0 if its monitor was in use,"
        " silent or failed, or if there was no time",
        labels=("guest",),
        read=lambda figures: [((), float(_is_read(figures)))],
    ),
    GuestMetric(
        name="vmio_guest_sample_duration_seconds",
        kind="gauge",
        help="How long it took to read the guest",
        labels=("guest",),
        read=lambda figures: [((), figures.reading.observation.duration_s)],
    ),
    GuestMetric(
        name="vmio_guest_monitor_busy",
        kind="gauge",
        help="Whether another client was connected to the guest's monitor, which was left alone",
        labels=("guest",),
        read=lambda figures: [((), float(_is_held(figures)))],
    ),
    GuestMetric(
        name="vmio_guest_monitor_usable",
        kind="gauge",
        help="Whether the guest's monitor is asked: 0 if it has none for programs, or its manager"
        " or another user has it alone, so that there are no metrics of its disks",
        labels=("guest",),
        read=_is_asked,
    ),
    GuestMetric(
        name="vmio_guest_disks",
        kind="gauge",
        help=f"Disks that the guest's monitor reports; the first {MAX_DISKS} have series",
        labels=("guest",),
        read=_read_disk_count,
    ),
    GuestMetric(
        name="vmio_verdict",
        kind="gauge",
        help="1 for each verdict in force: what limits the guest, and the thread or disk that it"
        " is about",
        labels=("guest", "kind", "subject"),
        read=_read_verdicts,
    ),
    GuestMetric(
        name="vmio_thread_cpu_seconds",
        kind="counter",
        help="Processor time of threads by mode, user or system; ended threads included",
        labels=("guest", "role", "thread", "mode"),
        read=_read_cpu,
    ),
    GuestMetric(
        name="vmio_thread_run_delay_seconds",
        kind="counter",
        help="Time that threads were ready to run and had no processor",
        labels=("guest", "role", "thread"),
        read=_read_threads(lambda each: each.run_delay_ns, _NS),
    ),
    GuestMetric(
        name="vmio_thread_sleeps",
        kind="counter",
        help="How often threads went to sleep (voluntary context switches)",
        labels=("guest", "role", "thread"),
        read=_read_threads(lambda each: each.voluntary_switches),
    ),
    GuestMetric(
        name="vmio_thread_preemptions",
        kind="counter",
        help="How often a processor was taken from threads (involuntary context switches)",
        labels=("guest", "role", "thread"),
        read=_read_threads(lambda each: each.involuntary_switches),
    ),
    GuestMetric(
        name="vmio_thread_processor",
        kind="gauge",
        help="The host processor on which the thread runs or ran last",
        labels=("guest", "role", "thread"),
        read=_read_threads(lambda each: each.processor),
    ),
    GuestMetric(
        name="vmio_iothread_poll_max_seconds",
        kind="gauge",
        help="poll-max-ns of the IOThread: how long it may poll before it sleeps",
        labels=("guest", "thread"),
        read=_read_poll_max,
    ),
    GuestMetric(
        name="vmio_iothread_poll_estimated_seconds",
        kind="counter",
        help="Estimated time that the IOThread spent on polling while the exporter ran, from its"
        " processor time and user share",
        labels=("guest", "thread"),
        read=_read_polling,
    ),
    GuestMetric(
        name="vmio_disk",
        kind="info",
        help="A disk, with the controller it is attached to, what serves it (an IOThread, several"
        " with commas, or main loop), and how it is opened",
        labels=("guest", "disk", "controller", "iothread", "driver", "cache", "aio"),
        read=_describe_disk,
    ),
    GuestMetric(
        name="vmio_disk_thread",
        kind="info",
        help="A disk and a thread that serves it, to join its metrics with the thread's; a disk"
        " whose queues are mapped to several has one for each",
        labels=("guest", "disk", "thread"),
        read=_list_disk_threads,
    ),
    *_make_disk_metrics("read", lambda disk: disk.reads),
    *_make_disk_metrics("write", lambda disk: disk.writes),
    *_make_disk_metrics("flush", lambda disk: disk.flushes),
    *_make_disk_metrics("unmap", lambda disk: disk.unmaps),
    GuestMetric(
        name="vmio_disk_limit_requests_per_second",
        kind="gauge",
        help="Limit of the disk or its throttle group: of all requests, reads, or writes",
        labels=("guest", "disk", "operation"),
        read=_read_limits(
            ("all", lambda limits: limits.iops),
            ("read", lambda limits: limits.iops_read),
            ("write", lambda limits: limits.iops_write),
        ),
    ),
    GuestMetric(
        name="vmio_disk_limit_bytes_per_second",
        kind="gauge",
        help="Limit of the disk or its throttle group: of all bytes, those read, or written",
        labels=("guest", "disk", "operation"),
        read=_read_limits(
            ("all", lambda limits: limits.bytes_per_s),
            ("read", lambda limits: limits.bytes_per_s_read),
            ("write", lambda limits: limits.bytes_per_s_write),
        ),
    ),
    GuestHistogram(
        name="vmio_disk_latency_seconds",
        kind="histogram",
        help="Latency of requests by operation (read, write, flush), counted by QEMU while the"
        " exporter runs",
        labels=("guest", "disk", "operation"),
        option="--latencies",
        boundaries=tuple(each / _NS for each in COARSE_BOUNDARIES_NS),
        read=_read_latencies,
    ),
    GuestMetric(
        name="vmio_disk_inflight_requests",
        kind="gauge",
        help="Requests that QEMU has taken and not completed, of a disk with queues of its own",
        labels=("guest", "disk"),
        option="--queues",
        read=_read_disks(lambda disk: disk.in_flight),
    ),
    GuestMetric(
        name="vmio_virtqueue_inflight_requests",
        kind="gauge",
        help="Requests of a virtqueue that QEMU has taken and not completed; the device is a disk"
        " or a controller",
        labels=("guest", "device", "queue"),
        option="--queues",
        read=_read_queues(lambda queue: queue.in_flight),
    ),
    GuestMetric(
        name="vmio_virtqueue_size_requests",
        kind="gauge",
        help="Entries of a virtqueue's ring",
        labels=("guest", "device", "queue"),
        option="--queues",
        read=_read_queues(lambda queue: queue.size),
    ),
)

HOST_METRICS: Final[tuple[HostMetric, ...]] = (
    HostMetric(
        name="vmio_build",
        kind="info",
        help="The version of vmio",
        labels=("version",),
        read=lambda _: [((__version__,), 1)],
    ),
    HostMetric(
        name="vmio_guests",
        kind="gauge",
        help="Guests of this scrape",
        read=lambda figures: [((), len(figures.guests))],
    ),
    HostMetric(
        name="vmio_discovery_complete",
        kind="gauge",
        help="Whether this user may see all guests and their monitors",
        read=lambda figures: [((), float(not figures.look.unseen))],
    ),
    HostMetric(
        name="vmio_look_duration_seconds",
        kind="gauge",
        help="How long it took to read all guests",
        read=lambda figures: [((), figures.look.duration_s)],
    ),
)
