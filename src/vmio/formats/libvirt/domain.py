"""A domain as its text says it, in libvirt's own words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Literal

from msgspec import Struct, field

from vmio.formats.libvirt.xml import Element
from vmio.model.iothread import IOThread, VirtqueueMapping
from vmio.model.source import Span
from vmio.model.vm import GuestOs

__all__ = [
    "LIMITS",
    "POLLING",
    "Address",
    "Boot",
    "Controller",
    "Disk",
    "Domain",
    "DriveAddress",
    "Image",
    "Pin",
    "Pool",
    "Refusal",
    "ThrottleGroup",
    "UsbAddress",
    "UsbDevice",
    "name_thread",
]

Phase = Literal[0, 1, 2]
Address = Literal["", "drive", "pci", "usb", "other"]

LIMITS: Final[Mapping[str, str]] = {
    f"{side}_{unit}_sec{end}": f"{'bps' if unit == 'bytes' else 'iops'}-{side}"
    f"{end.replace('_', '-')}"
    for end in ("", "_max", "_max_length")
    for unit in ("bytes", "iops")
    for side in ("total", "read", "write")
} | {"size_iops_sec": "iops-size"}
"""The limits of a disk or of a group, and what QEMU calls each."""

POLLING: Final[Mapping[str, str]] = {
    "poll_max_ns": "max",
    "poll_grow": "grow",
    "poll_shrink": "shrink",
}
"""How a loop polls, by the model's names: the attributes of `<poll>`."""


class Refusal(Struct, frozen=True, kw_only=True):
    """Why libvirt does not take a domain, in its own words."""

    phase: Phase
    """0: as it reads the text; 1: as it fills in what is missing; 2: as it checks the whole."""
    message: str
    span: Span
    subject: str = ""


class DriveAddress(Struct, frozen=True, kw_only=True, order=True):
    """A place on a controller for disks."""

    controller: int
    bus: int = 0
    target: int = 0
    unit: int = 0


class UsbAddress(Struct, frozen=True, kw_only=True):
    """A port of a USB bus; an empty port is one that libvirt chooses."""

    bus: int | None = None
    port: str = ""
    is_found: bool = True
    """Whether there is such a port."""


class UsbDevice(Struct, frozen=True, kw_only=True):
    """What takes a port of a USB bus besides disks."""

    kind: Literal["hub", "before", "after"]
    """before: it gets its port before the disks; after: behind them."""
    address: UsbAddress | None = None


class Pool(Struct, frozen=True, kw_only=True):
    """The worker threads of an event loop."""

    least: int | None = None
    most: int | None = None


class Pin(Struct, frozen=True, kw_only=True):
    """The host's processors that a thread is bound to."""

    kind: Literal["emulator", "iothread", "vcpu"]
    """emulator: QEMU's main loop and whatever is bound to nothing else."""
    number: int = 0
    """Of the virtual processor, or of the IOThread."""
    processors: frozenset[int]
    span: Span


class ThrottleGroup(Struct, frozen=True, kw_only=True):
    """Limits that the disks of a group share."""

    name: str
    limits: tuple[tuple[str, int], ...] = ()
    """Those that are written and not zero, by QEMU's names."""


class Image(Struct, frozen=True, kw_only=True):
    """One image of a disk's chain."""

    kind: str
    """libvirt's type: file, block, dir, network, nvme, volume …"""
    path: str = ""
    """The file, device or folder, or the name at a server; empty for a drive without a medium."""
    format: str = "raw"
    """As libvirt calls it."""
    source: Element | None = None
    backing: Image | None = None
    data: Image | None = None
    """The file that a qcow2 image keeps its data in."""
    ends_chain: bool = False
    """Whether the text says that it has no backing image."""
    slice: tuple[int, int] | None = None
    """The first byte and the number of bytes of a file that the image is a part of."""
    encryption: str = ""
    """Its format, such as luks; empty for none."""
    encrypted_by: str = ""
    """What decrypts it: librbd, or empty for QEMU."""
    auth: Element | None = None
    """Who asks a server for it."""

    @property
    def layers(self) -> Iterator[tuple[Image, int]]:
        """The images of its chain from it down, with their depths; each before its data file."""
        image: Image | None = self
        depth = 0
        while image is not None:
            yield image, depth
            if image.data is not None:
                yield image.data, depth
            image, depth = image.backing, depth + 1

    @property
    def is_empty(self) -> bool:
        """Whether there is no medium in the drive."""
        if self.kind in {"file", "block", "dir"}:
            return not self.path
        return self.kind == "network" and self.source is None


