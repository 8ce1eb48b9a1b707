"""Colours on a terminal."""

from __future__ import annotations

__all__ = ["paint"]


def paint(text: str, code: str, *, colour: bool = True) -> str:
    """Returns a text in a colour, by the number that a terminal knows it by; empty is none."""
    return f"\x1b[{code}m{text}\x1b[0m" if code and colour else text
