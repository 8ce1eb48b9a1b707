"""Numbers and booleans in Perl's sense, since Proxmox is written in Perl.

Proxmox keeps a config's values as text. Its schema tests the text, a condition tests whether the
text is true, and arithmetic reads a number from it: three tests with different results.

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
# Perl accepts more digits, and a larger exponent as infinity; no QEMU starts with either.
_INTEGER = r"[+-]?\d{1,18}"
_NUMBER = r"[+-]?(?:\d{1,18}(?:\.\d{0,18})?|\.\d{1,18})(?:[eE][+-]?\d{1,2})?"


def matches(pattern: str, text: str) -> re.Match[str] | None:
    """Returns the match of a whole text with a pattern whose classes are those of ASCII.

    A pattern is compiled at its first use, not at import: most configs need few of them.
    """
    return _compile(pattern).fullmatch(text)


@cache
def _compile(pattern: str) -> re.Pattern[str]:
    # Python caches compiled patterns too, but takes longer to find one.
    return re.compile(pattern, _ASCII)


def is_integer(text: str) -> bool:
    """Returns whether a text is a whole number for the schema; a sign may precede it."""
    return matches(_INTEGER, text) is not None


def is_number(text: str) -> bool:
    """Returns whether a text is a number for the schema; `.5`, `3.` and `1e2` are numbers."""
    return matches(_NUMBER, text) is not None


def is_true(text: str | None) -> bool:
    """Returns whether a text is true: only a missing one, `` and `0` are false.

    `0.0`, `-0` and `00` are true, though each of them is zero as a number.
    """
    return text is not None and text not in {"", "0"}


def parse_boolean(text: str) -> bool | None:
    """Returns the value of a word that is a boolean for the schema; None for any other."""
    lowered = text.lower()
    if lowered in _TRUE:
        return True
    return False if lowered in _FALSE else None


def compute(text: str, factor: int = 1) -> int:
    """Returns the integer part of a number times a factor, rounded towards zero as by `int`."""
    return int(text) * factor if is_integer(text) else int(float(text) * factor)
