"""Edits that the fixes of several rules make."""

from __future__ import annotations

from vmio.formats.proxmox.writer import place_setting
from vmio.lint.diagnostic import Applicability, Fix
from vmio.model.source import Edit
from vmio.model.vm import Vm
from vmio.plan.virtio_scsi import SINGLE, is_macos, is_virtio_scsi, may_set_single

__all__ = ["separate_controllers", "set_scsihw"]


def set_scsihw(vm: Vm, value: str) -> tuple[Edit, ...]:
    """Returns the edit that sets `scsihw`: in its line, or in a new one in Proxmox's order."""
    return (place_setting(vm.source, vm.spans, "scsihw", value),) if vm.spans else ()


def separate_controllers(vm: Vm) -> Fix:
    """Returns the fix that gives each SCSI disk a controller of its own.

    It is a person's to make where a disk could be gone after it: the guest is not known to have
    the driver, or `args` names a controller that would not be there.
    """
    if may_set_single(vm):
        return Fix(
            applicability=Applicability.UNSAFE,
            message=f"set scsihw: {SINGLE}, then stop and start the guest; it will see other"
            " controllers, and Linux can give /dev/sdX in another order from boot to boot",
            edits=set_scsihw(vm, SINGLE),
        )
    if is_macos(vm):
        message = "leave it: macOS has no driver for virtio-scsi"
    elif is_virtio_scsi(vm):
        message = (
            f"take what names a SCSI controller or disk out of args, then set scsihw: {SINGLE}"
        )
    else:
        message = (
            "by hand, once the guest has the driver of virtio-scsi (vmio plan says how to find"
            f" out): set scsihw: {SINGLE}"
        )
    return Fix(applicability=Applicability.DISPLAY, message=message)
