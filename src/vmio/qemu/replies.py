"""What a monitor may answer: anything; these readers take what is in kind and refuse the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from vmio.bounds import MAX_WHOLE_NUMBER
from vmio.errors import QmpError

__all__ = [
    "PERIPHERAL",
    "as_integer",
    "as_mapping",
    "as_mappings",
    "check_count",
    "name_device",
]

PERIPHERAL: Final = "/machine/peripheral/"
_MAX_ENTRIES: Final = 4096
"""Devices, vCPUs, IOThreads: of each a few questions are asked."""


def as_integer(value: object, minimum: int = 0) -> int | None:
    """Returns a number of at least the minimum and 64 bits, None for anything else."""
    return value if type(value) is int and minimum <= value <= MAX_WHOLE_NUMBER else None


def as_mapping(value: object) -> Mapping[str, Any]:
    """Returns an object, an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def as_mappings(reply: object, monitor: str) -> list[Mapping[str, Any]]:
    """Returns a list of objects.

    Args:
        reply: What the monitor answered.
        monitor: What errors call it.

    Raises:
        QmpError: It is anything else.
    """
    if not isinstance(reply, list) or not all(isinstance(entry, dict) for entry in reply):
        raise QmpError(f"{monitor} does not answer as a QEMU does")
    return list(reply)


def check_count(entries: Sequence[object], monitor: str, what: str) -> None:
    """Refuses a list that is too long to ask about each entry.

    Raises:
        QmpError: It is.
    """
    if len(entries) > _MAX_ENTRIES:
        raise QmpError(f"{monitor} reports more than {_MAX_ENTRIES} {what}")


def name_device(path: str) -> str:
    """Returns the id of the device at a place; one that was given none is called by its place."""
    path = path.removesuffix("/virtio-backend")
    return path.removeprefix(PERIPHERAL).removeprefix("/machine/")
