"""What rules about drives ask alike."""

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
    """Returns a guest's disks; those of a template do no I/O and are left out.

    Args:
        context: The guest.
        unresolved: Whether to take also those of which it is not known what QEMU opens.
    """
    return context.disks if unresolved else context.resolved_disks


def list_writable_disks(context: Context, *, unresolved: bool = False) -> Iterator[AttachedDisk]:
    """Yields those of a guest's disks that keep what it writes."""
    for attached in list_disks(context, unresolved=unresolved):
        if not attached.disk.read_only and not attached.disk.snapshot:
            yield attached


def is_thin(backing: Backing) -> bool:
    """Returns whether writing to a volume can need room that is not there.

    A raw file or a ZFS volume may or may not have all its room; that is not known here.
    """
    is_qcow2_file = backing.format == "qcow2" and backing.driver == "file"
    return not backing.error and (backing.kind == "thin-lvm" or is_qcow2_file)
