"""Texts that stay one line wherever they are used: in shell commands, journals and reports."""

from __future__ import annotations

import re

from vmio.errors import PlanError
from vmio.patterns import compile_late

__all__ = ["check_line", "check_name", "check_path", "check_value", "check_words"]

_CONTROL = r"\x00-\x1f\x7f-\x9f\u2028\u2029"
_NOT_IN_A_LINE = compile_late(rf"[{_CONTROL}\ud800-\udfff\ufffd]")
"""U+FFFD replaces bytes that are not text; written back, it would be a different name."""
_NOT_IN_A_PATH = compile_late(rf"[{_CONTROL}]")
_NOT_IN_A_NAME = compile_late(r"^-")
_SHOWN_CHARACTERS = 60


def check_line(value: str, name: str) -> None:
    """Refuses a text that is more than one line, or that had bytes that were no text.

    Args:
        value: The text.
        name: The field that it is for.

    Raises:
        PlanError: It is one.
    """
    if not (value.isascii() and value.isprintable()):
        _refuse(_NOT_IN_A_LINE.search(value), name, value)


def check_words(value: str, name: str) -> None:
    """Refuses what `check_line` refuses, and no text at all."""
    if not value:
        raise PlanError(f"a plan cannot have an empty {name}")
    check_line(value, name)


def check_value(value: str, name: str) -> None:
    """Refuses what cannot be a value in a config, as `check_line` does."""
    # Where blanks may stand in a config's line, tabs may.
    check_line(value.replace("\t", " "), name)


def check_path(value: str, name: str) -> None:
    """Refuses what cannot be a path, as `check_words` does."""
    if not value:
        raise PlanError(f"a plan cannot have an empty {name}")
    # Bytes that are no text are part of a file's name, as surrogate escapes.
    _refuse(_NOT_IN_A_PATH.search(value), name, value)


def check_name(value: str, name: str) -> None:
    """Refuses what cannot be a word of a command, as `check_words` does."""
    check_words(value, name)
    # As a word of a command it would be an option.
    _refuse(_NOT_IN_A_NAME.search(value), name, value)


def _refuse(found: re.Match[str] | None, name: str, value: str) -> None:
    if found is not None:
        start = max(0, found.start() - _SHOWN_CHARACTERS // 2)
        shown = ascii(value[start : start + _SHOWN_CHARACTERS])
        raise PlanError(f"a plan cannot have {shown} as its {name}")
