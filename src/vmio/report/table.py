"""Tables as text: at most as wide as the terminal, words unbroken, no padding in a pipe."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from vmio.characters import disarm_lines, printable
from vmio.report.colours import paint
from vmio.report.markup import display_width
from vmio.report.wrap import wrap_words

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Cell", "Column", "print_table", "render_table"]

Cell = str | tuple[str, str]
"""A text, or a text and its ANSI colour code."""

_GAP = 2
"""Blanks between two columns; one if only then the whole table fits."""
_INDENT = _BETWEEN = "  "
_NOTHING = ("", "-", "·")
"""Cells that are not repeated in a line below a row."""
_LEAST_COLUMNS = 12
"""Minimum width of a cut column on the narrowest terminal."""


class Column(Struct, frozen=True, kw_only=True):
    """A column's heading, and its behaviour if the table is too wide."""

    head: str
    """The heading; a newline starts another line."""
    short: str = ""
    """The heading to use if the table is too wide otherwise."""
    label: str | None = None
    """The label of a cell that is moved below its row; the heading if None."""
    right: bool = False
    """Whether its cells are right-aligned, like numbers."""
    narrow: Literal["below", "drop", "wrap", "cut"] = "below"
    """below: its cells move to a line below their rows; drop: it is left out; wrap: its cells
    break between words; cut: its cells are shortened. At most one column of a table wraps or is
    cut, and that happens before other columns are removed."""
    least: int = _LEAST_COLUMNS
    """The width to which a column is cut before others are removed."""
    leaves: int = 0
    """Columns are removed in this order; those with 0 last and all together."""


def print_table(
    columns: Sequence[Column], rows: Iterable[Sequence[Cell]], console: Console
) -> None:
    """Prints a table on a console, in its colours and at most its width."""
    from rich.text import Text

    colour = console.color_system is not None
    text = render_table(
        columns,
        rows,
        width=console.width,
        colour=colour,
        rule="-" if console.options.ascii_only else "─",
    ).removesuffix("\n")
    console.print(Text.from_ansi(text) if colour else Text(text), soft_wrap=True)


def render_table(
    columns: Sequence[Column],
    rows: Iterable[Sequence[Cell]],
    *,
    width: int = 0,
    colour: bool = False,
    rule: str = "─",
) -> str:
    """Returns a table.

    Args:
        columns: The columns, the one that names a row first.
        rows: A cell for each column; `-` for an empty cell.
        width: Maximum width of a line; 0 for no limit. A single word that is longer
            stays whole.
        colour: Whether to paint cells.
        rule: The character of the line below the headings.
    """
    table = [[_read_cell(cell) for cell in row] for row in rows]
    heads = [_split(each.head) for each in columns]
    natural = _measure_columns(heads, table)
    if width and _measure(natural) > width:
        heads = [_split(each.short or each.head) for each in columns]
        natural = _measure_columns(heads, table)
    gap = 1 if _measure(natural, 1) <= width < _measure(natural, _GAP) else _GAP
    least = [
        _find_least(column, natural[at], heads[at], (row[at][0] for row in table))
        for at, column in enumerate(columns)
    ]
    shown = _choose_columns(columns, least, width or _measure(natural), gap)
    room = width - _measure([least[at] for at in shown], gap) if width else max(natural)
    widths = {at: _choose_width(columns[at], natural[at], least[at], room) for at in shown}
    below = [at for at, each in enumerate(columns) if at not in widths and each.narrow != "drop"]
    height = max((len(heads[at]) for at in shown), default=0)
    lines: list[str] = []
    if any("".join(heads[at]) for at in shown):
        lifted = {at: [""] * (height - len(heads[at])) + heads[at] for at in shown}
        lines += _lay_lines(columns, widths, gap, lifted, dict.fromkeys(shown, "1" * colour))
        lines.append(rule * _measure(list(widths.values()), gap))
    for row in table:
        texts = {at: _fit(columns[at], row[at][0], widths[at]) for at in shown}
        lines += _lay_lines(columns, widths, gap, texts, {at: row[at][1] * colour for at in shown})
        items = (
            f"{_label(columns[at])} {row[at][0]}".strip()
            for at in below
            if row[at][0] not in _NOTHING
        )
        lines += (f"{_INDENT}{line}" for line in _pack(items, width - len(_INDENT)))
    return disarm_lines("".join(f"{line}\n" for line in lines))


