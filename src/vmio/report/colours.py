"""Colours on a terminal."""

from __future__ import annotations

__all__ = ["paint"]


def paint(text: str, code: str, *, colour: bool = True) -> str:
    """Returns a text in a colour, given as an ANSI code; an empty code leaves it plain."""
    return f"\x1b[{code}m{text}\x1b[0m" if code and colour else text
