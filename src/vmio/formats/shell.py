"""The words of a text that is quoted for a shell, in time that grows with its length only.

`shlex.split` takes a minute for one word of a megabyte.
"""

from __future__ import annotations

import re

__all__ = ["split_words"]

_PIECE = re.compile(
    r"""(?P<blank>[ \t\r\n]++)|(?P<plain>[^ \t\r\n'"\\]++)|'(?P<single>[^']*+)'"""
    r"""|"(?P<double>(?:[^"\\]++|\\.)*+)"|\\(?P<escaped>.)""",
    re.DOTALL,
)


def split_words(text: str) -> list[str]:
    r"""Splits a text as a POSIX shell does, expanding nothing; `\` at a line's end joins lines.

    Raises:
        ValueError: A quotation has no end.
    """
    words: list[str] = []
    word: list[str] | None = None
    position = 0
    while position < len(text):
        match = _PIECE.match(text, position)
        if match is None:
            raise ValueError("a quotation has no end")
        position = match.end()
        piece = match[match.lastgroup or 0]
        if match.lastgroup == "blank":
            if word is not None:
                words.append("".join(word))
            word = None
        elif match.lastgroup == "escaped" and piece == "\n":
            continue
        else:
            if match.lastgroup == "double":
                piece = re.sub(r'\\([$`"\\\n])', _unescape, piece)
            word = [] if word is None else word
            word.append(piece)
    return words if word is None else [*words, "".join(word)]


def _unescape(match: re.Match[str]) -> str:
    return "" if match[1] == "\n" else match[1]
