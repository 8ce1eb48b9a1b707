"""What a plan may change, whoever wrote its file."""

from __future__ import annotations

import re
from collections.abc import Sequence

from vmio.errors import UsageError
from vmio.model.plan import Change
from vmio.plan.target import adds_threads_only
from vmio.plan.virtio_scsi import SHARED, SINGLE, names_virtio_scsi

__all__ = ["check_changes"]

_SHOWN_CHARACTERS = 60
_DRIVE = re.compile(r"(?:ide|sata|scsi|virtio)\d{1,2}", re.ASCII)
_OPTIONS = {
    "aio": re.compile(r"io_uring|native|threads"),
    "cache": re.compile(r"directsync|none|writeback|writethrough"),
    "iothread": re.compile(r"[01]"),
    "queues": re.compile(r"[0-9]{1,4}"),
}


def check_changes(changes: Sequence[Change]) -> None:
    """Refuses a change of anything but how a guest's disks are served.

    A plan is a file, and a file is anybody's: a config can name hooks, and files of the host.

    Raises:
        UsageError: There is such a change, or two of the same thing.
    """
    seen = set()
    for change in changes:
        name = f"{change.key}: {change.option}" if change.option else change.key
        if name in seen:
            raise UsageError(f"{name} is changed twice by this plan", hint="plan again")
        seen.add(name)
        if not _is_served_by(change):
            raise UsageError(
                f"a plan may not change {name} from {_show(change.old)} to {_show(change.new)}",
                hint="plan again, or make the change with qm set if it is meant",
            )


def _show(value: str | None) -> str:
    return "nothing" if value is None else f"'{value[:_SHOWN_CHARACTERS]}'"


def _is_served_by(change: Change) -> bool:
    """Returns whether a change is one of how disks are served."""
    old, new = change.old or "", change.new or ""
    if change.option:
        value = _OPTIONS.get(change.option)
        possible = value is not None and (change.new is None or value.fullmatch(new) is not None)
        return possible and _DRIVE.fullmatch(change.key) is not None
    if change.key == "args":
        return adds_threads_only(old, new)
    # The guest has the driver of the one if it has that of the other; any else may lose its disks.
    has_driver = names_virtio_scsi(change.old)
    return change.key == "scsihw" and has_driver and new in {SHARED, SINGLE}
