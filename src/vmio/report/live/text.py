"""A view of running guests as a table for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vmio.report.live.columns import DEFAULT_SORT, VIEWS, Tone, View, list_items, sort_items
from vmio.report.table import Cell, Column, print_table

if TYPE_CHECKING:
    from rich.console import Console

    from vmio.report.live.columns import Item, LiveColumn
    from vmio.report.live.figures import Units
    from vmio.report.live.rows import HostRows

__all__ = ["print_rows"]

_COLOURS: Final[dict[Tone, str]] = {"bold": "1", "good": "32", "bad": "31", "notable": "33"}


def print_rows(rows: HostRows, view: View, console: Console, units: Units = "short") -> None:
    """Prints the lines of a view in the order in which the screen shows them at first.

    Args:
        rows: The rows of a look.
        view: Which table.
        console: Where to print.
        units: How figures are written.
    """
    columns = VIEWS[view]
    chosen = next(each for each in columns if each.key == DEFAULT_SORT[view])
    items = sort_items(list_items(rows, view), chosen, is_reversed=chosen.falls)
    print_table(
        [_make_column(each) for each in columns],
        [[_make_cell(item, each, units) for each in columns] for item in items],
        console,
    )


def _make_column(column: LiveColumn) -> Column:
    return Column(
        head=column.head,
        right=column.right,
        leaves=column.leaves,
        narrow="cut" if column.key == "guest" else "drop" if column.leaves else "below",
    )


def _make_cell(item: Item, column: LiveColumn, units: Units) -> Cell:
    text, tone = column.show(item, units), column.tone(item)
    return (text, _COLOURS[tone]) if tone else text
