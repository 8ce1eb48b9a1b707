"""Quotes words for a shell, and splits such a text into words in linear time.

`shlex.split` takes a minute for one word of a megabyte, and does not report the places of
words; what `shlex.quote` quotes reaches a terminal unescaped.

Source: POSIX.1-2024, Shell & Utilities, 2.2.4 Dollar-Single-Quotes.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

from msgspec import Struct

from vmio.characters import is_printable
from vmio.patterns import compile_late

__all__ = [
    "Token",
    "Word",
    "join_words",
    "quote",
    "quote_unprintable",
    "read_quoted",
    "render_command",
    "scan_tokens",
    "scan_words",
    "split_words",
]

_BLANK = r"(?P<blank>[ \t\r\n]++)"
_QUOTED = r"""'(?P<single>[^']*+)'|"(?P<double>(?:[^"\\]++|\\.)*+)"|\\(?P<escaped>\r\n|.)"""
_PIECE = compile_late(rf"""{_BLANK}|(?P<plain>[^ \t\r\n'"\\]++)|{_QUOTED}""", re.DOTALL)
# No `(…)++` around an alternative that can fail: Python before 3.11.4 loses what it matched.
_PIECE_OR_DOLLAR = compile_late(
    rf"""{_BLANK}|(?P<plain>[^ \t\r\n'"\\$]++|\$(?!'))|{_QUOTED}"""
    r"""|\$'(?P<dollar>(?:[^'\\]++|\\.)*+)'""",
    re.DOTALL,
)
_OBJECT = r"""(?P<json>\{(?=[ \t]{0,8}"[\w.-]{0,64}(?:"[ \t]{0,8}:|\n|\Z)))"""
"""The beginning of unquoted JSON, as in a list of processes."""
_COMMAND_PIECE = compile_late(
    rf"""(?P<blank>[ \t\r]++)|(?P<line>\n)|(?P<join>\\\r?\n)|{_OBJECT}
    |'(?P<single>[^']*+)'|"(?P<double>(?:[^"\\]++|\\.)*+)"|\\(?P<escaped>.)
    |\$'(?P<dollar>(?:[^'\\]++|\\.)*+)'|(?P<operator>[;&|<>])
    |(?P<variable>\$\{{[^}}\n]{{0,200}}+\}}|\$\((?:[^()\n]|\((?:[^()\n]|\([^()\n]*+\))*\))*\)|`[^`\n]*+`)
    |(?P<plain>[^ \t\r\n'"\\$`;&|<>(){{^]++|[${{(^`]|\))""",
    re.DOTALL | re.VERBOSE,
)
_LISTED_PIECE = compile_late(
    rf"(?P<blank>[ \t\r]++)|(?P<line>\n)|{_OBJECT}|(?P<plain>[^ \t\r\n{{]++|\{{)"
)
_FIRST_PIECE = compile_late(
    r"(?P<comment>\#[^\n]*+)|(?P<loose>\\[ \t]++\r?(?=\n))|(?P<join>[\^`]\r?\n)"
    r"|(?P<operator>\d(?=[<>])|\))"
)
"""Parts with another meaning at a word's beginning than within it; `^` and a backtick end the
lines of the shells of Windows."""
_JSON_PIECE = compile_late(r"""(?P<brace>[{}])|"(?:[^"\\\n]++|\\[^\n])*+"|[^"{}\n]++""")
_DOLLAR = compile_late(
    r"""\\(?:(?P<octal>[0-7]{1,3})|x(?P<hex>[0-9A-Fa-f]{1,2})|u(?P<short>[0-9A-Fa-f]{1,4})"""
    r"""|U(?P<long>[0-9A-Fa-f]{1,8})|c(?P<control>.)|(?P<sign>[abefnrtv\\'"?]))"""
    r"""|(?P<plain>[^\\]++|\\)""",
    re.DOTALL,
)
_BARE = compile_late(r"[A-Za-z0-9_!%+,\-./:@^]+", re.ASCII)
"""Characters that Perl's String::ShellQuote leaves unquoted."""
_SIGNS = str.maketrans("abefnrtv", "\a\b\x1b\f\n\r\t\v")
_SPELLED = {"'": r"\'", "\\": r"\\", "\n": r"\n", "\r": r"\r", "\t": r"\t"}
_DOUBLE = compile_late(r"""\\(?P<escaped>[$`"\\\n])|(?P<plain>[^\\]++|\\)""")


