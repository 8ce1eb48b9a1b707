"""Finds the guest's block device of a configured disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmio.errors import GuestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vmio.guest.agent import BlockDevice
    from vmio.model.controller import PciAddress
    from vmio.model.topology import AttachedDisk, Topology

__all__ = ["pick_device"]

_ROOT_BUSES = ("pci.0", "pcie.0")


def pick_device(
    devices: Sequence[BlockDevice], topology: Topology, attached: AttachedDisk
) -> BlockDevice:
    """Returns the guest's name for a disk by its address, because names like sda have no order.

    Raises:
        GuestError: No device matches, or more than one.
    """
    controller = topology.controller_of(attached)
    prefix = "vd" if controller.bus == "virtio" else "sd"
    fits = [device for device in devices if device.name.startswith(prefix)]
    if controller.pci is not None:
        step = f"{controller.pci.slot:02x}.{controller.pci.function}"
        fits = [device for device in fits if device.pci_path[-1:] == (step,)]
        # Two buses can have the same slot: every port of PCI Express has one.
        path = _find_path(topology, controller.pci)
        fits = _narrow(fits, [device for device in fits if device.pci_path == path])
        direct = controller.pci.bus in _ROOT_BUSES
        fits = _narrow(fits, [device for device in fits if direct == (len(device.pci_path) == 1)])
    serial = attached.disk.serial or _default_serial(topology, attached)
    fits = _narrow(fits, [device for device in fits if serial and device.serial == serial[:20]])
    address = dict(attached.address)
    scsi = tuple(address.get(key, 0) for key in ("channel", "scsi-id", "lun"))
    fits = _narrow(fits, [device for device in fits if device.scsi == scsi])
    if len(fits) != 1:
        names = ", ".join(device.path for device in fits or devices)
        what = f"several devices match: {names}" if fits else f"it has {names or 'none'}"
        raise GuestError(
            f"the guest's device of {attached.disk.id} cannot be determined: {what}",
            hint="its kernel may lack the controller's driver" if not fits else "",
        )
    return fits[0]


def _find_path(topology: Topology, place: PciAddress) -> tuple[str, ...]:
    """Returns the slots of the bridges before a place, and its own; empty if not all are known."""
    bridges = {each.id: each.pci for each in topology.bridges}
    steps: list[str] = []
    here: PciAddress | None = place
    while here is not None:
        steps.insert(0, f"{here.slot:02x}.{here.function}")
        if here.bus in _ROOT_BUSES and here.bus not in bridges:
            return tuple(steps)
        here = bridges.pop(here.bus, None)
    return ()


def _narrow(devices: list[BlockDevice], fits: list[BlockDevice]) -> list[BlockDevice]:
    """Returns the devices that match, or all if the criterion does not apply."""
    return fits or devices


def _default_serial(topology: Topology, attached: AttachedDisk) -> str:
    """Returns the serial number that QEMU assigns to an IDE or SATA drive, counted from 1."""
    drives = [one.disk.id for one in topology.disks if one.disk.bus in ("ide", "sata")]
    if attached.disk.id not in drives:
        return ""
    return f"QM{drives.index(attached.disk.id) + 1:05d}"
