"""Text that is safe to show on a terminal."""

from __future__ import annotations

import re

__all__ = ["printable"]

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    r"""Returns a text with its control and direction characters spelled out, as `\x1b`.

    A config's words can be anybody's, and a terminal would obey what is in them.
    """
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
