"""Whether a guest can use virtio-scsi controllers, and what in `args` refers to their names.

Only a disk on virtio-scsi shows that its guest has the driver: a virtio network card and a
virtio-blk disk have drivers of their own. A person has to find out what no config shows.
"""

from __future__ import annotations

import re

from vmio.formats.proxmox.hardware import PROXMOX
from vmio.formats.proxmox.problems import OF_QEMU
from vmio.formats.proxmox.reader import ProxmoxGuest
from vmio.formats.proxmox.schema import DRIVE_COUNTS, DRIVES_BY_BUS
from vmio.formats.proxmox.threads import cut_ours
from vmio.model.plan import Change, Obstacle
from vmio.patterns import compile_late

__all__ = [
    "SINGLE",
    "choose_places",
    "find_obstacle",
    "has_single",
    "is_macos",
    "is_virtio_scsi",
    "names_controller",
]

SINGLE = "virtio-scsi-single"
_SHARED = "virtio-scsi-pci"

_CONTROLLER = compile_late(r"\b(?:scsihw|virtioscsi|scsi)\d+\b", re.ASCII)
_VIRTIO_NAME = compile_late(r"\bvirtio\d+\b", re.ASCII)
_MACOS = compile_late(r"isa-applesmc|\bosk=|ourhardworkbythesewordsguardedplease", re.IGNORECASE)
"""What only a macOS guest has in `args`: Apple's SMC with its key."""


def find_obstacle(guest: ProxmoxGuest, change: Change) -> Obstacle:
    """Returns why a person has to make a change; empty if vmio can make it."""
    match change.property:
        case "controllers":
            return _find_obstacle_of_controllers(guest)
        case "bus":
            if is_macos(guest):
                return "macos"
            return "driver" if change.subject in choose_places(guest) else "unsayable"
        case "iothread":
            return "" if change.new is None else _find_obstacle_of_thread(guest, change.subject)
        case "poll_max_ns":
            return ""
        case "affinity":
            return "choice"
        case "iothread_vq_mapping":
            return "unsayable"
        case _:
            disk = next((each for each in guest.vm.disks if each.id == change.subject), None)
            known = disk is not None and change.property in DRIVES_BY_BUS[disk.bus].options
            return "" if known else "unsayable"


def _find_obstacle_of_controllers(guest: ProxmoxGuest) -> Obstacle:
    if not is_virtio_scsi(guest):
        return "macos" if is_macos(guest) else "driver"
    return "args" if names_controller(cut_ours(guest.args)) else ""


def _find_obstacle_of_thread(guest: ProxmoxGuest, name: str) -> Obstacle:
    """Returns why a person has to change a disk's thread: its controller, or foreign `args`."""
    disk = next((each for each in guest.vm.disks if each.id == name), None)
    if disk is None:
        return "unsayable"
    foreign = cut_ours(guest.args)
    if name in _VIRTIO_NAME.findall(foreign):
        return "args"
    # They may name any controller, and another scsihw creates other controllers.
    if disk.bus == "scsi" and names_controller(foreign):
        return "args"
    if disk.bus == "virtio" or (disk.bus == "scsi" and is_virtio_scsi(guest)):
        return "args" if _lacks_ioeventfd(guest) else ""
    return "driver"


def _lacks_ioeventfd(guest: ProxmoxGuest) -> bool:
    """Returns whether `args` switch off, for all virtio devices, what an IOThread needs."""
    if not guest.vm.options:
        return False
    from vmio.formats.qemu.devices import lacks_ioeventfd

    return lacks_ioeventfd(guest.vm.options, {})


def is_virtio_scsi(guest: ProxmoxGuest) -> bool:
    """Returns whether the guest's SCSI disks are on virtio-scsi, so that it has the driver."""
    return PROXMOX.find_scsi_hardware(guest.scsihw).model == _SHARED


def has_single(guest: ProxmoxGuest) -> bool:
    """Returns whether each SCSI disk has a controller to itself."""
    return PROXMOX.find_scsi_hardware(guest.scsihw).dedicated


def names_controller(args: str) -> bool:
    """Returns whether QEMU's own options in `args` name SCSI controllers or disks by their ids.

    With another `scsihw` these ids do not exist, and QEMU does not start.
    """
    return bool(args) and _CONTROLLER.search(args) is not None


def is_macos(guest: ProxmoxGuest) -> bool:
    """Returns whether a guest is macOS, which has no driver for virtio-scsi at all."""
    return _MACOS.search(guest.args) is not None


def choose_places(guest: ProxmoxGuest) -> dict[str, str]:
    """Returns the free name on the SCSI bus for each IDE and SATA disk, while there are any."""
    vm = guest.vm
    disks = (disk.id for disk in vm.disks if disk.bus in {"ide", "sata"} and disk.keeps_data)
    taken = (
        {disk.id for disk in vm.disks}
        | {each.subject for each in vm.problems if each.kind not in OF_QEMU}
        | {*guest.pending}
    )
    names = (f"scsi{number}" for number in range(DRIVE_COUNTS["scsi"]))
    return dict(zip(disks, (name for name in names if name not in taken), strict=False))
