"""Wraps text between words."""

from __future__ import annotations

__all__ = ["wrap_words"]


def wrap_words(text: str, width: int, *, begin: int = 0, indent: str = "") -> list[str]:
    """Returns a text in lines; a word longer than a line stays whole.

    Args:
        text: The text, with single blanks between words.
        width: The width of a line in columns.
        begin: Columns of the first line that are taken already; it is empty if no word fits.
        indent: The indentation of every line but the first.
    """
    if begin + _measure(text) <= width:
        return [text]
    lines, line, room = [], "", width - begin
    for word in text.split(" "):
        longer = f"{line} {word}" if line else word
        if _measure(longer) > room and (line or begin > len(indent)):
            lines.append(line)
            line, room, begin = f"{indent}{word}", width, 0
        else:
            line = longer
    return [*lines, line]


def _measure(text: str) -> int:
    if text.isascii():
        return len(text)
    from vmio.report.markup import display_width

    return display_width(text)
