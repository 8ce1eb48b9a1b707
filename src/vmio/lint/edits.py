"""Fixes that several rules offer."""

from __future__ import annotations

from vmio.formats.registry import find_obstacle
from vmio.lint.diagnostic import Applicability, Fix
from vmio.lint.rule import Context
from vmio.lint.words import name_setting
from vmio.model.plan import PER_DISK, SEPARATE

__all__ = ["may_separate", "separate_controllers"]


def may_separate(context: Context) -> bool:
    """Returns whether the guest keeps every disk when each SCSI disk gets its own controller."""
    return not find_obstacle(context.guest, SEPARATE)


def separate_controllers(context: Context) -> Fix | None:
    """Returns the fix that gives each SCSI disk its own controller, if there is one.

    The fix is manual if the guest could lose a disk: the guest is not known to have the driver, or
    QEMU's own options name a controller that would no longer exist.
    """
    setting = name_setting(context, "", "controllers", PER_DISK)
    options = name_setting(context, "", "qemu_options")
    match find_obstacle(context.guest, SEPARATE):
        case "" if _lacks_ioeventfd(context):
            message = f"remove ioeventfd=off from {options}, then set {setting}"
        case "":
            return context.make_fix(
                f"set {setting}, then stop and start the guest; it will see other"
                " controllers, and Linux can give /dev/sdX in another order from boot to boot",
                SEPARATE,
                applicability=Applicability.UNSAFE,
            )
        case "unsayable":
            return None
        case "macos":
            message = "leave it: macOS has no driver for virtio-scsi"
        case "args":
            message = (
                f"take what names a SCSI controller or disk out of {options}, then set {setting}"
            )
        case _:
            message = (
                f"set {setting} by hand, once the guest has the driver of virtio-scsi (vmio plan"
                " says how to find out)"
            )
    return Fix(applicability=Applicability.MANUAL, message=message)


def _lacks_ioeventfd(context: Context) -> bool:
    """Returns whether QEMU's own options take from all virtio devices what an IOThread needs."""
    if not context.vm.options:
        return False
    from vmio.formats.qemu.devices import lacks_ioeventfd  # a fortieth of a check's start

    return lacks_ioeventfd(context.vm.options, {})
