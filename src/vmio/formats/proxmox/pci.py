"""The places of devices on Proxmox's PCI buses.

Source: qemu-server 9.2.6; the same map for every machine, except for a q35's first display. The
root bus has another name on Arm, whatever the machine is.
"""

from __future__ import annotations

import re
from functools import lru_cache

from vmio.model.controller import PciAddress
from vmio.patterns import compile_late

__all__ = ["has_scsi_bridge", "pci_address"]

_FIXED = {
    "ehci": (0, 0x1),
    "piix3": (0, 0x1),
    "vga": (0, 0x2),
    "legacy-igd": (0, 0x2),
    "balloon0": (0, 0x3),
    "watchdog": (0, 0x4),
    "scsihw0": (0, 0x5),
    "pci.3": (0, 0x5),
    "scsihw1": (0, 0x6),
    "ahci0": (0, 0x7),
    "qga0": (0, 0x8),
    "spice": (0, 0x9),
    "hostpci0": (0, 0x10),
    "hostpci1": (0, 0x11),
    "vga1": (0, 0x18),
    "vga2": (0, 0x19),
    "vga3": (0, 0x1A),
    "hostpci2": (0, 0x1B),
    "hostpci3": (0, 0x1C),
    "pci.1": (0, 0x1E),
    "pci.2": (0, 0x1F),
    "xhci": (1, 0x1B),
    "pci.4": (1, 0x1C),
    "rng0": (1, 0x1D),
    "pci.2-igd": (1, 0x1E),
    "ivshmem": (2, 0xB),
    "audio0": (2, 0xC),
}
_ON_FIRST_BUS = {"virtio": 6, "net": 6, "hostpci": 4}
"""The number of devices of each series on pci.0; those of hostpci are in the table above."""

_SERIES = compile_late(r"(virtio|net|scsihw|virtioscsi|hostpci)(\d{1,2})", re.ASCII)


def has_scsi_bridge(scsihw: str | None) -> bool:
    """Returns whether the bridge for one SCSI controller per disk exists, needed or not."""
    return scsihw is not None and scsihw.startswith("virtio-scsi-single")


@lru_cache(maxsize=512)
def pci_address(device: str, arch: str = "x86_64") -> PciAddress:
    """Returns the slot of a device.

    Raises:
        KeyError: Proxmox has no such device.
    """
    if device in _FIXED:
        bus, slot = _FIXED[device]
    else:
        match = _SERIES.fullmatch(device)
        if match is None:
            raise KeyError(device)
        kind, number = match[1], int(match[2])
        beyond = number - _ON_FIRST_BUS.get(kind, 0)
        bus, slot = {
            "virtio": (0, 0xA + number) if beyond < 0 else (2, beyond + 1),
            "net": (0, 0x12 + number) if beyond < 0 else (1, beyond + 1),
            "hostpci": (2, beyond + 0xD),
            "scsihw": (4, number - 1),
            "virtioscsi": (3, number + 1),
        }[kind]
    name = "pcie.0" if bus == 0 and arch == "aarch64" else f"pci.{bus}"
    return PciAddress(bus=name, slot=slot)
