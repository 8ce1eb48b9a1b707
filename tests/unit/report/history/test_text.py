"""Guests over time as tables."""

from __future__ import annotations

import io
from collections.abc import Callable

from rich.console import Console

from vmio.observe.history import History
from vmio.report.history.text import print_history


def show(history: History, width: int = 120) -> list[str]:
    """Returns the lines that are printed."""
    stream = io.StringIO()
    print_history(history, Console(file=stream, width=width, markup=False, highlight=False))
    return stream.getvalue().splitlines()


def test_each_guest_has_a_line(make_history: Callable[..., History]) -> None:
    """The worst first, with what limited it."""
    lines = show(make_history(2))
    assert lines[0] == "2 guests, 1 h. 100 web: IOThread web has no time left, for 20 min (33%)."
    assert [line.split("  ")[0] for line in lines[2:]] == [
        "guest",
        "─" * len(lines[3]),
        *(f"{number} web" for number in (100, 101)),
    ]
    assert "nothing" in lines[-1]


def test_single_guest_has_its_threads_and_disks(make_history: Callable[..., History]) -> None:
    """Columns in which nothing is known are left out."""
    text = "\n".join(show(make_history(1)))
    assert "iothread 0" in text
    assert "vd1" in text
    assert "123 to 235 µs" in text
    assert "traced" not in text


def test_narrow_terminal_is_kept_to(make_history: Callable[..., History]) -> None:
    """No line is wider, but for the sentence, which the terminal wraps."""
    assert all(len(line) <= 60 for line in show(make_history(1), 60)[1:])
