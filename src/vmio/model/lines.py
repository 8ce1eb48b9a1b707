"""Texts that stay one line wherever they are used: in shell commands, journals and reports."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from attrs.validators import and_, min_len

from vmio.errors import PlanError

if TYPE_CHECKING:
    from attrs import Attribute

__all__ = ["be_line", "be_name", "be_path", "be_value", "be_words", "check_line"]

_CONTROL = r"\x00-\x1f\x7f-\x9f\u2028\u2029"
_NOT_IN_A_LINE = re.compile(rf"[{_CONTROL}\ud800-\udfff\ufffd]")
"""U+FFFD replaces bytes that are not text; written back, it would be a different name."""
_NOT_IN_A_PATH = re.compile(rf"[{_CONTROL}]")
_NOT_IN_A_NAME = re.compile(rf"^-|{_NOT_IN_A_LINE.pattern}")
_SHOWN_CHARACTERS = 60


def be_line(_: object, attribute: Attribute[str], value: str) -> None:
    """Refuses a field's value that has several lines, or contained bytes that are not text.

    Raises:
        PlanError: It is such a value.
    """
    check_line(value, attribute.name)


def be_value(_: object, attribute: Attribute[str], value: str) -> None:
    """Refuses a text that cannot be a value in a config, as `be_line` does."""
    # Where a config's line may have blanks, it may have tabs.
    be_line(_, attribute, value.replace("\t", " "))


def be_path(_: object, attribute: Attribute[str], value: str) -> None:
    """Refuses a text that cannot be a path, as `be_line` does."""
    # Bytes that are not text are part of a file's name, as surrogate escapes.
    _refuse(_NOT_IN_A_PATH.search(value), attribute.name, value)


def be_name(_: object, attribute: Attribute[str], value: str) -> None:
    """Refuses a text that cannot be a word of a command, as `be_line` does."""
    # In a command it would otherwise be taken for an option.
    _refuse(_NOT_IN_A_NAME.search(value), attribute.name, value)


def check_line(value: str, name: str) -> None:
    """Refuses a text as `be_line` does.

    Raises:
        PlanError: It has several lines.
    """
    _refuse(_NOT_IN_A_LINE.search(value), name, value)


def _refuse(found: re.Match[str] | None, name: str, value: str) -> None:
    if found is not None:
        start = max(0, found.start() - _SHOWN_CHARACTERS // 2)
        shown = ascii(value[start : start + _SHOWN_CHARACTERS])
        raise PlanError(f"a plan cannot have {shown} as its {name}")


be_words = and_(min_len(1), be_line)
"""At least one character, on one line."""
