"""Text from configs and guests, made fit for SVG and HTML."""

from __future__ import annotations

import html
import unicodedata

from vmio.characters import printable_lines

__all__ = ["display_width", "escape", "shorten"]


def escape(text: str) -> str:
    """Returns text that is only text in an element or a quoted attribute, whoever wrote it.

    What XML forbids, and what is not shown or turns the direction, is spelled out.
    """
    return html.escape(printable_lines(text), quote=True)


def display_width(text: str) -> int:
    """Returns how many columns text takes where East Asian characters take two and marks none."""
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
    """Returns text that fits, its middle left out if need be: names differ at their ends."""
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
