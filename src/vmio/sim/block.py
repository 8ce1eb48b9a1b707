"""Records in one block of memory, for compiled code.

Each record is a row of 64-bit words, one for each of its fields in their order: a number, a truth,
or the address of another record or of a list. A list is its length and then its elements.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import attrs
import numpy as np

__all__ = ["WORD_BYTES", "Block"]

WORD_BYTES: Final = 8


class Block:
    """A copy of a record and of all records and lists that are reached from it."""

    def __init__(self, root: object) -> None:
        self._places: dict[int, int] = {}
        self._parts: list[tuple[int, Any]] = []
        size, waiting = 0, [root]
        while waiting:
            part = waiting.pop()
            if id(part) in self._places:
                continue
            self._places[id(part)] = size
            self._parts.append((size, part))
            if isinstance(part, list):
                size += 1 + len(part)
                waiting += [] if _holds_numbers(part) else part
            else:
                values = _get_values(part)
                size += len(values)
                waiting += [each for each in values if not isinstance(each, int | None)]
        self._words = np.zeros(size, dtype=np.int64)
        for place, part in self._parts:
            row = [len(part), *part] if isinstance(part, list) else _get_values(part)
            words = row if _holds_numbers(part) else [self._encode(each) for each in row]
            self._words[place : place + len(row)] = words

    @property
    def address(self) -> int:
        """Of the first record."""
        return int(self._words.ctypes.data)

    def _encode(self, value: object) -> int:
        """Returns a number as it is, and of all else the address; 0 for what is not set."""
        if isinstance(value, int | None):
            return value or 0
        return self.address + WORD_BYTES * self._places[id(value)]

    def read_back(self) -> None:
        """Takes numbers and truths back into the records, and numbers back into the lists.

        Which record a field or a list holds stays as it was.
        """
        for place, part in self._parts:
            if _holds_numbers(part):
                part[:] = self._words[place + 1 : place + 1 + len(part)].tolist()
            elif not isinstance(part, list):
                values = _get_values(part)
                words = self._words[place : place + len(values)].tolist()
                for name, value, word in zip(
                    _list_fields(part.__class__), values, words, strict=True
                ):
                    if isinstance(value, int) and word != value:
                        setattr(part, name, type(value)(word))


def _holds_numbers(part: object) -> bool:
    return isinstance(part, list) and (not part or isinstance(part[0], int))


@cache
def _list_fields(of: type[Any]) -> tuple[str, ...]:
    return tuple(each.name for each in attrs.fields(of))


def _get_values(record: Any) -> list[Any]:  # noqa: ANN401 - of whatever class
    """Returns the fields of a record; None for those that are not set yet."""
    return [getattr(record, name, None) for name in _list_fields(record.__class__)]
