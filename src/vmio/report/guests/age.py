"""How long a guest runs, in words."""

from __future__ import annotations

from typing import Final

__all__ = ["format_age"]

_UNITS: Final = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def format_age(age_s: float) -> str:
    """Returns a time in its two largest units, such as 3d 4h."""
    rest = int(age_s)
    parts: list[str] = []
    for name, size in _UNITS:
        count, rest = divmod(rest, size)
        if count or parts or name == "s":
            parts.append(f"{count}{name}")
    return " ".join(parts[:2])
