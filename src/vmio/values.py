"""Values of vmio's own classes: copies with other fields, limits of a field, what is wrong."""

from __future__ import annotations

import re
from typing import TypeVar

from msgspec import Struct, ValidationError, structs

from vmio.patterns import compile_late

__all__ = ["check_between", "check_matches", "explain", "replace"]

_Value = TypeVar("_Value", bound=Struct)
_KEY = compile_late(r"Object (missing|contains) (?:required|unknown) field `(.*)`", re.DOTALL)
_SHOWN_CHARACTERS = 80


def replace(value: _Value, /, **changes: object) -> _Value:
    """Returns a copy of a value with other fields.

    The names and the types are checked by mypy, which knows this function from
    `tools/mypy_values.py`.
    """
    return structs.replace(value, **changes)


def check_between(name: str, value: float | None, least: float, most: float | None = None) -> None:
    """Refuses a number out of its range, and NaN; None is a number that is not set.

    Raises:
        ValueError: It is.
    """
    if value is None:
        return
    if not value >= least:  # NaN is in no range
        raise ValueError(f"{name} must be at least {least}, not {value}")
    if most is not None and value > most:
        raise ValueError(f"{name} must be at most {most}, not {value}")


def check_matches(name: str, value: str, pattern: str) -> None:
    """Refuses a text that a pattern does not match as a whole.

    Raises:
        ValueError: It is one.
    """
    if re.fullmatch(pattern, value) is None:
        raise ValueError(f"{name} cannot be {value[:_SHOWN_CHARACTERS]!r}")


def explain(error: ValidationError, what: str) -> str:
    """Returns what is wrong with a description of something, and at which key."""
    reason, _, place = str(error).partition(" - at `$")
    path = [*(piece for piece in re.split(r"[.\[\]`]+", place) if piece)]
    key = _KEY.fullmatch(reason)
    if key is not None:
        path.append(key[2])
    name = ".".join(piece[:_SHOWN_CHARACTERS] for piece in path)
    if key is None:
        return f"'{name}': {reason[:1].lower()}{reason[1:].replace('`', '')}"
    return f"there is no '{name}'" if key[1] == "missing" else f"{what} has no key '{name}'"
