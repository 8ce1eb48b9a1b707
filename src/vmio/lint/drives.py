"""What several rules need to know of disks."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.lint.rule import Context
from vmio.model.disk import Backing
from vmio.model.topology import AttachedDisk

__all__ = [
    "is_thin",
    "list_disks",
    "list_writable_disks",
]


def list_disks(context: Context, *, unresolved: bool = False) -> tuple[AttachedDisk, ...]:
    """Returns a guest's disks, none for a template, whose disks do no I/O.

    Disks whose SCSI commands are passed through are left out, too: settings of a file do not
    apply to them.

    Args:
        context: The guest.
        unresolved: Whether to include disks whose file or device is not known.
    """
    return context.io_disks if unresolved else context.resolved_io_disks


def list_writable_disks(context: Context, *, unresolved: bool = False) -> Iterator[AttachedDisk]:
    """Yields the guest's disks that keep what it writes."""
    for attached in list_disks(context, unresolved=unresolved):
        if not attached.disk.read_only and not attached.disk.snapshot:
            yield attached


def is_thin(backing: Backing) -> bool:
    """Returns whether writes to a volume can fail because its storage is full.

    For a raw file or a ZFS volume it is not known whether all its space is allocated.
    """
    is_qcow2_file = backing.format == "qcow2" and backing.driver == "file"
    return not backing.error and (backing.kind == "thin-lvm" or is_qcow2_file)