class Word(Struct, frozen=True, kw_only=True):
    """One word, and the place of each part of it in the text."""

    text: str
    start: int
    """The place of its first character or quotation mark."""
    end: int
    runs: tuple[tuple[int, int], ...] = ()
    """Where each run of unquoted characters begins, in the word and in the text."""

    def find(self, start: int, end: int) -> tuple[int, int]:
        """Returns the place of a part of the word in the text, its end excluded."""
        return self._place(start), self._place(end - 1) + 1 if end > start else self._place(start)

    def _place(self, position: int) -> int:
        if not self.runs:
            return self.start
        from bisect import bisect_right

        inside, outside = self.runs[bisect_right(self.runs, (position, self.end)) - 1]
        return min(outside + position - inside, self.end)


def split_words(text: str) -> list[str]:
    r"""Splits a text as a POSIX shell does, expanding nothing; `\` at a line's end joins lines.

    Raises:
        ValueError: A quotation has no end.
    """
    return [word.text for word in scan_words(text)]


def join_words(words: Iterable[str]) -> str:
    """Returns a line that a shell reads as these words and a terminal shows unchanged."""
    return " ".join(map(quote, words))


def quote(word: str) -> str:
    """Returns a word quoted in this way."""
    from shlex import quote as quote_printable

    return quote_unprintable(word) or quote_printable(word)


def quote_unprintable(word: str) -> str:
    """Returns a word as `$'…'`, with invisible characters escaped; empty if it has none.

    The bytes are in octal, which a shell reads in the same way in any locale.
    """
    return "" if is_printable(word) else f"$'{''.join(map(_spell, word))}'"


def _spell(sign: str) -> str:
    if sign in _SPELLED:
        return _SPELLED[sign]
    if is_printable(sign):
        return sign
    escaped = "surrogateescape" if "\udc80" <= sign <= "\udcff" else "surrogatepass"
    return "".join(f"\\{byte:03o}" for byte in sign.encode("utf-8", escaped))


def scan_words(text: str, *, dollars: bool = False) -> Iterator[Word]:
    """Yields the words of a text as `split_words` does, with their places.

    Args:
        text: The text.
        dollars: Whether `$'…'` is a quotation; it is not one for Proxmox VE. If so, each
            character of the text and of the words is one byte.

    Raises:
        ValueError: A quotation has no end.
    """
    start = -1
    parts: list[tuple[str, int]] = []
    position = 0
    pattern = _PIECE_OR_DOLLAR if dollars else _PIECE
    while position < len(text):
        match = pattern.match(text, position)
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
            elif kind == "dollar":
                parts += _unescape_dollar(match[kind], match.start(kind))
            else:
                parts.append((match[kind], match.start(kind)))
        position = match.end()
    if start >= 0:
        yield _join(parts, start, position)


TokenKind = Literal["word", "line", "join", "loose", "comment", "operator", "open"]


class Token(NamedTuple):
    """A part of a script: a word, or something between words."""

    kind: TokenKind
    """`join` is a line that continues in the next one, `loose` a line that does not because blanks
    follow its backslash, and `open` a quotation or a JSON object without an end."""
    start: int
    end: int
    word: Word | None = None


def scan_tokens(
    text: str, start: int = 0, end: int | None = None, *, quoted: bool = True
) -> Iterator[Token]:
    """Yields the parts of a script from a place on; only the last of them can be `open`.

    Unquoted JSON is a part of a word, including its blanks.

    Args:
        text: The script, a character a byte.
        start: Where to begin.
        end: Where to end; None for the end of the text.
        quoted: Whether there are quotations, operators and comments; a list of processes has
            none.
    """
    end = len(text) if end is None else end
    pattern = _COMMAND_PIECE if quoted else _LISTED_PIECE
    parts: list[tuple[str, int]] = []
    first = -1
    position = start
    line_end = -1
    while position < end:
        match = _FIRST_PIECE.match(text, position, end) if quoted and first < 0 else None
        match = match or pattern.match(text, position, end)
        kind = "open" if match is None else match.lastgroup or ""
        after = end if match is None else match.end()
        if kind == "json":
            line_end = text.find("\n", position, end) if line_end < position else line_end
            line_end = end if line_end < 0 else line_end
            after = _find_json_end(text, position, line_end)
            kind, after = ("open", line_end) if after < 0 else ("json", after)
        if kind not in _IN_WORD:
            if first >= 0 and kind not in {"join", "open"}:
                yield Token("word", first, position, _join(parts, first, position))
                first, parts = -1, []
            if kind != "blank":
                yield Token(_KINDS[kind], position, after)
            if kind == "open":
                return
        else:
            first = position if first < 0 else first
            parts += _read_piece(kind, match, text[position:after], position)
        position = after
    if first >= 0:
        yield Token("word", first, end, _join(parts, first, end))


