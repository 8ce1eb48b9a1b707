"""A guest's verdicts and a disk's path in lines, for a screen to lay out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from msgspec import Struct

from vmio.model.iothread import MAIN_LOOP
from vmio.report.live.columns import Tone
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
from vmio.report.live.rows import DiskRow, GuestRow, HostRows, OperationRow, QueueRow, ThreadRow
from vmio.report.verdicts.words import NOTHING, describe_verdict

__all__ = ["Hop", "Line", "describe_path", "list_notes", "list_verdict_lines"]

_MOST_QUEUES = 16
"""Shown one by one."""
_MOST_NAMES = 3
"""Of guests, in one line."""


class Line(Struct, frozen=True, kw_only=True):
    """A line of text."""

    text: str
    tone: Tone = ""


class Hop(Struct, frozen=True, kw_only=True):
    """A station on the way of a disk's requests."""

    what: str
    """Such as `controller`."""
    name: str
    lines: tuple[Line, ...] = ()


def list_notes(rows: HostRows) -> tuple[str, ...]:
    """Returns what could not be read of guests, each thing in one line with their names."""
    names: dict[str, dict[str, None]] = {}  # several guests can have one name
    for guest in rows.guests:
        for note in guest.notes:
            names.setdefault(note, {})[guest.label] = None
    return tuple(f"{_join_names([*found])}: {note}" for note, found in names.items())


def _join_names(names: Sequence[str]) -> str:
    rest = len(names) - _MOST_NAMES
    if rest <= 1:  # one name is no longer than its number
        return ", ".join(names)
    return f"{', '.join(names[:_MOST_NAMES])} and {rest} others"


def list_verdict_lines(guest: GuestRow) -> tuple[Line, ...]:
    """Returns what limits a guest: each verdict with its reason, figures, and what would help."""
    return tuple(_list_verdict_lines(guest))


def _list_verdict_lines(guest: GuestRow) -> Iterator[Line]:
    if not guest.is_judged:
        yield Line(text="not known yet: a verdict takes two windows of 2 s that agree")
    elif not guest.verdicts:
        yield Line(text=NOTHING, tone="good")
    for each in guest.verdicts:
        words = describe_verdict(each)
        yield Line(text=words.title, tone="bad" if each.severity == "warning" else "notable")
        if words.reason:
            yield Line(text=f"  {words.reason}")
        if words.figures:
            yield Line(text=f"  {'; '.join(words.figures)}")
        if words.hint:
            yield Line(text=f"  → {words.hint}{_name_plan(guest, is_step=each.step is not None)}")
    for note in guest.notes:
        yield Line(text=note, tone="notable")


def _name_plan(guest: GuestRow, *, is_step: bool) -> str:
    """Returns the call that plans a step, in parentheses; a single parameter is set with `p`."""
    if not is_step:
        return ""
    is_found = guest.manager == "proxmox" and guest.id
    return f" (vmio plan {guest.id if is_found else guest.address})"


def describe_path(guest: GuestRow, disk: DiskRow, units: Units = "short") -> tuple[Hop, ...]:
    """Returns the way of a disk's requests, from the guest to the processors of the host.

    Args:
        guest: The guest.
        disk: One of its disks.
        units: How figures are written.
    """
    hops = [
        Hop(what="disk", name=disk.id, lines=tuple(_list_disk_lines(disk, units))),
        Hop(what="file", name=disk.file or UNKNOWN, lines=tuple(_list_file_lines(disk))),
        Hop(
            what="controller",
            name=disk.controller or UNKNOWN,
            lines=tuple(_list_controller_lines(disk)),
        ),
    ]
    for name in disk.served_by:
        thread = guest.find_thread(name)
        hops.append(_describe_server(name, thread, guest, units))
        if thread is not None:
            hops.append(_describe_processor(thread))
    return tuple(hops)


def _list_disk_lines(disk: DiskRow, units: Units) -> Iterator[Line]:
    kinds = (
        ("reads", disk.reads),
        ("writes", disk.writes),
        ("flushes", disk.flushes),
        ("unmaps", disk.unmaps),
    )
    for name, row in kinds:
        if name in {"reads", "writes"} or row.operations_per_s:
            yield Line(text=_describe_operations(name, row, units))
    depth = f"on average {show_count(disk.depth_mean)} under way"
    if disk.in_flight is not None:
        depth += f", now {disk.in_flight}"
    yield Line(text=depth)
    if disk.binding:
        kinds_text = ", ".join(each.replace("_", " ") for each in disk.binding)
        yield Line(text=f"held back by its limit: {kinds_text}", tone="bad")


