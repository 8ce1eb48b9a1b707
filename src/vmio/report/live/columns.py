"""The tables of running guests: what a line is about, and the columns of each view."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal

from msgspec import Struct

from vmio.characters import natural_key
from vmio.model.iothread import MAIN_LOOP
from vmio.observe.verdicts.thresholds import FULL, WAITS
from vmio.report.guests.age import format_age
from vmio.report.guests.order import rank_verdicts
from vmio.report.guests.words import MANAGERS
from vmio.report.live.figures import (
    UNKNOWN,
    Units,
    show_bytes,
    show_count,
    show_duration,
    show_processors,
    show_range,
    show_rate,
    show_share,
)
from vmio.report.live.rows import DiskRow, GuestRow, HostRows, ThreadRow
from vmio.report.verdicts.words import summarise_verdicts

__all__ = [
    "DEFAULT_SORT",
    "VIEWS",
    "Item",
    "LiveColumn",
    "Tone",
    "View",
    "list_items",
    "sort_items",
]

View = Literal["guests", "threads", "disks"]

Tone = Literal["", "bold", "good", "bad", "notable"]
"""How a cell stands out; each face has its own colours for these."""

SortKey = tuple[int, ...] | tuple[tuple[str, int], ...] | float | None


class Item(Struct, frozen=True, kw_only=True):
    """What a line of a table is about: a guest, or one of its threads or disks."""

    key: str
    """The same at each look, and no other item's ever."""
    guest: GuestRow
    thread: ThreadRow | None = None
    disk: DiskRow | None = None

    @property
    def trend(self) -> float | None:
        """The figure that its history is of: a thread's processors, else requests in a second."""
        if self.thread is not None:
            return self.thread.cpu_share
        return (self.disk or self.guest).operations_per_s


class LiveColumn(Struct, frozen=True, kw_only=True):
    """A column of a view."""

    key: str
    head: str
    show: Callable[[Item, Units], str]
    sort: Callable[[Item], SortKey]
    """What sorts its lines upwards; None for lines that come last."""
    tone: Callable[[Item], Tone] = lambda _: ""
    width: int
    """Of a cell in characters; of a column that grows, the least."""
    grows: bool = False
    """Whether it gets what width is left; its cells are cut if that is not enough."""
    right: bool = True
    leaves: int = 0
    """Columns leave a narrow screen in this order; those with 0 stay."""
    falls: bool = True
    """Whether it sorts downwards when it is chosen."""


def list_items(rows: HostRows, view: View) -> tuple[Item, ...]:
    """Returns the items of a view in the order of guests, threads and disks, each once.

    A recording, which anybody can write, may have a thread twice.
    """
    return tuple({each.key: each for each in _list_items(rows, view)}.values())


def _list_items(rows: HostRows, view: View) -> Iterable[Item]:
    for guest in rows.guests:
        name = f"{guest.address} {guest.started_ticks}"
        match view:
            case "guests":
                yield Item(key=name, guest=guest)
            case "threads":
                for thread in guest.threads:
                    part = thread.thread_id or f"{thread.name} of {thread.owner}"
                    yield Item(key=f"{name} thread {part}", guest=guest, thread=thread)
            case "disks":
                for disk in guest.disks:
                    yield Item(key=f"{name} disk {disk.id}", guest=guest, disk=disk)


def _of_thread(show: Callable[[ThreadRow, Units], str]) -> Callable[[Item, Units], str]:
    return lambda item, units: show(item.thread, units) if item.thread is not None else UNKNOWN


def _of_disk(show: Callable[[DiskRow, Units], str]) -> Callable[[Item, Units], str]:
    return lambda item, units: show(item.disk, units) if item.disk is not None else UNKNOWN


def _by_thread(sort: Callable[[ThreadRow], SortKey]) -> Callable[[Item], SortKey]:
    return lambda item: sort(item.thread) if item.thread is not None else None


def _by_disk(sort: Callable[[DiskRow], SortKey]) -> Callable[[Item], SortKey]:
    return lambda item: sort(item.disk) if item.disk is not None else None


