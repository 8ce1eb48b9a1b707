"""How a manager turns wishes into devices, as data.

Source: qemu-server 9.2.6.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from vmio.formats.proxmox.perl import is_true
from vmio.model.disk import AioEngine, Disk
from vmio.values import replace

__all__ = ["PROXMOX", "Policy", "ScsiHardware"]


class ScsiHardware(Struct, frozen=True, kw_only=True):
    """One kind of SCSI controller, as a manager offers it."""

    model: str
    """QEMU's device name."""
    disks_per_controller: int
    address: str
    """scsi-id: by that alone, its number counted on the controller; target: by scsi-id alone; lun:
    one target, every disk a unit of it."""
    dedicated: bool = False
    """Whether each disk gets a controller to itself, and with it an IOThread if it asks."""


class Policy(Struct, frozen=True, kw_only=True):
    """The defaults and the layout that a manager chooses where a config says nothing."""

    name: str
    scsi_hardware: Mapping[str, ScsiHardware]
    default_scsihw: str

    def find_scsi_hardware(self, scsihw: str | None) -> ScsiHardware:
        """Returns a kind of SCSI controller; of an unknown one the beginning of its name counts.

        Proxmox VE does not check the name. One that begins as `lsi`, or that Perl takes for false,
        is laid out as lsi; one that begins as `virtio-scsi-single` is its device without a
        controller for each disk, and any other name is taken for a device.
        """
        name = self.default_scsihw if scsihw is None else scsihw
        known = self.scsi_hardware.get(name)
        if known is not None:
            return known
        if name.startswith("lsi") or not is_true(name):
            return replace(self.scsi_hardware["lsi"], model=name)
        model = "virtio-scsi-pci" if name.startswith("virtio-scsi-single") else name
        return ScsiHardware(model=model, disks_per_controller=256, address="lun")

    def choose_aio(self, disk: Disk, *, direct: bool) -> AioEngine:
        """Returns the engine of a disk for which none is written."""
        io_uring = disk.backing.io_uring if disk.backing is not None else "yes"
        if io_uring == "yes" or (io_uring == "direct" and direct):
            return "io_uring"
        return "native" if direct else "threads"


PROXMOX = Policy(
    name="per-disk",
    default_scsihw="lsi",
    scsi_hardware={
        "lsi": ScsiHardware(model="lsi", disks_per_controller=7, address="scsi-id"),
        "lsi53c810": ScsiHardware(model="lsi53c810", disks_per_controller=7, address="scsi-id"),
        "pvscsi": ScsiHardware(model="pvscsi", disks_per_controller=256, address="target"),
        "megasas": ScsiHardware(model="megasas", disks_per_controller=256, address="lun"),
        "virtio-scsi-pci": ScsiHardware(
            model="virtio-scsi-pci", disks_per_controller=256, address="lun"
        ),
        "virtio-scsi-single": ScsiHardware(
            model="virtio-scsi-pci", disks_per_controller=1, address="lun", dedicated=True
        ),
    },
)
"""Proxmox VE's: an IOThread for each disk that asks, where its controller allows one."""
