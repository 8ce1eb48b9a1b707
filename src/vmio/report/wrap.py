"""Lines that break between words."""

from __future__ import annotations

__all__ = ["wrap_words"]


def wrap_words(text: str, width: int, *, begin: int = 0, indent: str = "") -> list[str]:
    """Returns a text in lines; a word that is longer than a line stays whole.

    Args:
        text: The text, whose words have single blanks between them.
        width: How many columns a line has.
        begin: How many of the first line are taken already; it is empty if no word fits.
        indent: What each line but the first begins with.
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
