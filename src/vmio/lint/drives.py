"""What rules about drives ask and change alike."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.formats.proxmox.writer import cut_option
from vmio.lint.diagnostic import Applicability, Fix
from vmio.lint.rule import Context
from vmio.model.disk import Backing, Disk
from vmio.model.source import Edit, Span
from vmio.model.topology import AttachedDisk
from vmio.model.vm import Vm

__all__ = [
    "BLOCKDEV_SINCE",
    "add_option",
    "is_thin",
    "list_disks",
    "list_writable_disks",
    "remove_option",
    "replace_option",
]

BLOCKDEV_SINCE = (10, 0)
"""The machine version from which on Proxmox VE writes disks as `-blockdev`.

Source: qemu-server 9.2.6.
"""
_FILE_STORAGES = frozenset({"dir", "nfs", "cifs", "btrfs"})


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
    in_qcow2_file = backing.format == "qcow2" and backing.storage_type in _FILE_STORAGES
    return not backing.error and (backing.storage_type == "lvmthin" or in_qcow2_file)


def remove_option(vm: Vm, disk: Disk, option: str, message: str) -> Fix:
    """Returns the safe fix that removes an option, for display where vmio cannot write it."""
    span = disk.spans.get(option)
    return _make_fix(vm, message, None if span is None else cut_option(vm.source, span))


def replace_option(vm: Vm, disk: Disk, option: str, value: str, message: str) -> Fix:
    """Returns the safe fix that gives a written option another value."""
    span = disk.spans.get(option)
    edit = None if span is None else Edit(span=span, text=f"{option}={value}")
    return _make_fix(vm, message, edit)


def add_option(
    vm: Vm, disk: Disk, option: str, value: str, *, applicability: Applicability
) -> Fix:
    """Returns the fix that adds an option where Proxmox VE would write it.

    That is behind the volume, the options sorted by their names.
    """
    before = [span for name, span in disk.spans.items() if name == "file" or name < option]
    edit = None
    if before:
        place = max(span.end for span in before)
        edit = Edit(span=Span(start=place, end=place), text=f",{option}={value}")
    return _make_fix(vm, f"write {option}={value}", edit, applicability)


def _make_fix(
    vm: Vm, message: str, edit: Edit | None, applicability: Applicability = Applicability.SAFE
) -> Fix:
    if edit is None or vm.notation != "proxmox":
        return Fix(applicability=Applicability.DISPLAY, message=message)
    return Fix(applicability=applicability, message=message, edits=(edit,))
