"""What changed from one comparison to a later one, as a table for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.text import Text

from vmio.characters import printable
from vmio.report.regressions.words import (
    CHANGE_HEADS,
    IOPS_HEADS,
    IOPS_NOTE,
    describe_comparison,
    describe_difference,
    describe_intervals,
    list_change,
    list_iops,
    summarise_regressions,
)
from vmio.report.table import Cell, Column, print_table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from vmio.bench.regression import Change, Regressions

__all__ = ["print_regressions"]

_NUMBERS: Final = ("old B/A", "new B/A", "change")
_CODES: Final[Mapping[Change, str]] = {
    "worse": "1;31",
    "better": "1;32",
    "the same": "1",
    "cannot tell": "2",
}


def print_regressions(found: Regressions, console: Console) -> None:
    """Prints what got worse or better, then every figure, and what could not be compared."""
    console.print(Text(printable(summarise_regressions(found)), style="bold"))
    console.print()
    for words, saved in (("old", found.old), ("new", found.new)):
        _print_line(f"{words}  {describe_comparison(saved)}", console)
    for difference in found.differences:
        _print_line(f"differs  {describe_difference(difference)}", console)
    for name, reason in found.left_out:
        _print_line(f"left out  {name} {reason}", console)
    console.print()
    columns = [Column(head=head, right=head in _NUMBERS) for head in CHANGE_HEADS]
    rows: list[tuple[Cell, ...]] = []
    for job in found.jobs:
        for number, one in enumerate(job.figures):
            name, *cells, verdict = list_change(job, one)
            rows.append((name if not number else "", *cells, (verdict, _CODES[one.verdict])))
    print_table(columns, rows, console)
    _print_line(describe_intervals(found), console, style="dim")
    console.print()
    columns = [Column(head=head, right=at > 0) for at, head in enumerate(IOPS_HEADS)]
    print_table(columns, [list_iops(job) for job in found.jobs], console)
    _print_line(IOPS_NOTE, console, style="dim")


def _print_line(text: str, console: Console, *, style: str = "") -> None:
    console.print(Text(printable(text), style=style), soft_wrap=True)