def _mark_full(share: float | None) -> Tone:
    return "bad" if share is not None and share >= FULL[0] else ""


def _mark_wait(share: float | None) -> Tone:
    return "notable" if share is not None and share >= WAITS[0] else ""


def _mark_verdict(item: Item) -> Tone:
    guest = item.guest
    if not guest.is_judged:
        return ""
    if not guest.verdicts:
        return "good"
    return "bad" if guest.verdicts[0].severity == "warning" else ""


def _show_iothread(item: Item, units: Units) -> str:
    busiest = item.guest.busiest_iothread
    if busiest is None:
        return UNKNOWN
    return show_share(busiest.cpu_share, units)


def _show_thread(thread: ThreadRow) -> str:
    if thread.role == "worker":
        return f"{thread.count} of {thread.owner}" if thread.owner else f"{thread.count} workers"
    return thread.name


def _show_limit(disk: DiskRow) -> str:
    if disk.binding:
        return "reached"
    if disk.limits is None:
        return UNKNOWN
    return "set" if _has_limit(disk) else "none"


def _has_limit(disk: DiskRow) -> bool:
    limits = disk.limits
    return limits is not None and any(
        (
            limits.iops,
            limits.iops_read,
            limits.iops_write,
            limits.bytes_per_s,
            limits.bytes_per_s_read,
            limits.bytes_per_s_write,
        )
    )


_GUEST: Final = LiveColumn(
    key="guest",
    head="guest",
    show=lambda item, _: item.guest.label,
    sort=lambda item: natural_key(item.guest.label),
    tone=lambda _: "bold",
    width=12,
    grows=True,
    right=False,
    falls=False,
)