def _describe_operations(name: str, row: OperationRow, units: Units) -> str:
    parts = [f"{name:<7} {show_rate(row.operations_per_s, units):>6}/s"]
    if row.bytes_per_s is not None:
        parts.append(f"{show_bytes(row.bytes_per_s, units):>10}/s")
    parts.append(f"mean {show_duration(row.latency_mean_ns, units)}")
    if row.latency_p50 is not None:
        parts.append(f"p50 {show_range(row.latency_p50, units)}")
    if row.latency_p99 is not None:
        parts.append(f"p99 {show_range(row.latency_p99, units)}")
    if row.failed:
        parts.append(f"{row.failed} failed")
    return "  ".join(parts)


def _list_file_lines(disk: DiskRow) -> Iterator[Line]:
    driver = " in ".join(filter(None, (disk.format, disk.driver)))
    settings = [
        driver,
        f"cache={disk.cache}" if disk.cache else "",
        f"aio={disk.aio}" if disk.aio else "",
    ]
    text = ", ".join(filter(None, settings))
    if text:
        yield Line(text=text)


def _list_controller_lines(disk: DiskRow) -> Iterator[Line]:
    if disk.model:
        yield Line(text=disk.model)
    queues = disk.queues
    if not queues:
        return
    count = "a queue" if len(queues) == 1 else f"{len(queues)} queues"
    sizes = {each.size for each in queues if each.size is not None}
    size = f" of {show_processors(sizes)} entries" if sizes else ""
    known = [each for each in queues if each.in_flight is not None]
    if not known:
        yield Line(text=count)
        return
    shown = " ".join(f"{each.in_flight}" for each in known[:_MOST_QUEUES])
    more = " …" if len(known) > _MOST_QUEUES else ""
    yield Line(text=f"{count}{size}, in flight: {shown}{more}")
    if len(disk.served_by) > 1:
        yield Line(text=_describe_mapping(queues))


def _describe_mapping(queues: tuple[QueueRow, ...]) -> str:
    ordered = sorted(queues, key=lambda each: (each.served_by, each.index))
    parts = (
        f"{name}: {show_processors(each.index for each in group)}"
        for name, group in groupby(ordered, key=lambda each: each.served_by)
    )
    return f"queues of {'; '.join(parts)}"


def _describe_server(name: str, thread: ThreadRow | None, guest: GuestRow, units: Units) -> Hop:
    what = "thread" if name == MAIN_LOOP or thread is None else "IOThread"
    if thread is None:
        return Hop(what=what, name=name)
    share = show_share(thread.cpu_share, units)
    parts = [f"{share} of a processor", f"{show_share(thread.user_share, units)} of it user"]
    parts.append(f"waits {show_share(thread.run_delay_share, units)}")
    lines = [Line(text=", ".join(parts))]
    shared = [each.id for each in guest.disks if name in each.served_by]
    if len(shared) > 1:
        lines.append(Line(text=f"serves {len(shared)} disks: {', '.join(shared)}"))
    if thread.poll_max_ns is not None:
        lines.append(Line(text=_describe_polling(thread, units)))
    workers = next(
        (each for each in guest.threads if each.role == "worker" and each.owner == name), None
    )
    if workers is not None:
        text = f"{workers.count} workers: {show_share(workers.cpu_share, units)}"
        lines.append(Line(text=text))
    return Hop(what=what, name=name, lines=tuple(lines))


def _describe_polling(thread: ThreadRow, units: Units) -> str:
    if not thread.poll_max_ns:
        return "does not poll (poll-max-ns 0)"
    text = f"polls for {show_duration(thread.poll_max_ns, units)} at most"
    if thread.poll_share is None:
        return text
    low, high = thread.poll_share_low, thread.poll_share_high
    interval = f" ({show_share(low, units)} to {show_share(high, units)})" if high else ""
    return f"{text}, which takes {show_share(thread.poll_share, units)}{interval}"


def _describe_processor(thread: ThreadRow) -> Hop:
    node = f", NUMA node {thread.node}" if thread.node is not None else ""
    return Hop(
        what="processor",
        name=f"{show_count(thread.processor)}{node}",
        lines=(Line(text=f"may run on {show_processors(thread.affinity)}"),),
    )
