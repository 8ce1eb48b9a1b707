"""Which characters are shown as they are, and how the others are spelled out.

A terminal obeys control characters, a direction mark makes one name read as another one, and what
is invisible hides in a name. Python's `str.isprintable` knows all of them but some that Unicode
counts among letters and marks.

Source: Unicode 15.1, DerivedCoreProperties.txt, Default_Ignorable_Code_Point.
"""

from __future__ import annotations

import re

from vmio.patterns import compile_late

__all__ = ["disarm_lines", "is_printable", "natural_key", "printable", "printable_lines"]

_COMMAND = compile_late(r"^((?:[ \t]|\x1b\[[0-9;]*m)*):(?=:)", re.MULTILINE)
"""Behind blanks and colours."""

_ESCAPED_BYTES = range(0xDC80, 0xDD00)
"""Lone surrogates, by which Python stands for bytes that are not UTF-8."""
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
"""What is printable to Python and shown as nothing; variation selectors from U+E0100 besides."""
_SELECTORS = range(0xE0100, 0xE01F0)


class _Spelling(dict[int, int | str]):
    """A table for `str.translate` that grows by the characters that it meets."""

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
    """Tells whether a terminal shows all of a text as it is, on one line."""
    return printable(text) == text


def printable(text: str) -> str:
    r"""Returns a text on one line, with what would not be shown spelled out.

    A control character becomes `\n` or `\x1b`, a byte that is not UTF-8 `\xff`, any other
    character `\u202e` or `\U000e0041`.
    """
    return text if text.isascii() and text.isprintable() else text.translate(_FIELDS)


def printable_lines(text: str) -> str:
    """Returns a text of several lines with the same spelled out, but newlines and tabs."""
    plain = text.replace("\n", "")
    return text if plain.isascii() and plain.isprintable() else text.translate(_LINES)


def disarm_lines(text: str) -> str:
    """Returns lines of which GitHub's runner takes none for a command, as it would `::error::`."""
    return _COMMAND.sub(r"\1\\u003a", text) if "::" in text else text


def natural_key(name: str) -> tuple[tuple[str, int], ...]:
    """Returns what sorts names as people count, scsi2 before scsi10."""
    return tuple(
        (word, int(digits or 0)) for word, digits in re.findall(r"(\D*)(\d{0,9})", name, re.ASCII)
    )
