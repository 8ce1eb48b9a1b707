"""The guests that an autopilot steers, as a table for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from rich.console import Console

from vmio.managers.live_records import FoundRecord, OwnValue
from vmio.report.autopilot.words import REASONS
from vmio.report.table import Cell, Column, print_table

__all__ = ["print_steered"]

_GREEN, _YELLOW = "32", "33"
_NOTHING: Final = "-"
_COLUMNS: Final = (
    Column(head="guest"),
    Column(head="name", narrow="cut", least=12),
    Column(head="by"),
    Column(head="IOThread"),
    Column(head="parameter", leaves=1, narrow="drop"),
    Column(head="its own", right=True),
    Column(head="set last", right=True),
    Column(head="at (UTC)", leaves=1, narrow="drop"),
    Column(head="why"),
)


def print_steered(found: Sequence[FoundRecord], console: Console) -> None:
    """Prints a line for each IOThread whose polling was changed, and each other guest.

    Args:
        found: The guests in their order.
        console: Where to print.
    """
    print_table(_COLUMNS, [row for each in found for row in _make_rows(each)], console)


def _make_rows(found: FoundRecord) -> Iterator[Sequence[Cell]]:
    by = found.record.by
    state: Cell = (by, _GREEN) if found.is_active else (f"{by}, was killed", _YELLOW)
    about = (f"pid:{found.key[0]}", found.record.label, state)
    changed = [each for each in found.record.values if each.ours]
    for each in changed:
        yield (
            *about,
            each.iothread,
            each.parameter,
            str(each.own),
            str(each.ours[-1]),
            _format_time(each),
            REASONS.get(each.why, "measured"),
        )
    if not changed:
        yield (*about, *[_NOTHING] * 5, "nothing was changed yet")


def _format_time(record: OwnValue) -> str:
    return datetime.fromtimestamp(record.wall_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S")
