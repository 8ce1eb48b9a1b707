"""Guests over time as tables for people."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from rich.console import Console

from vmio.observe.history import DiskHistory, GuestHistory, History, Line, ThreadHistory
from vmio.report.figures import format_rate
from vmio.report.history.words import (
    describe_limit,
    describe_range,
    describe_time,
    find_busiest,
    list_limits,
    name_thread,
    summarize,
)
from vmio.report.table import Cell, Column, print_table
from vmio.report.verdicts.words import describe_verdict
from vmio.units import format_bytes, format_duration_ns

__all__ = [
    "DISK_HEADS",
    "THREAD_HEADS",
    "find_known",
    "list_disk_cells",
    "list_thread_cells",
    "print_history",
]

_BOLD, _YELLOW = "1", "33"
_NOTHING = "-"
_GUESTS: Final = (
    Column(head="guest"),
    Column(head="limited by", narrow="wrap", least=20),
    Column(head="for", narrow="drop", leaves=4),
    Column(head="busiest thread", leaves=3),
    Column(head="CPU", right=True),
    Column(head="requests/s", right=True, leaves=2),
    Column(head="latency", right=True, leaves=5),
)
THREAD_HEADS: Final = ("thread", "CPU", "highest", "run delay", "polling", "traced")
DISK_HEADS: Final = (
    *("disk", "reads/s", "writes/s", "read/s", "written/s"),
    *("latency", "median", "99th", "depth"),
)


def print_history(history: History, console: Console) -> None:
    """Prints what limited the guests, a line for each; of one guest its threads and disks too."""
    console.print(summarize(history), soft_wrap=True)
    if not history.guests:
        return
    console.print()
    _print_known(_GUESTS, [row for each in history.guests for row in _list_rows(each)], console)
    if len(history.guests) == 1:
        (guest,) = history.guests
        for heads, rows in (
            (THREAD_HEADS, [*list_thread_cells(guest)]),
            (DISK_HEADS, [*list_disk_cells(guest)]),
        ):
            if rows:
                columns = [
                    Column(head=head, right=at > 0, leaves=at) for at, head in enumerate(heads)
                ]
                console.print()
                _print_known(columns, rows, console)


def _print_known(
    columns: Sequence[Column], rows: Sequence[Sequence[Cell]], console: Console
) -> None:
    """Prints a table without the columns in which nothing is known."""
    kept = find_known(rows)
    print_table([columns[at] for at in kept], [[row[at] for at in kept] for row in rows], console)


def _list_rows(guest: GuestHistory) -> Iterator[tuple[Cell, ...]]:
    """Yields a row for a guest, and one for each further verdict."""
    limits = list_limits(guest)
    busiest = find_busiest(guest)
    requests = [
        each.mean
        for disk in guest.disks
        for each in (disk.reads_per_s, disk.writes_per_s)
        if each.mean is not None
    ]
    slowest = max((each.latency_mean_ns.mean or 0.0 for each in guest.disks), default=0.0)
    limit, time = describe_limit(guest)
    is_warning = bool(limits) and limits[0].verdict.severity == "warning"
    yield (
        (guest.guest.label, _BOLD),
        (limit, _YELLOW) if is_warning else limit,
        time,
        name_thread(busiest) if busiest is not None else _NOTHING,
        _show(busiest.cpu_share if busiest is not None else None, _format_share),
        format_rate(sum(requests)) if requests else _NOTHING,
        format_duration_ns(slowest) if slowest else _NOTHING,
    )
    for each in limits[1:]:
        title = describe_verdict(each.verdict).title
        yield ("", title, describe_time(each.seconds, guest), "", "", "", "")


def find_known(rows: Sequence[Sequence[Cell]]) -> list[int]:
    """Returns the columns of a table in which something is known."""
    count = len(rows[0]) if rows else 0
    return [at for at in range(count) if any(row[at] not in {"", _NOTHING} for row in rows)]


def list_thread_cells(guest: GuestHistory) -> Iterator[tuple[str, ...]]:
    """Yields a row of `THREAD_HEADS` for each thread of a guest."""
    polling = {each.name: each for each in guest.polling}
    for each in guest.threads:
        loop = polling.get(each.name) if each.role in {"main loop", "iothread"} else None
        yield (
            name_thread(each),
            _show(each.cpu_share, _format_share),
            _format_peak(each),
            _show(each.run_delay_share, _format_percent),
            _show(loop.estimated_share if loop is not None else None, _format_share),
            _show(loop.traced_share if loop is not None else None, _format_share),
        )


def list_disk_cells(guest: GuestHistory) -> Iterator[tuple[str, ...]]:
    """Yields a row of `DISK_HEADS` for each disk of a guest."""
    yield from map(_describe_disk, guest.disks)


def _describe_disk(disk: DiskHistory) -> tuple[str, ...]:
    return (
        disk.id,
        _show(disk.reads_per_s, format_rate),
        _show(disk.writes_per_s, format_rate),
        _show(disk.read_bytes_per_s, format_bytes),
        _show(disk.write_bytes_per_s, format_bytes),
        _show(disk.latency_mean_ns, format_duration_ns),
        describe_range(disk.latency_p50.overall),
        describe_range(disk.latency_p99.overall),
        _show(disk.depth_mean, "{:.2g}".format),
    )


def _show(line: Line | None, write: Callable[[float], str]) -> str:
    return _NOTHING if line is None or line.mean is None else write(line.mean)


def _format_peak(thread: ThreadHistory) -> str:
    peak = thread.cpu_share.peak
    return _NOTHING if peak is None else _format_share(peak)


def _format_share(value: float) -> str:
    return f"{value:.2f}"


def _format_percent(value: float) -> str:
    return f"{value:.1%}"
