"""The changes that a plan may contain, whoever wrote its file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from vmio.errors import UsageError
from vmio.formats.base import Guest
from vmio.formats.registry import find_obstacle
from vmio.model.plan import OWN, PER_DISK, Change, Property

__all__ = ["check_changes"]

_SHOWN_CHARACTERS = 60
_VALUES: Final[Mapping[Property, re.Pattern[str]]] = {
    "controllers": re.compile(PER_DISK),
    "iothread": re.compile(rf"{OWN}|vmio\d{{1,3}}", re.ASCII),
    "iothread_vq_mapping": re.compile(r"vmio\d{1,3}(?:,vmio\d{1,3}){1,15}", re.ASCII),
    "poll_max_ns": re.compile(r"\d{1,19}", re.ASCII),
    "queues": re.compile(r"\d{1,4}", re.ASCII),
}
"""The properties that plans change, and their possible values."""


def check_changes(guest: Guest, changes: Sequence[Change]) -> None:
    """Refuses changes other than which thread serves a disk, and those that could lose a disk.

    Anybody can write a plan file, and a config can name hook scripts and files of the host.

    Raises:
        UsageError: There is such a change, or there are two of the same property.
    """
    seen = set()
    for change in changes:
        name = f"{change.subject}: {change.property}" if change.subject else change.property
        if name in seen:
            raise UsageError(f"{name} is changed twice by this plan", hint="plan again")
        seen.add(name)
        values = _VALUES.get(change.property)
        possible = values is not None and (
            change.new is None or values.fullmatch(change.new) is not None
        )
        if not possible or find_obstacle(guest, change):
            raise UsageError(
                f"a plan may not change {name} from {_show(change.old)} to {_show(change.new)}",
                hint="plan again, or make the change with the guest's manager if it is intended",
            )


def _show(value: str | None) -> str:
    return "nothing" if value is None else f"'{value[:_SHOWN_CHARACTERS]}'"
