"""What the screen asks and tells in a box of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Label, Static

from vmio.app.top import POLL_PARAMETERS, PollParameter
from vmio.characters import printable

__all__ = ["ConfirmScreen", "MessageScreen", "PollingScreen"]

_MOST_DIGITS = 18
"""Fewer than what a 64-bit number can have; QEMU says what it does not take."""
_MEANING = """
poll-max-ns  nanoseconds to poll at most; 0 is no polling
poll-grow    factor by which the polling time grows; 0 is QEMU's own
poll-shrink  divisor by which it shrinks; 0 is to none at once"""


class MessageScreen(ModalScreen[None]):
    """Tells something, until a key."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,q,question_mark,space", "dismiss", "Close"),
    ]

    def __init__(self, title: str, lines: Sequence[str]) -> None:
        super().__init__()
        self._title = printable(title)
        self._lines = [printable(each) for each in lines]

    def compose(self) -> ComposeResult:
        """Yields a box with the lines."""
        with VerticalScroll(classes="box") as box:
            box.border_title = Text(self._title).markup
            box.border_subtitle = "Esc closes"
            yield Static(Text("\n".join(self._lines)))


class ConfirmScreen(ModalScreen[bool]):
    """Asks whether to do something; only `y` does it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes"),
        Binding("n,escape,q", "answer(False)", "No"),
    ]

    def __init__(self, title: str, lines: Sequence[str]) -> None:
        super().__init__()
        self._title = printable(title)
        self._lines = [printable(each) for each in lines]

    def compose(self) -> ComposeResult:
        """Yields a box with the question."""
        with Vertical(classes="box") as box:
            box.border_title = Text(self._title).markup
            box.border_subtitle = "y does it, n does not"
            yield Static(Text("\n".join(self._lines)))

    def action_answer(self, answer: bool) -> None:  # noqa: FBT001 - Textual passes by position
        """Closes the box with the answer."""
        self.dismiss(answer)


class PollingScreen(ModalScreen[Mapping[PollParameter, int] | None]):
    """Asks for the polling parameters of an IOThread; gives those that were changed."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "Cancel")]

    def __init__(self, title: str, values: Mapping[PollParameter, int | None]) -> None:
        super().__init__()
        self._title = printable(title)
        self._values = values

    def compose(self) -> ComposeResult:
        """Yields a field for each parameter that is known."""
        with Vertical(classes="box") as box:
            box.border_title = Text(self._title).markup
            box.border_subtitle = "Enter sets, Esc leaves"
            for name in POLL_PARAMETERS:
                with Horizontal():
                    yield Label(name)
                    yield _make_field(name, self._values.get(name))
            yield Static(_MEANING, classes="dim")

    def on_input_submitted(self) -> None:
        """Closes the box with the values that differ."""
        changed: dict[PollParameter, int] = {}
        for name in POLL_PARAMETERS:
            text = self.query_one(f"#{name}", Input).value.strip()
            if not text.isascii() or (text and not text.isdecimal()):
                self.notify(f"{name}: not a number of 0 or more", severity="error")
                return
            if text and int(text) != self._values.get(name):
                changed[name] = int(text)
        self.dismiss(changed)

    def action_cancel(self) -> None:
        """Closes the box without values."""
        self.dismiss(None)


def _make_field(name: PollParameter, value: int | None) -> Input:
    return Input(
        "" if value is None else str(value),
        id=name,
        type="integer",
        max_length=_MOST_DIGITS,
        compact=True,
        select_on_focus=False,
    )
