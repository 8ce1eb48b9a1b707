"""Escapes text from configs and guests for SVG and HTML."""

from __future__ import annotations

import html
import unicodedata

from vmio.characters import printable_lines

__all__ = ["display_width", "escape", "shorten"]


def escape(text: str) -> str:
    """Returns text that is safe in an element or a quoted attribute, whatever its source.

    Characters that XML forbids, invisible ones and those that change the direction are written as
    escapes.
    """
    return html.escape(printable_lines(text), quote=True)


def display_width(text: str) -> int:
    """Returns the width of text in columns: East Asian wide characters take two, marks none."""
    if text.isascii():
        return len(text)
    return sum(
        0
        if unicodedata.combining(sign)
        else 2
        if unicodedata.east_asian_width(sign) in "WF"
        else 1
        for sign in text
    )


def shorten(text: str, columns: int) -> str:
    """Returns text cut to a width in the middle, because names differ at their ends."""
    text = text[: 4 * columns] + text[-columns:] if len(text) > 5 * columns else text
    if display_width(text) <= columns:
        return text
    head, tail = text[: len(text) // 2], text[len(text) // 2 :]
    while display_width(head) + display_width(tail) > columns - 1:
        if display_width(head) >= display_width(tail):
            head = head[:-1]
        else:
            tail = tail[1:]
    return f"{head}…{tail}"