def _split(head: str) -> list[str]:
    return [printable(line) for line in head.split("\n")]


def _label(column: Column) -> str:
    return printable(column.head if column.label is None else column.label)


def _measure_columns(
    heads: Sequence[Sequence[str]], table: Sequence[Sequence[tuple[str, str]]]
) -> list[int]:
    return [
        max(map(display_width, (*head, *(row[at][0] for row in table))))
        for at, head in enumerate(heads)
    ]


def _read_cell(cell: Cell) -> tuple[str, str]:
    text, code = (cell, "") if isinstance(cell, str) else cell
    return printable(text), code


def _find_least(column: Column, natural: int, head: Sequence[str], texts: Iterable[str]) -> int:
    """Returns the minimum width of a column."""
    match column.narrow:
        case "wrap":
            return max(map(display_width, (*head, *(word for t in texts for word in t.split()))))
        case "cut":
            return min(natural, max(column.least, *map(display_width, head)))
        case _:
            return natural


def _choose_columns(
    columns: Sequence[Column], least: Sequence[int], width: int, gap: int
) -> list[int]:
    """Returns the columns that fit side by side; always includes the first one."""
    shown = list(range(len(columns)))
    leaving = sorted((at for at in shown if columns[at].leaves), key=lambda at: columns[at].leaves)
    for at in leaving:
        if _measure([least[each] for each in shown], gap) <= width:
            return shown
        shown.remove(at)
    fits = _measure([least[at] for at in shown], gap) <= width
    return shown if fits or any(columns[at].narrow == "cut" for at in shown) else shown[:1]


def _choose_width(column: Column, natural: int, least: int, room: int) -> int:
    """Returns the width of a column; a column that is cut takes the remaining room."""
    if room < 0 and column.narrow == "cut":
        return min(natural, max(least + room, _LEAST_COLUMNS))
    return min(natural, least + max(room, 0))


def _measure(widths: Sequence[int], gap: int = _GAP) -> int:
    return sum(widths) + gap * max(len(widths) - 1, 0)


def _fit(column: Column, text: str, width: int) -> list[str]:
    match column.narrow:
        case "wrap":
            return wrap_words(text, width)
        case "cut":
            return [_cut(text, width)]
        case _:
            return [text]


def _lay_lines(
    columns: Sequence[Column],
    widths: dict[int, int],
    gap: int,
    texts: dict[int, list[str]],
    codes: dict[int, str],
) -> Iterator[str]:
    """Yields the lines of a row, whose cells may have several."""
    for number in range(max(map(len, texts.values()))):
        cells = []
        for at, width in widths.items():
            text = texts[at][number] if number < len(texts[at]) else ""
            blanks = " " * (width - display_width(text))
            shown = paint(text, codes[at] if text else "")
            cells.append(blanks + shown if columns[at].right else shown + blanks)
        yield (" " * gap).join(cells).rstrip()


def _pack(items: Iterable[str], width: int) -> Iterator[str]:
    """Yields lines with as many items as fit; an item that is too long breaks between words."""
    line = ""
    for item in items:
        longer = f"{line}{_BETWEEN}{item}" if line else item
        if line and display_width(longer) > width:
            yield from wrap_words(line, width)
            longer = item
        line = longer
    if line:
        yield from wrap_words(line, width)


def _cut(text: str, width: int) -> str:
    """Returns as much of the beginning of a text as fits."""
    if display_width(text) <= width:
        return text
    text = text[: width - 1]
    while display_width(text) > width - 1:
        text = text[:-1]
    return f"{text}…"