VIEWS: Final[Mapping[View, tuple[LiveColumn, ...]]] = {
    "guests": (
        _GUEST,
        LiveColumn(
            key="manager",
            head="manager",
            show=lambda item, _: MANAGERS[item.guest.manager],
            sort=lambda item: natural_key(MANAGERS[item.guest.manager]),
            width=8,
            right=False,
            leaves=3,
            falls=False,
        ),
        LiveColumn(
            key="up",
            head="up",
            show=lambda item, _: format_age(item.guest.uptime_s),
            sort=lambda item: item.guest.uptime_s,
            width=7,
            leaves=2,
        ),
        LiveColumn(
            key="cpu",
            head="CPU",
            show=lambda item, units: show_share(item.guest.cpu_share, units),
            sort=lambda item: item.guest.cpu_share,
            width=5,
            leaves=9,
        ),
        LiveColumn(
            key="main",
            head="main",
            show=lambda item, units: show_share(item.guest.main_loop_share, units),
            sort=lambda item: item.guest.main_loop_share,
            tone=lambda item: _mark_full(item.guest.main_loop_share),
            width=5,
            leaves=7,
        ),
        LiveColumn(
            key="iothread",
            head="IOThread",
            show=_show_iothread,
            sort=lambda item: getattr(item.guest.busiest_iothread, "cpu_share", None),
            tone=lambda item: _mark_full(getattr(item.guest.busiest_iothread, "cpu_share", None)),
            width=8,
            leaves=8,
        ),
        LiveColumn(
            key="vcpus",
            head="vCPUs",
            show=lambda item, units: show_share(item.guest.vcpu_share, units),
            sort=lambda item: item.guest.vcpu_share,
            width=5,
            leaves=4,
        ),
        LiveColumn(
            key="wait",
            head="waits",
            show=lambda item, units: show_share(item.guest.run_delay_share, units),
            sort=lambda item: item.guest.run_delay_share,
            tone=lambda item: _mark_wait(item.guest.run_delay_share),
            width=5,
            leaves=6,
        ),
        LiveColumn(
            key="requests",
            head="req/s",
            show=lambda item, units: show_rate(item.guest.operations_per_s, units),
            sort=lambda item: item.guest.operations_per_s,
            width=6,
        ),
        LiveColumn(
            key="bytes",
            head="bytes/s",
            show=lambda item, units: show_bytes(item.guest.bytes_per_s, units),
            sort=lambda item: item.guest.bytes_per_s,
            width=10,
            leaves=5,
        ),
        LiveColumn(
            key="latency",
            head="latency",
            show=lambda item, units: show_duration(item.guest.latency_mean_ns, units),
            sort=lambda item: item.guest.latency_mean_ns,
            width=8,
            leaves=10,
        ),
        LiveColumn(
            key="verdict",
            head="what limits it",
            show=lambda item, _: (
                summarise_verdicts(item.guest.verdicts) if item.guest.is_judged else UNKNOWN
            ),
            sort=lambda item: rank_verdicts(item.guest.verdicts if item.guest.is_judged else None),
            tone=_mark_verdict,
            width=20,
            grows=True,
            right=False,
            falls=False,
        ),
    ),
    "threads": (
        _GUEST,
        LiveColumn(
            key="thread",
            head="thread",
            show=_of_thread(lambda thread, _: _show_thread(thread)),
            sort=_by_thread(lambda thread: natural_key(_show_thread(thread))),
            width=10,
            grows=True,
            right=False,
            falls=False,
        ),
        LiveColumn(
            key="role",
            head="role",
            show=_of_thread(lambda thread, _: thread.role),
            sort=_by_thread(lambda thread: natural_key(thread.role)),
            width=9,
            right=False,
            leaves=5,
            falls=False,
        ),
        LiveColumn(
            key="tid",
            head="TID",
            show=_of_thread(lambda thread, _: show_count(thread.thread_id)),
            sort=_by_thread(lambda thread: thread.thread_id),
            width=7,
            leaves=1,
            falls=False,
        ),
        LiveColumn(
            key="cpu",
            head="CPU",
            show=_of_thread(lambda thread, units: show_share(thread.cpu_share, units)),
            sort=_by_thread(lambda thread: thread.cpu_share),
            tone=lambda item: _mark_full(item.thread.cpu_share if item.thread else None),
            width=5,
        ),
        LiveColumn(
            key="user",
            head="user",
            show=_of_thread(lambda thread, units: show_share(thread.user_share, units)),
            sort=_by_thread(lambda thread: thread.user_share),
            width=5,
            leaves=6,
        ),
        LiveColumn(
            key="wait",
            head="waits",
            show=_of_thread(lambda thread, units: show_share(thread.run_delay_share, units)),
            sort=_by_thread(lambda thread: thread.run_delay_share),
            tone=lambda item: _mark_wait(item.thread.run_delay_share if item.thread else None),
            width=5,
            leaves=9,
        ),
        LiveColumn(
            key="sleeps",
            head="sleeps/s",
            show=_of_thread(lambda thread, units: show_rate(thread.sleeps_per_s, units)),
            sort=_by_thread(lambda thread: thread.sleeps_per_s),
            width=8,
            leaves=4,
        ),
        LiveColumn(
            key="processor",
            head="on",
            show=_of_thread(lambda thread, _: show_count(thread.processor)),
            sort=_by_thread(lambda thread: thread.processor),
            width=4,
            leaves=8,
            falls=False,
        ),
        LiveColumn(
            key="affinity",
            head="may run on",
            show=_of_thread(lambda thread, _: show_processors(thread.affinity)),
            sort=_by_thread(lambda thread: thread.affinity),
            width=12,
            leaves=2,
            falls=False,
        ),
        LiveColumn(
            key="poll-max",
            head="poll max",
            show=_of_thread(lambda thread, units: show_duration(thread.poll_max_ns, units)),
            sort=_by_thread(lambda thread: thread.poll_max_ns),
            width=8,
            leaves=7,
        ),
        LiveColumn(
            key="polling",
            head="polls",
            show=_of_thread(lambda thread, units: show_share(thread.poll_share, units)),
            sort=_by_thread(lambda thread: thread.poll_share),
            width=5,
            leaves=10,
        ),
    ),
    "disks": (
        _GUEST,
        LiveColumn(
            key="disk",
            head="disk",
            show=_of_disk(lambda disk, _: disk.id),
            sort=_by_disk(lambda disk: natural_key(disk.id)),
            width=8,
            grows=True,
            right=False,
            falls=False,
        ),
        LiveColumn(
            key="server",
            head="served by",
            show=_of_disk(lambda disk, _: ", ".join(disk.served_by) or UNKNOWN),
            sort=_by_disk(lambda disk: natural_key(", ".join(disk.served_by))),
            tone=lambda item: (
                "notable" if item.disk is not None and MAIN_LOOP in item.disk.served_by else ""
            ),
            width=10,
            grows=True,
            right=False,
            falls=False,
        ),
        LiveColumn(
            key="requests",
            head="req/s",
            show=_of_disk(lambda disk, units: show_rate(disk.operations_per_s, units)),
            sort=_by_disk(lambda disk: disk.operations_per_s),
            width=6,
        ),
        LiveColumn(
            key="reads",
            head="reads/s",
            show=_of_disk(lambda disk, units: show_rate(disk.reads.operations_per_s, units)),
            sort=_by_disk(lambda disk: disk.reads.operations_per_s),
            width=7,
            leaves=8,
        ),
        LiveColumn(
            key="writes",
            head="writes/s",
            show=_of_disk(lambda disk, units: show_rate(disk.writes.operations_per_s, units)),
            sort=_by_disk(lambda disk: disk.writes.operations_per_s),
            width=8,
            leaves=7,
        ),
        LiveColumn(
            key="flushes",
            head="flushes/s",
            show=_of_disk(lambda disk, units: show_rate(disk.flushes.operations_per_s, units)),
            sort=_by_disk(lambda disk: disk.flushes.operations_per_s),
            width=9,
            leaves=2,
        ),
        LiveColumn(
            key="bytes",
            head="bytes/s",
            show=_of_disk(lambda disk, units: show_bytes(disk.bytes_per_s, units)),
            sort=_by_disk(lambda disk: disk.bytes_per_s),
            width=10,
            leaves=5,
        ),
        LiveColumn(
            key="latency",
            head="latency",
            show=_of_disk(lambda disk, units: show_duration(disk.latency_mean_ns, units)),
            sort=_by_disk(lambda disk: disk.latency_mean_ns),
            width=8,
            leaves=9,
        ),
        LiveColumn(
            key="p99",
            head="p99",
            show=_of_disk(lambda disk, units: show_range(disk.latency_p99, units)),
            sort=_by_disk(lambda disk: disk.latency_p99.low_ns if disk.latency_p99 else None),
            width=9,
            leaves=3,
        ),
        LiveColumn(
            key="depth",
            head="depth",
            show=_of_disk(lambda disk, _: show_count(disk.depth_mean)),
            sort=_by_disk(lambda disk: disk.depth_mean),
            width=5,
            leaves=6,
        ),
        LiveColumn(
            key="limit",
            head="limit",
            show=_of_disk(lambda disk, _: _show_limit(disk)),
            sort=_by_disk(lambda disk: len(disk.binding) if disk.binding is not None else None),
            tone=lambda item: "bad" if item.disk is not None and item.disk.binding else "",
            width=7,
            right=False,
            leaves=4,
        ),
    ),
}

DEFAULT_SORT: Final[Mapping[View, str]] = {
    "guests": "verdict",
    "threads": "cpu",
    "disks": "requests",
}
"""The column that each view is sorted by at first."""


def sort_items(
    items: Iterable[Item], column: LiveColumn, *, is_reversed: bool
) -> tuple[Item, ...]:
    """Returns items in the order of a column; those without a figure come last either way.

    Args:
        items: Of one view.
        column: One of that view's.
        is_reversed: Whether the largest comes first.
    """
    found = [(column.sort(each), each) for each in items]
    known = [each for each in found if each[0] is not None]
    known.sort(key=lambda each: each[0], reverse=is_reversed)  # type: ignore[arg-type,return-value]
    return (*(each for _, each in known), *(each for key, each in found if key is None))
