"""Validates a monitor's replies, which may contain anything."""

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
    "name_disk",
]

PERIPHERAL: Final = "/machine/peripheral/"
_NAMELESS: Final = ("peripheral-anon/", "unattached/")
_MAX_ENTRIES: Final = 4096
"""Devices, vCPUs, IOThreads: a few commands are sent for each."""


def as_integer(value: object, minimum: int = 0) -> int | None:
    """Returns a number between the minimum and 64 bits; None for anything else."""
    return value if type(value) is int and minimum <= value <= MAX_WHOLE_NUMBER else None


def as_mapping(value: object) -> Mapping[str, Any]:
    """Returns an object; an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def as_mappings(reply: object, monitor: str) -> list[Mapping[str, Any]]:
    """Returns a list of objects.

    Args:
        reply: The monitor's reply.
        monitor: The monitor's name in errors.

    Raises:
        QmpError: It is not a list of objects.
    """
    if not isinstance(reply, list) or not all(isinstance(entry, dict) for entry in reply):
        raise QmpError(f"{monitor} does not answer as a QEMU does")
    return list(reply)


def check_count(entries: Sequence[object], monitor: str, what: str) -> None:
    """Refuses a list that is too long to send commands for each entry.

    Raises:
        QmpError: It is too long.
    """
    if len(entries) > _MAX_ENTRIES:
        raise QmpError(f"{monitor} reports more than {_MAX_ENTRIES} {what}")


def name_device(path: str) -> str:
    """Returns the id of the device at a QOM path; the path itself if it has no id."""
    path = path.removesuffix("/virtio-backend")
    name = path.removeprefix(PERIPHERAL).removeprefix("/machine/")
    owner, _, inner = name.partition("/")
    # usb-storage makes a disk of its own, which has no id.
    return owner if inner == f"{owner}.0/legacy[0]" else name


def name_disk(entry: Mapping[str, Any]) -> str:
    """Returns what a disk is called in an entry of `query-block` or `query-blockstats`.

    A disk whose device has no id is called by its drive or its node, as in the layout of a
    command line; empty if it has neither.
    """
    node = entry.get("node-name", as_mapping(entry.get("inserted")).get("node-name"))
    qdev, device, node = (
        each if isinstance(each, str) else ""
        for each in (entry.get("qdev"), entry.get("device"), node)
    )
    name = name_device(qdev)
    return device or node or name if name.startswith(_NAMELESS) else name or device or node
