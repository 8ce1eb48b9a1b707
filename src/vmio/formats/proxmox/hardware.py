"""How a manager turns a configuration into devices, as data.

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
    """scsi-id: by scsi-id, counted on the controller, alone; target: by scsi-id alone; lun:
    one target, every disk a unit of it."""
    dedicated: bool = False
    """Whether each disk gets its own controller, and with it an IOThread if it asks for one."""


class Policy(Struct, frozen=True, kw_only=True):
    """The defaults and the layout that a manager chooses if a config sets nothing."""

    name: str
    scsi_hardware: Mapping[str, ScsiHardware]
    default_scsihw: str

    def find_scsi_hardware(self, scsihw: str | None) -> ScsiHardware:
        """Returns a kind of SCSI controller; for an unknown name, its beginning decides.

        Proxmox VE does not check the name. A name that begins with `lsi`, or is false in Perl, is
        laid out as lsi; one that begins with `virtio-scsi-single` is that device without a
        controller for each disk, and any other name is used as a device.
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
        """Returns the default engine of a disk."""
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
"""Proxmox VE's: an IOThread for each disk that asks for one, if its controller allows it."""