_IN_WORD = frozenset({"single", "double", "escaped", "dollar", "variable", "plain", "json"})
_KINDS: dict[str, TokenKind] = {
    "blank": "word",
    "line": "line",
    "join": "join",
    "loose": "loose",
    "comment": "comment",
    "operator": "operator",
    "open": "open",
}


def _find_json_end(text: str, position: int, end: int) -> int:
    """Returns where a JSON object ends; -1 if that is not before `end`."""
    depth = 0
    while position < end:
        match = _JSON_PIECE.match(text, position, end)
        if match is None:
            return -1
        position = match.end()
        if match["brace"]:
            depth += 1 if match["brace"] == "{" else -1
            if depth == 0:
                return position
    return -1


def _read_piece(
    kind: str, match: re.Match[str] | None, piece: str, start: int
) -> Iterable[tuple[str, int]]:
    if match is None or kind in {"variable", "plain", "json"}:
        return ((piece, start),)
    if kind == "double":
        return _unescape(match[kind], match.start(kind))
    if kind == "dollar":
        return _unescape_dollar(match[kind], match.start(kind))
    return ((match[kind], match.start(kind)),)


def read_quoted(text: str, start: int) -> Word:
    """Returns the word that stands in quotation marks at a place, without its backslashes."""
    return _join(list(_unescape(text, start)), start, start + len(text))


def _unescape(piece: str, start: int) -> Iterator[tuple[str, int]]:
    for match in _DOUBLE.finditer(piece):
        kind = match.lastgroup or ""
        if match[kind] != "\n" or kind == "plain":
            yield match[kind], start + match.start(kind)


def _unescape_dollar(piece: str, start: int) -> Iterator[tuple[str, int]]:
    for match in _DOLLAR.finditer(piece):
        text = _read_dollar(match.lastgroup or "", match[match.lastgroup or 0])
        if text == "\0":
            return  # not possible in a word: for a shell the quotation ends here
        # As in double quotes, an escaped character has the place of the last one of the escape.
        escaped = match.lastgroup != "plain"
        yield text, start + (match.end() - 1 if escaped else match.start())


def _read_dollar(kind: str, text: str) -> str:
    match kind:
        case "octal":
            return chr(int(text, 8) & 0xFF)
        case "hex":
            return chr(int(text, 16))
        case "short" | "long":
            code = min(int(text, 16), sys.maxunicode)
            return chr(code).encode("utf-8", "surrogatepass").decode("latin-1")
        case "control":
            return chr(ord(text) & 0x1F)
        case "sign":
            return text.translate(_SIGNS)
        case _:
            return text


def _join(parts: list[tuple[str, int]], start: int, end: int) -> Word:
    runs: list[tuple[int, int]] = []
    length = 0
    for piece, place in parts:
        runs.append((length, place))
        length += len(piece)
    return Word(text="".join(piece for piece, _ in parts), start=start, end=end, runs=tuple(runs))


def render_command(argv: Iterable[Sequence[str]], *, pretty: bool = False) -> str:
    """Returns a command as Proxmox VE's `qm showcmd` prints it, each word quoted for a shell.

    A word with characters that a terminal would obey or hide is quoted as `$'…'`, which
    `qm showcmd` does not do.

    Args:
        argv: The command, each option with its value.
        pretty: Whether each option has a line of its own.
    """
    line = " ".join([_quote_as_perl(word) for argument in argv for word in argument])
    return line.replace(" -", " \\\n  -") if pretty else line


def _quote_as_perl(word: str) -> str:
    if _BARE.fullmatch(word):
        return word
    if spelled := quote_unprintable(word):
        return spelled.replace(" -", r"\040-")  # where --pretty would break the line
    if "'" not in word:
        return f"'{word}'"
    # A single quote ends the quoting, is escaped, and begins it again; several in a row are in
    # double quotes instead.
    body = re.sub(
        r"'+",
        lambda found: r"'\''" if len(found[0]) == 1 else f"'\"{found[0]}\"'",
        word,
    )
    quoted = f"'{body}'"
    return quoted.removeprefix("''").removesuffix("''") or "''"
