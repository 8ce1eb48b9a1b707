"""The running guests of a host as a table for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from rich.console import Console

from vmio.managers.discovery import MonitorState, RunningGuest
from vmio.observe.verdicts.values import Verdict
from vmio.report.guests.age import format_age
from vmio.report.guests.counts import count_main_loop
from vmio.report.guests.words import MANAGERS
from vmio.report.table import Cell, Column, print_table
from vmio.report.verdicts.words import summarise_verdicts

__all__ = ["print_guests"]

_BOLD, _RED, _GREEN, _YELLOW, _DIM = "1", "31", "32", "33", "2"
_NOTHING = "-"
_STATES: Final[dict[MonitorState, Cell]] = {
    "free": ("free", _GREEN),
    "held": ("in use", _YELLOW),
    "absent": ("gone", _YELLOW),
    "outgoing": ("its starter's", _DIM),
    "unknown": ("not seen", _DIM),
}
_COLUMNS: Final = (
    Column(head="guest"),
    Column(head="name", narrow="cut", least=12),
    Column(head="manager", leaves=7, narrow="drop"),
    Column(head="id", leaves=8),
    Column(head="up", right=True, leaves=4, narrow="drop"),
    Column(head="disks", right=True, leaves=5, narrow="drop"),
    Column(head="on main\nloop", short="main\nloop", right=True, leaves=3, narrow="drop"),
    Column(head="IOThreads", short="IO-\nThreads", right=True, leaves=6, narrow="drop"),
    Column(head="monitor", leaves=9),
    Column(head="socket", leaves=2, narrow="drop"),
    Column(head="unit", leaves=1, narrow="drop"),
    Column(head="what limits it"),
)


def print_guests(
    guests: Sequence[RunningGuest],
    console: Console,
    verdicts: Mapping[str, Sequence[Verdict]] | None = None,
) -> None:
    """Prints a line for each guest; a column without content is left out.

    Args:
        guests: The guests in their order.
        console: Where to print.
        verdicts: What limits each, by its address; None if nobody looked.
    """
    rows = [(*_make_cells(each), _name_verdict(each, verdicts or {})) for each in guests]
    shown = [
        at
        for at in range(len(_COLUMNS))
        if any(
            (cell if isinstance(cell, str) else cell[0]) != _NOTHING for cell in _take(rows, at)
        )
    ]
    print_table(
        [_COLUMNS[at] for at in shown], [[row[at] for at in shown] for row in rows], console
    )


def _take(rows: Sequence[tuple[Cell, ...]], at: int) -> Iterator[Cell]:
    return (row[at] for row in rows)


def _make_cells(guest: RunningGuest) -> Iterator[Cell]:
    layout, monitor = guest.layout, guest.monitor
    yield (guest.address, _BOLD)
    yield guest.name or _NOTHING
    yield MANAGERS[guest.manager]
    yield guest.id or _NOTHING
    yield format_age(guest.uptime_s)
    if layout is None:
        yield from (_NOTHING,) * 3
    else:
        in_main_loop = count_main_loop(layout)
        yield str(len(layout.disks))
        yield (str(in_main_loop), _YELLOW) if in_main_loop else "0"
        yield str(len(layout.iothreads))
    yield _name_monitor(guest)
    yield monitor.address or _NOTHING if monitor is not None else _NOTHING
    yield guest.process.unit or _NOTHING


def _name_verdict(guest: RunningGuest, verdicts: Mapping[str, Sequence[Verdict]]) -> Cell:
    found = verdicts.get(guest.address)
    if found is None:
        return _NOTHING
    text = summarise_verdicts(found)
    if not found:
        return (text, _GREEN)
    return (text, _RED) if found[0].severity == "warning" else text


def _name_monitor(guest: RunningGuest) -> Cell:
    monitor = guest.monitor
    if guest.process.stopped:
        return ("stopped", _YELLOW)
    if monitor is None:
        return ("none", _DIM)
    if monitor.access == "none" and monitor.state != "outgoing":
        return (f"{MANAGERS[guest.manager]}'s", _DIM)
    return _STATES[monitor.state]
