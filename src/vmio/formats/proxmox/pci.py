"""Where Proxmox puts each device on the PCI buses.

Source: qemu-server 9.2.6; the same map for i440fx and q35, but for a q35 machine's first display.
"""

from __future__ import annotations

import re

from vmio.model.controller import PciAddress

__all__ = ["pci_address"]

_FIXED = {
    "vga": (0, 0x2),
    "balloon0": (0, 0x3),
    "watchdog": (0, 0x4),
    "scsihw0": (0, 0x5),
    "pci.3": (0, 0x5),
    "scsihw1": (0, 0x6),
    "ahci0": (0, 0x7),
    "qga0": (0, 0x8),
    "spice": (0, 0x9),
    "pci.1": (0, 0x1E),
    "pci.2": (0, 0x1F),
    "xhci": (1, 0x1B),
    "pci.4": (1, 0x1C),
    "rng0": (1, 0x1D),
    "ivshmem": (2, 0xB),
    "audio0": (2, 0xC),
}
_ON_FIRST_BUS = 6
"""So many virtio disks, and so many network devices, are on pci.0."""

_SERIES = re.compile(r"(virtio|net|scsihw|virtioscsi)(\d{1,2})", re.ASCII)


def pci_address(device: str) -> PciAddress:
    """Returns the slot of a device.

    Raises:
        KeyError: Proxmox knows no such device.
    """
    if device in _FIXED:
        bus, slot = _FIXED[device]
        return PciAddress(bus=f"pci.{bus}", slot=slot)
    match = _SERIES.fullmatch(device)
    if match is None:
        raise KeyError(device)
    number = int(match[2])
    bus, slot = {
        "virtio": (0, 0xA + number) if number < _ON_FIRST_BUS else (2, number - _ON_FIRST_BUS + 1),
        "net": (0, 0x12 + number) if number < _ON_FIRST_BUS else (1, number - _ON_FIRST_BUS + 1),
        "scsihw": (4, number - 1),
        "virtioscsi": (3, number + 1),
    }[match[1]]
    return PciAddress(bus=f"pci.{bus}", slot=slot)
