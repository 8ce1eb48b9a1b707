"""Numbers and truth as Perl takes them, in which Proxmox is written.

Proxmox keeps what a config says as text. Its schema tests the text, a condition asks whether the
text is true, and arithmetic takes a number from it: three questions with different answers.

Source: perlop(1), perldata(1) and perlnumber(1) of Perl 5.36, run; the schema of pve-common 9.
"""

from __future__ import annotations

import re
from functools import cache

__all__ = [
    "compute",
    "is_integer",
    "is_number",
    "is_true",
    "matches",
    "parse_boolean",
]

_TRUE = frozenset({"1", "on", "yes", "true"})
_FALSE = frozenset({"0", "off", "no", "false"})
_ASCII = int(re.ASCII)
# Perl takes more digits, and a larger exponent for infinity; no QEMU starts with either.
_INTEGER = r"[+-]?\d{1,18}"
_NUMBER = r"[+-]?(?:\d{1,18}(?:\.\d{0,18})?|\.\d{1,18})(?:[eE][+-]?\d{1,2})?"


def matches(pattern: str, text: str) -> re.Match[str] | None:
    """Returns how a whole text matches a pattern, whose classes are those of plain bytes.

    A pattern is compiled at its first use, not at import: most configs need few of them.
    """
    return _compile(pattern).fullmatch(text)


@cache
def _compile(pattern: str) -> re.Pattern[str]:
    # Python keeps compiled patterns too, but asks more of itself before it finds one.
    return re.compile(pattern, _ASCII)


def is_integer(text: str) -> bool:
    """Returns whether the schema takes a text for a whole number; a sign may stand before it."""
    return matches(_INTEGER, text) is not None


def is_number(text: str) -> bool:
    """Returns whether the schema takes a text for a number; `.5`, `3.` and `1e2` are some."""
    return matches(_NUMBER, text) is not None


def is_true(text: str | None) -> bool:
    """Returns the truth of a text: only what is not there, `` and `0` are false.

    `0.0`, `-0` and `00` are true, though each of them counts as zero.
    """
    return text is not None and text not in {"", "0"}


def parse_boolean(text: str) -> bool | None:
    """Returns the truth of a word that the schema takes for a boolean, None if it is no such."""
    lowered = text.lower()
    if lowered in _TRUE:
        return True
    return False if lowered in _FALSE else None


def compute(text: str, factor: int = 1) -> int:
    """Returns the whole part of a number times a factor, as `int` cuts it: towards zero."""
    return int(text) * factor if is_integer(text) else int(float(text) * factor)
