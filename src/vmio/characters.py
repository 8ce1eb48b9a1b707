"""Which characters are shown unchanged, and how the others are escaped.

A terminal obeys control characters, direction marks change the order in which a name is read, and
invisible characters hide in a name. Python's `str.isprintable` covers all but some that Unicode
classifies as letters and marks.

Source: Unicode 15.1, DerivedCoreProperties.txt, Default_Ignorable_Code_Point.
"""

from __future__ import annotations

import re

from vmio.patterns import compile_late

__all__ = ["disarm_lines", "is_printable", "natural_key", "printable", "printable_lines"]

_COMMAND = compile_late(r"^((?:[ \t]|\x1b\[[0-9;]*m)*):(?=:)", re.MULTILINE)
"""After blanks and colours."""

_ESCAPED_BYTES = range(0xDC80, 0xDD00)
"""Lone surrogates, with which Python represents bytes that are not UTF-8."""
_ASCII_CONTROLS = 0x20
_BMP = 0x10000

_INVISIBLE = frozenset(
    code
    for low, high in (
        (0x034F, 0x034F),
        (0x115F, 0x1160),
        (0x17B4, 0x17B5),
        (0x180B, 0x180F),
        (0x3164, 0x3164),
        (0xFE00, 0xFE0F),
        (0xFFA0, 0xFFA0),
    )
    for code in range(low, high + 1)
)
"""Printable according to Python, but invisible; also variation selectors from U+E0100."""
_SELECTORS = range(0xE0100, 0xE01F0)


class _Spelling(dict[int, int | str]):
    """A table for `str.translate` that is filled as characters occur."""

    def __missing__(self, code: int) -> int | str:
        self[code] = found = code if _is_shown(code) else _spell(code)
        return found


def _is_shown(code: int) -> bool:
    return chr(code).isprintable() and code not in _INVISIBLE and code not in _SELECTORS


def _spell(code: int) -> str:
    if code in _ESCAPED_BYTES:
        return f"\\x{code - 0xDC00:02x}"
    if code < _ASCII_CONTROLS:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < _BMP else f"\\U{code:08x}"


_FIELDS = _Spelling({ord("\t"): "\\t", ord("\n"): "\\n", ord("\r"): "\\r"})
_LINES = _Spelling({ord("\t"): "\t", ord("\n"): "\n", ord("\r"): "\\r"})


def is_printable(text: str) -> bool:
    """Returns whether a terminal shows all of a text unchanged, on one line."""
    return printable(text) == text


def printable(text: str) -> str:
    r"""Returns a text on one line, with characters that would not be shown escaped.

    A control character becomes `\n` or `\x1b`, a byte that is not UTF-8 `\xff`, any other
    character `\u202e` or `\U000e0041`.
    """
    return text if text.isascii() and text.isprintable() else text.translate(_FIELDS)


def printable_lines(text: str) -> str:
    """Returns a text of several lines with the same escapes, but with its newlines and tabs."""
    plain = text.replace("\n", "")
    return text if plain.isascii() and plain.isprintable() else text.translate(_LINES)


def disarm_lines(text: str) -> str:
    """Returns lines that GitHub's runner does not take for commands, such as `::error::`."""
    return _COMMAND.sub(r"\1\\u003a", text) if "::" in text else text


def natural_key(name: str) -> tuple[tuple[str, int], ...]:
    """Returns what sorts names as people count, scsi2 before scsi10."""
    return tuple(
        (word, int(digits or 0)) for word, digits in re.findall(r"(\D*)(\d{0,9})", name, re.ASCII)
    )