class Boot(Struct, frozen=True, kw_only=True):
    """In which order the guest's devices are tried."""

    devices: tuple[str, ...] = ()
    """hd, cdrom, fd and network, as the whole domain has it."""
    by_device: bool = False
    """Whether devices have numbers of their own."""


class Controller(Struct, frozen=True, kw_only=True):
    """A controller that is written, or that libvirt adds."""

    type: str
    index: int
    model: str = ""
    driver: Mapping[str, str] = field(default_factory=dict)
    mapping: tuple[VirtqueueMapping, ...] = ()
    alias: str = ""
    """The one that the text gives it; empty for libvirt's own."""
    pci: tuple[int, int, int] | None = None
    """Bus, slot and function."""
    is_companion: bool = False
    """Whether it shares the bus of another USB controller."""
    span: Span | None = None
    spans: Mapping[str, Span] = field(default_factory=dict)
    """Where its driver's attributes and `iothreads` are written."""

    @property
    def is_virtio(self) -> bool:
        """Whether it is a virtio-scsi device."""
        return self.type == "scsi" and self.model.startswith("virtio")


class Disk(Struct, frozen=True, kw_only=True):
    """A disk, in the order and with the words of the text."""

    target: str
    bus: str
    index: int
    """What its target's letters come to: 0 for vda."""
    device: str = "disk"
    image: Image
    driver: Mapping[str, str] = field(default_factory=dict)
    """The driver's attributes, without those that libvirt refuses."""
    mapping: tuple[VirtqueueMapping, ...] = ()
    cache_size: int | None = None
    """Bytes of a qcow2 image's metadata cache."""
    model: str = ""
    removable: str = ""
    tray: str = ""
    rotation_rate: int | None = None
    read_only: bool = False
    shareable: bool = False
    serial: str = ""
    wwn: str = ""
    vendor: str = ""
    product: str = ""
    boot_order: int | None = None
    alias: str = ""
    sizes: Mapping[str, int] = field(default_factory=dict)
    """Of its blocks, by QEMU's names."""
    geometry: Mapping[str, int | str] = field(default_factory=dict)
    """Cylinders, heads and sectors, by QEMU's names."""
    limits: tuple[tuple[str, int], ...] = ()
    """Its own, set when the guest runs, by QEMU's names."""
    group: str = ""
    """The group of its own limits."""
    filters: tuple[str, ...] = ()
    address_type: Address = ""
    drive: DriveAddress | None = None
    usb: UsbAddress | None = None
    pci: tuple[int, int, int] | None = None
    element: Element
    """The text itself."""
    span: Span
    spans: Mapping[str, Span] = field(default_factory=dict)

    @property
    def cache(self) -> str:
        """The cache mode that it gets; empty for QEMU's own.

        Source: libvirt 11.3.0, run: a disk that guests share goes past the host's page cache.
        """
        if self.shareable and not self.read_only and self.driver.get("cache") in {None, "default"}:
            return "none"
        return self.driver.get("cache", "")

    @property
    def is_removable_medium(self) -> bool:
        """Whether it is a drive with a medium that can be taken out."""
        return self.device in {"cdrom", "floppy"}


class Domain(Struct, frozen=True, kw_only=True):
    """What a domain's text says of its storage, and of what decides about it."""

    name: str
    kind: str
    """kvm, qemu …"""
    arch: str
    machine: str
    vcpus: int
    current_vcpus: int
    memory_mib: int
    shares_memory: bool = False
    system: GuestOs = ""
    """The family of the guest's system, where libosinfo's metadata say it."""
    system_name: str = ""
    """The system's name, where it is one that rules are about."""
    pins: tuple[Pin, ...] = ()
    threads: tuple[IOThread, ...] = ()
    thread_numbers: frozenset[int] = frozenset()
    default_pool: Pool | None = None
    groups: tuple[ThrottleGroup, ...] = ()
    boot: Boot = Boot()
    controllers: tuple[Controller, ...] = ()
    disks: tuple[Disk, ...] = ()
    """Sorted as libvirt does."""
    usb_devices: tuple[UsbDevice, ...] = ()
    firmware: tuple[tuple[Image, bool], ...] = ()
    """The images of pflash, each with whether it is only read."""
    unreadable: tuple[tuple[str, Span], ...] = ()
    """Parts that decide about disks and that vmio does not read."""
    unprintable: str = ""
    """Why no command line can be printed, whatever the disks are."""
    refusals: tuple[Refusal, ...] = ()
    root: Element | None = None
    """The text itself."""


def name_thread(number: int) -> str:
    """Returns the id of the object that a thread's number stands for."""
    return f"iothread{number}"
