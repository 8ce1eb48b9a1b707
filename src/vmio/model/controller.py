"""The devices that disks are attached to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from vmio.model.disk import BusKind
from vmio.model.iothread import HOST_KERNEL, OTHER_PROCESS, VirtqueueMapping
from vmio.model.source import NOWHERE, Where

__all__ = [
    "IOTHREAD_DEVICES",
    "MAPPED_SINCE",
    "QUEUE_PER_VCPU_SINCE",
    "Bridge",
    "Controller",
    "PciAddress",
]

IOTHREAD_DEVICES: Final = ("virtio-blk", "virtio-scsi")
"""Prefixes of the names of devices with the property `iothread`.

Source: QEMU 7.2.22 and 10.0.2, `device-list-properties`.
"""

MAPPED_SINCE: Final[Mapping[BusKind, tuple[int, int]]] = {"virtio": (9, 0), "scsi": (10, 0)}
"""The QEMU version with `iothread-vq-mapping`, by the bus of the disks: virtio-blk, virtio-scsi.

Source: QEMU's release notes.
"""

QUEUE_PER_VCPU_SINCE: Final = (5, 2)
"""The machine version since which virtio PCI devices have a request queue for each vCPU.

Source: QEMU 5.2's release notes.
"""


class PciAddress(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A slot on a PCI bus."""

    bus: str
    """QEMU's name for the bus, such as `pci.0`."""
    slot: int
    function: int = 0

    def __str__(self) -> str:
        """Returns the bus, the slot, and the function if it is not the first: `pci.3:0x1`."""
        return f"{self.bus}:{self.slot:#x}" + (f".{self.function:#x}" if self.function else "")


class Bridge(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A PCI bridge, whose id is the name of the bus behind it."""

    id: str
    model: str
    """QEMU's device name, such as pci-bridge."""
    pci: PciAddress | None = None
    """None if QEMU chooses it."""
    pci_bus: str = ""
    """The PCI bus on which QEMU chooses the slot, where a bus is all that is written."""
    chassis: int | None = None
    """The number that a pci-bridge and a PCI Express port require; None for other kinds."""
    multifunction: bool = False
    """Whether its slot has other functions."""


class Controller(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A storage controller: a host bus adapter, or a virtio-blk device, which is its own."""

    id: str
    model: str
    """QEMU's device name: virtio-scsi-pci, virtio-blk-pci, lsi, megasas, ahci …"""
    bus: BusKind
    pci: PciAddress | None = None
    """None for one that is part of the machine, as the IDE of a PC, or where QEMU chooses it."""
    pci_bus: str = ""
    """The PCI bus on which QEMU chooses the slot, where a bus is all that is written."""
    iothread: str | None = None
    iothread_vq_mapping: tuple[VirtqueueMapping, ...] = ()
    num_queues: int | None = None
    """Request queues; None where the device has no such property or QEMU chooses."""
    built_in: bool = False
    """Whether it is part of the machine, so that no `-device` creates it."""
    where: Where = NOWHERE
    """Known of those that a notation's text has as such, not of those of QEMU's own options."""

    @property
    def takes_iothread(self) -> bool:
        """Whether this kind of device has the property `iothread`."""
        return self.model.startswith(IOTHREAD_DEVICES)

    @property
    def served_outside(self) -> str:
        """What serves its disks where no thread of QEMU does; empty where one does.

        Source: QEMU's manual, vhost-user, and vhost-scsi of Linux: only the beginning of an I/O is
        QEMU's, to hand the virtqueues over.
        """
        if self.model.startswith("vhost-user-"):
            return OTHER_PROCESS
        return HOST_KERNEL if self.model.startswith("vhost-") else ""
