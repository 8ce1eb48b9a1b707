"""A table of running guests whose cells change in place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widgets import DataTable

from vmio.characters import printable
from vmio.report.live.columns import Item, LiveColumn, Tone
from vmio.report.live.figures import Units
from vmio.report.markup import display_width

__all__ = ["STYLES", "LiveTable"]

STYLES: Final[Mapping[Tone, str]] = {
    "": "",
    "bold": "bold",
    "good": "green",
    "bad": "bold red",
    "notable": "yellow",
}
_GAP: Final = 2
"""Blanks beside each column: half of them on each side."""
_SCROLL_BAR: Final = 1
_MOST_COLUMNS: Final = 40
"""Of a column that grows, whatever is in it."""


class _Cell(Text):
    """A cell that knows the place of its row."""

    place: int = 0


class LiveTable(DataTable[Text]):
    """The items of one view.

    Cells of an item that stays are changed in place, so that the screen does not flicker and the
    cursor stays on its item.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("home", "scroll_top", show=False),
        Binding("end", "scroll_bottom", show=False),
    ]

    def __init__(self) -> None:
        super().__init__(cursor_type="row", cell_padding=_GAP // 2)
        self._shown: tuple[tuple[str, int, str], ...] = ()
        """The key, width and heading of each column."""
        self._firsts: dict[str, _Cell] = {}
        """The first cell of each row, by the key of its item."""
        self._contents: dict[str, list[tuple[str, Tone]]] = {}
        """What is in each row."""
        self._items: dict[str, Item] = {}
        self._wanted = ""
        """The item that the cursor returns to when the table was rebuilt."""

    @property
    def selected(self) -> Item | None:
        """The item under the cursor; None in an empty table."""
        if not self._items or not self.is_valid_row_index(self.cursor_row):
            return None
        key = self.coordinate_to_cell_key(self.cursor_coordinate).row_key.value
        return self._items.get(key or "")

    def show(
        self,
        items: Sequence[Item],
        columns: Sequence[LiveColumn],
        *,
        sort: LiveColumn,
        is_reversed: bool,
        units: Units,
    ) -> None:
        """Shows items in their order.

        Args:
            items: The items.
            columns: What is shown of each where the screen is wide enough.
            sort: The column that they are sorted by, whose heading says so.
            is_reversed: Whether the largest comes first.
            units: How figures are written.
        """
        texts = {
            item.key: {each.key: printable(each.show(item, units)) for each in columns}
            for item in items
        }
        shown = [
            each for each in columns if each.key == sort.key or not self._leaves(each, columns)
        ]
        widths = _choose_widths(
            shown, list(texts.values()), self.size.width or self.app.size.width
        )
        heads = tuple(
            (each.key, widths[each.key], _head(each, sort, is_reversed=is_reversed))
            for each in shown
        )
        if heads != self._shown:
            self._rebuild(shown, heads)
        self._items = {each.key: each for each in items}
        for key in [each for each in self._firsts if each not in self._items]:
            del self._firsts[key], self._contents[key]
            self.remove_row(key)
        for item in items:
            self._show_item(item, texts[item.key], shown, widths)
        self._put_in_order([each.key for each in items])

    def _leaves(self, column: LiveColumn, columns: Sequence[LiveColumn]) -> bool:
        """Returns whether a column has no room."""
        if not column.leaves:
            return False
        room = (self.size.width or self.app.size.width) - _SCROLL_BAR
        needed = sum(
            _least(each) + _GAP
            for each in columns
            if not each.leaves or each.leaves >= column.leaves
        )
        return needed > room

    def _rebuild(
        self, columns: Sequence[LiveColumn], heads: tuple[tuple[str, int, str], ...]
    ) -> None:
        selected = self.selected
        self.clear(columns=True)
        self._firsts.clear()
        self._contents.clear()
        self._shown = heads
        for column, (key, width, head) in zip(columns, heads, strict=True):
            self.add_column(
                Text(head, justify="right" if column.right else "left"), key=key, width=width
            )
        self._wanted = selected.key if selected is not None else ""

    def _show_item(
        self,
        item: Item,
        texts: Mapping[str, str],
        columns: Sequence[LiveColumn],
        widths: Mapping[str, int],
    ) -> None:
        shown = [(texts[each.key], each.tone(item)) for each in columns]
        before = self._contents.get(item.key)
        self._contents[item.key] = shown
        if before is None:
            cells = [
                _make_cell(*content, each, widths[each.key])
                for content, each in zip(shown, columns, strict=True)
            ]
            self.add_row(*cells, key=item.key)
            self._firsts[item.key] = cells[0]
            return
        for old, content, each in zip(before, shown, columns, strict=True):
            if old != content:
                cell = _make_cell(*content, each, widths[each.key])
                self.update_cell(item.key, each.key, cell)
                if each is columns[0]:
                    self._firsts[item.key] = cell

    def _put_in_order(self, keys: Sequence[str]) -> None:
        """Sorts the rows; the cursor stays on its item, unless it is at the top."""
        selected = self.selected
        wanted = self._wanted or (selected.key if selected is not None and self.cursor_row else "")
        self._wanted = ""
        for place, key in enumerate(keys):
            self._firsts[key].place = place
        present = [each.key.value for each in self.ordered_rows]
        if present != list(keys):
            self.sort(self._shown[0][0], key=lambda cell: cell.place)
        if wanted in self._firsts:
            row = self.get_row_index(wanted)
            if row != self.cursor_row:
                self.move_cursor(row=row)


def _make_cell(text: str, tone: Tone, column: LiveColumn, width: int) -> _Cell:
    cell = _Cell(
        text, style=STYLES[tone], justify="right" if column.right else "left", no_wrap=True
    )
    cell.truncate(width, overflow="ellipsis")
    return cell


def _head(column: LiveColumn, sort: LiveColumn, *, is_reversed: bool) -> str:
    if column.key != sort.key:
        return column.head
    return f"{'▼' if is_reversed else '▲'}{column.head}"


def _least(column: LiveColumn) -> int:
    return max(column.width, display_width(column.head) + 1)


def _choose_widths(
    columns: Sequence[LiveColumn], rows: Sequence[Mapping[str, str]], width: int
) -> dict[str, int]:
    """Returns the width of each column; those that grow share what is left, the last one first."""
    widths = {each.key: _least(each) for each in columns}
    left = width - _SCROLL_BAR - sum(each + _GAP for each in widths.values())
    for each in reversed(columns):
        if each.grows and left > 0:
            longest = max((display_width(row[each.key]) for row in rows), default=0)
            more = min(left, max(0, min(longest, _MOST_COLUMNS) - widths[each.key]))
            widths[each.key] += more
            left -= more
    return widths
