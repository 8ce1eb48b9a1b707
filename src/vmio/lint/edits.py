"""Fixes that several rules offer."""

from __future__ import annotations

from vmio.formats.registry import find_obstacle
from vmio.lint.diagnostic import Applicability, Fix
from vmio.lint.rule import Context
from vmio.model.plan import SEPARATE

__all__ = ["may_separate", "separate_controllers"]


def may_separate(context: Context) -> bool:
    """Returns whether a controller for each SCSI disk leaves the guest every disk that it has."""
    return not find_obstacle(context.guest, SEPARATE)


def separate_controllers(context: Context) -> Fix | None:
    """Returns the fix that gives each SCSI disk a controller of its own, if there is such a one.

    It is a person's to make where a disk could be gone after it: the guest is not known to have
    the driver, or `args` names a controller that would not be there.
    """
    match find_obstacle(context.guest, SEPARATE):
        case "":
            return context.make_fix(
                "set scsihw: virtio-scsi-single, then stop and start the guest; it will see other"
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
                "take what names a SCSI controller or disk out of args, then set scsihw:"
                " virtio-scsi-single"
            )
        case _:
            message = (
                "by hand, once the guest has the driver of virtio-scsi (vmio plan says how to find"
                " out): set scsihw: virtio-scsi-single"
            )
    return Fix(applicability=Applicability.MANUAL, message=message)
