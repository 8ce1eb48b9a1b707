"""A guest's disks and CD-ROMs, as configured."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Literal

from msgspec import Struct

from vmio.model.iothread import VirtqueueMapping
from vmio.model.source import NOWHERE, Span, Where
from vmio.model.storage import StorageKind
from vmio.patterns import compile_late

__all__ = [
    "FILE_DRIVERS",
    "NETWORK_DRIVERS",
    "PASSTHROUGH",
    "AioEngine",
    "Backing",
    "BusKind",
    "CacheMode",
    "DetectZeroes",
    "Discard",
    "Disk",
    "IoUringDefault",
    "Media",
]

BusKind = Literal["ide", "sata", "scsi", "virtio", "nvme", "usb"]
Media = Literal["disk", "cdrom"]
CacheMode = Literal["none", "writethrough", "writeback", "unsafe", "directsync"]
AioEngine = Literal["native", "threads", "io_uring"]
Discard = Literal["ignore", "unmap"]
DetectZeroes = Literal["off", "on", "unmap"]
IoUringDefault = Literal["yes", "direct", "no"]
"""direct: only while the host's page cache is bypassed."""

FILE_DRIVERS: Final = frozenset({"file", "host_device", "host_cdrom"})
"""QEMU's block drivers for files and devices of the host, which use its page cache and an aio
engine; other drivers do their own I/O."""

NETWORK_DRIVERS: Final = frozenset(
    "curl ftp ftps gluster http https iscsi nbd nfs rbd ssh".split()  # noqa: SIM905
)
"""QEMU's block drivers that are clients of a server, and see no page cache of the host."""

PASSTHROUGH: Final = frozenset({"scsi-block", "scsi-generic"})
"""QEMU's devices that hand the guest's SCSI commands to a device of the host.

Source: QEMU 10.0: each command is an SG_IO, which a worker thread waits for; what says how a file
is opened and written has no part in it, and neither has throttling.
"""

_MEDIUM = compile_late(r"none|cdrom|[^:/]+:iso/.*|.*\.iso", re.ASCII | re.IGNORECASE)
"""A volume that is an installer image or no volume at all, whatever the name of its drive."""


class Backing(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What QEMU opens for a disk."""

    filename: str
    """The value of `-drive file=`: a path, or a URL-like text for rbd and iscsi."""
    format: str
    """The image format: raw, qcow2, vmdk …"""
    driver: str = "file"
    """The block driver under the format: file, host_device, host_cdrom, rbd, iscsi …"""
    options: tuple[tuple[str, object], ...] = ()
    """The driver's fields for `-blockdev`, if there are more than the file name."""
    storage: str = ""
    """The storage of the volume; empty for a bare path."""
    storage_type: str = ""
    """That storage's type in its manager's words, such as zfspool; empty for a bare path."""
    kind: StorageKind = ""
    """What kind of storage it is, which a bare path can show as well."""
    io_uring: IoUringDefault = "yes"
    """Whether the manager chooses aio=io_uring when no engine is written; QEMU never does."""
    direct_by_default: bool = True
    """Whether the host's page cache is bypassed if no cache mode is set."""
    parents: tuple[str, ...] = ()
    """File names of its backing images, newest first."""
    discard_no_unref: bool = False
    """Whether a discarded qcow2 cluster stays allocated, as images in a chain require."""
    preallocation: str = ""
    """The preallocation of new images on that storage: off, metadata, falloc, full; empty if not
    set, or if the storage has no files."""
    error: str = ""
    """Why QEMU could not be told to open it, in the manager's words; empty when it can."""


class Disk(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One drive as configured: an option that is None, False or empty is not set.

    A `Topology` contains the effects of the options.
    """

    id: str
    """Its name in its own notation: scsi0, virtio1, a libvirt target, a QEMU device id."""
    bus: BusKind
    index: int
    """Its number on that bus, counted as in its notation."""
    volume: str = ""
    """The volume as configured, such as `local-lvm:vm-701-disk-0`."""
    backing: Backing | None = None
    """The file that QEMU opens; None for an empty CD drive."""
    media: Media = "disk"
    cloudinit: bool = False
    """Whether the volume is a cloud-init image, which a SCSI bus always shows as a CD-ROM."""
    cache: CacheMode | None = None
    aio: AioEngine | None = None
    discard: Discard | None = None
    detect_zeroes: bool | None = None
    read_only: bool = False
    iothread: bool | None = None
    """Whether it requests an IOThread of its own."""
    iothread_id: str | None = None
    """The IOThread that it names, in notations that name one."""
    iothread_vq_mapping: tuple[VirtqueueMapping, ...] = ()
    queues: int | None = None
    size_bytes: int | None = None
    bootindex: int | None = None
    serial: str | None = None
    wwn: str | None = None
    vendor: str | None = None
    product: str | None = None
    model: str | None = None
    rerror: str | None = None
    werror: str | None = None
    snapshot: bool | None = None
    ssd: bool = False
    scsiblock: bool = False
    limits: tuple[tuple[str, int], ...] = ()
    """Throttling as QEMU names it without its prefix, such as ("bps-read", 1048576), in order."""
    throttle_group: str = ""
    """The group that shares the limits, where the manager names one."""
    where: Where = NOWHERE

    @property
    def span(self) -> Span | None:
        """Where the whole drive is written, if that is known."""
        return self.where.span

    @property
    def spans(self) -> Mapping[str, Span]:
        """Where each option is written, by the notation's own name for it."""
        return self.where.spans

    @property
    def keeps_data(self) -> bool:
        """Whether it is a disk of the guest's: no CD-ROM, cloud-init drive or installer image."""
        is_disk = self.media == "disk" and not self.cloudinit
        return is_disk and _MEDIUM.fullmatch(self.volume) is None
