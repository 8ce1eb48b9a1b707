"""The words of a text that is quoted for a shell, in time that grows with its length only.

`shlex.split` takes a minute for one word of a megabyte, and forgets where a word stood.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator

from attrs import frozen

__all__ = ["Word", "scan_words", "split_words"]

_PIECE = re.compile(
    r"""(?P<blank>[ \t\r\n]++)|(?P<plain>[^ \t\r\n'"\\]++)|'(?P<single>[^']*+)'"""
    r"""|"(?P<double>(?:[^"\\]++|\\.)*+)"|\\(?P<escaped>\r\n|.)""",
    re.DOTALL,
)
_DOUBLE = re.compile(r"""\\(?P<escaped>[$`"\\\n])|(?P<plain>[^\\]++|\\)""")


@frozen(kw_only=True)
class Word:
    """One word, and where in the text each part of it stands."""

    text: str
    start: int
    """Where its first character or quotation mark stands."""
    end: int
    runs: tuple[tuple[int, int], ...] = ()
    """Where in the word, and where in the text, each run of unquoted characters begins."""

    def find(self, start: int, end: int) -> tuple[int, int]:
        """Returns where in the text a part of the word stands, its end excluded."""
        return self._place(start), self._place(end - 1) + 1 if end > start else self._place(start)

    def _place(self, position: int) -> int:
        if not self.runs:
            return self.start
        inside, outside = self.runs[bisect_right(self.runs, (position, self.end)) - 1]
        return min(outside + position - inside, self.end)


def split_words(text: str) -> list[str]:
    r"""Splits a text as a POSIX shell does, expanding nothing; `\` at a line's end joins lines.

    Raises:
        ValueError: A quotation has no end.
    """
    return [word.text for word in scan_words(text)]


def scan_words(text: str) -> Iterator[Word]:
    """Yields the words of a text as `split_words` does, with their places.

    Raises:
        ValueError: A quotation has no end.
    """
    start = -1
    parts: list[tuple[str, int]] = []
    position = 0
    while position < len(text):
        match = _PIECE.match(text, position)
        if match is None:
            raise ValueError("a quotation has no end")
        kind = match.lastgroup or ""
        if kind == "blank":
            if start >= 0:
                yield _join(parts, start, position)
            start, parts = -1, []
        elif kind == "escaped" and match[kind] in {"\n", "\r\n"}:
            pass
        else:
            start = position if start < 0 else start
            if kind == "double":
                parts += _unescape(match[kind], match.start(kind))
            else:
                parts.append((match[kind], match.start(kind)))
        position = match.end()
    if start >= 0:
        yield _join(parts, start, position)


def _unescape(piece: str, start: int) -> Iterator[tuple[str, int]]:
    for match in _DOUBLE.finditer(piece):
        kind = match.lastgroup or ""
        if match[kind] != "\n" or kind == "plain":
            yield match[kind], start + match.start(kind)


def _join(parts: list[tuple[str, int]], start: int, end: int) -> Word:
    runs: list[tuple[int, int]] = []
    length = 0
    for piece, place in parts:
        runs.append((length, place))
        length += len(piece)
    return Word(text="".join(piece for piece, _ in parts), start=start, end=end, runs=tuple(runs))
