"""The page of one disk: the way of its requests, with figures at each station."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.widgets import Static

from vmio.characters import printable
from vmio.report.live.columns import Item
from vmio.report.live.figures import Units, draw_history, show_duration, show_rate
from vmio.report.live.words import describe_path
from vmio.report.wrap import wrap_words
from vmio.tui.table import STYLES

__all__ = ["DiskScreen"]

_LABEL = 11
"""Characters of the widest name of a station, and a blank."""
_MARGIN = 3
_FIGURE = 12
"""Characters for the last value of a history."""


class DiskScreen(Screen[None]):
    """Shows one disk, also while its figures change."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace,left", "app.leave", "Back"),
        Binding("j", "scroll(1)", show=False),
        Binding("k", "scroll(-1)", show=False),
    ]

    def __init__(self, item: Item) -> None:
        super().__init__()
        self.item = item
        self._page = Static(id="page")

    def compose(self) -> ComposeResult:
        """Yields the page, and what keys there are."""
        yield Static(id="head")
        with VerticalScroll(id="path"):
            yield self._page
        yield Static(
            Text(" Esc back  p polling  U undo  space freeze  u units  ? help  q quit"), id="keys"
        )

    def on_mount(self) -> None:
        """Puts the cursor keys on the page."""
        self.query_one("#path").focus()

    def action_scroll(self, step: int) -> None:
        """Scrolls by lines."""
        self.query_one("#path").scroll_relative(y=step, animate=False)

    def show(
        self,
        item: Item | None,
        *,
        head: Text,
        rates: Sequence[float | None],
        latencies_ns: Sequence[float | None],
        units: Units,
    ) -> None:
        """Shows the disk as it is now.

        Args:
            item: The disk; None if it has gone.
            head: The first line.
            rates: Requests in a second at the last looks, the oldest first.
            latencies_ns: Mean latencies at those looks.
            units: How figures are written.
        """
        self.query_one("#head", Static).update(head)
        if item is None or item.disk is None:
            disk = self.item.disk.id if self.item.disk is not None else ""
            gone = f"{self.item.guest.label}: {disk} is not there any more"
            self._page.update(Text(printable(gone), style=STYLES["notable"]))
            return
        self.item = item
        self._page.update(_draw(item, rates, latencies_ns, units, self.app.size.width))


def _draw(
    item: Item,
    rates: Sequence[float | None],
    latencies_ns: Sequence[float | None],
    units: Units,
    width: int,
) -> Text:
    assert item.disk is not None  # noqa: S101 - the caller has looked
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f"{printable(item.guest.label)}\n", style="bold")
    room = width - _LABEL - _MARGIN
    hops = describe_path(item.guest, item.disk, units)
    for number, hop in enumerate(hops):
        text.append(f"{hop.what:<{_LABEL}}", style="dim")
        text.append(f"{printable(hop.name)}\n", style="bold")
        bar = "" if number == len(hops) - 1 else "│"
        for line in hop.lines:
            for part in wrap_words(printable(line.text), room):
                text.append(f"{bar:<{_LABEL}}", style="dim")
                text.append(f"{part}\n", style=STYLES[line.tone])
    bars = max(10, room - _FIGURE)
    text.append("\n")
    rate = show_rate(_last(rates), units)
    text.append(f"{'requests/s':<{_LABEL}}", style="dim")
    text.append(f"{draw_history(rates, bars)} {rate}\n", style="cyan")
    latency = show_duration(_last(latencies_ns), units)
    text.append(f"{'latency':<{_LABEL}}", style="dim")
    text.append(f"{draw_history(latencies_ns, bars)} {latency}", style="cyan")
    return text


def _last(values: Sequence[float | None]) -> float | None:
    return values[-1] if values else None
