"""What the autopilot did over time, as a table for people, and the words of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from rich.console import Console

from vmio.autopilot.timeline import LoopsLine, TimeLine
from vmio.report.table import Cell, Column, print_table
from vmio.units import format_duration_ns, format_time_s

__all__ = ["HEADS", "count", "format_begin", "list_cells", "print_time_line", "summarize"]

HEADS: Final = (
    "guest",
    "IOThreads",
    "looks",
    "its own",
    "longest at",
    "searches",
    "doubts",
    "latency",
    "CPU of a request",
)
_SEARCHED: Final = "settle"
_DOUBTED: Final = "slower"


def print_time_line(line: TimeLine, console: Console) -> None:
    """Prints a line for event loops that share disks.

    Args:
        line: What the autopilot did.
        console: Where to print.
    """
    columns = [
        Column(head=head, right=number > 1, narrow="cut", least=12)
        if not number
        else Column(head=head, right=number > 1)
        for number, head in enumerate(HEADS)
    ]
    rows: list[Sequence[Cell]] = [list_cells(each) for each in line.loops]
    print_table(columns, rows, console)
    console.print(summarize(line), highlight=False, markup=False)


def list_cells(loops: LoopsLine) -> tuple[str, ...]:
    """Returns the cells of a row, in the order of `HEADS`."""
    return (
        loops.guest,
        ", ".join(loops.iothreads),
        f"{loops.look_count:,}",
        f"{loops.own_ns:,}",
        _find_longest(loops),
        str(loops.kinds.get(_SEARCHED, 0)),
        str(loops.kinds.get(_DOUBTED, 0)),
        *_find_means(loops),
    )


def summarize(line: TimeLine) -> str:
    """Returns what all of it comes to, in a sentence."""
    changed = sum(any(setting != each.own_ns for setting in each.time_at_s) for each in line.loops)
    return (
        f"{count(len(line.loops), 'group')} of IOThreads in {format_time_s(line.duration_s)},"
        f" {changed} with another setting than its own for some of it;"
        f" {count(line.event_count, 'change and message', 'changes and messages')}."
    )


def count(number: int, noun: str, plural: str = "") -> str:
    """Returns a number of things."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def format_begin(line: TimeLine) -> str:
    """Returns when a log began."""
    return datetime.fromtimestamp(line.wall_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _find_longest(loops: LoopsLine) -> str:
    """Returns the setting that was in force for most of the time, and its share."""
    total_s = sum(loops.time_at_s.values())
    if total_s <= 0:
        return "-"
    setting = max(loops.time_at_s, key=lambda each: loops.time_at_s[each])
    return f"{setting:,} ({loops.time_at_s[setting] / total_s:.0%})"


def _find_means(loops: LoopsLine) -> Iterator[str]:
    requests = sum(each.requests for each in loops.points)
    if not requests:
        yield from ("-", "-")
        return
    waited_ns = sum(each.latency_mean_ns * each.requests for each in loops.points)
    used_s = sum(each.cpu_share * each.duration_s for each in loops.points if each.requests)
    yield format_duration_ns(waited_ns / requests)
    yield format_duration_ns(used_s * 1e9 / requests)
