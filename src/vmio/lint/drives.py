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

_FILE_STORAGES = frozenset({"dir", "nfs", "cifs", "btrfs"})


def list_disks(context: Context, *, unresolved: bool = False) -> tuple[AttachedDisk, ...]:
    """Returns a guest's disks; those of a template do no I/O and are left out.

    So are those whose SCSI commands are passed on: no setting of a file is about them.

    Args:
        context: The guest.
        unresolved: Whether to take also those of which it is not known what QEMU opens.
    """
    disks = context.disks if unresolved else context.resolved_disks
    return tuple(attached for attached in disks if not attached.passes_through)


def list_writable_disks(context: Context, *, unresolved: bool = False) -> Iterator[AttachedDisk]:
    """Yields those of a guest's disks that keep what it writes."""
    for attached in list_disks(context, unresolved=unresolved):
        if not attached.disk.read_only and not attached.disk.snapshot:
            yield attached


def is_thin(backing: Backing) -> bool:
    """Returns whether writing to a volume can need room that is not there.

    A raw file or a ZFS volume may or may not have all its room; that is not known here.
    """
    in_qcow2_file = backing.format == "qcow2" and backing.storage_type in _FILE_STORAGES
    return not backing.error and (backing.storage_type == "lvmthin" or in_qcow2_file)
