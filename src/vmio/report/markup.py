"""Text from configs and guests, made fit for SVG and HTML."""

from __future__ import annotations

import html
import re
import unicodedata

__all__ = ["display_width", "escape", "shorten"]

# Control characters, which XML forbids, and marks that turn the direction of what follows.
_UNFIT = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufffe\uffff"
    "\ud800-\udfff]"
)


def escape(text: str) -> str:
    """Returns text that is only text in an element or a quoted attribute, whoever wrote it."""
    return html.escape(_UNFIT.sub("\ufffd", text), quote=True)


def display_width(text: str) -> int:
    """Returns how many columns text takes where East Asian characters take two and marks none."""
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
