"""The facts that a command line depends on and no VM's config contains."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from vmio.bounds import MAX_PROCESSORS
from vmio.model.version import QemuVersion
from vmio.patterns import compile_late
from vmio.values import check_between

__all__ = [
    "BackingChains",
    "Cpu",
    "Files",
    "Host",
    "Kernel",
    "Memory",
    "Pci",
    "PciMapping",
    "Sev",
    "Usb",
    "parse_processors",
]

BackingChains = Mapping[str, tuple[str, ...]]

_MOST_PHYS_BITS = 64


class Sev(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """AMD's encrypted virtualisation on this host."""

    sev: bool = False
    sev_es: bool = False
    sev_snp: bool = False
    cbitpos: int = 0
    reduced_phys_bits: int = 0


class Cpu(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The host's processors."""

    vendor: str = "GenuineIntel"
    count: int = 0
    """0 if not known."""
    phys_bits: int = 40
    flags: tuple[str, ...] = ()
    sev: Sev = Sev()
    nodes: Mapping[str, str] = field(default_factory=dict)
    """Processors of each NUMA node, such as `0-7,16-23`, by its number."""

    def __post_init__(self) -> None:
        check_between("count", self.count, 0, MAX_PROCESSORS)
        check_between("phys_bits", self.phys_bits, 0, _MOST_PHYS_BITS)


class Memory(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The host's memory."""

    hugepages_mib: tuple[int, ...] = ()
    numa_nodes: tuple[int, ...] = ()


class Kernel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The host's kernel, and its limits on I/O; a negative number means not known."""

    release: str = ""
    """As reported by `uname -r`."""
    io_uring_disabled: int = -1
    """0: all users may use io_uring; 1: some groups; 2: nobody."""
    aio_nr: int = -1
    """Requests reserved by all linux-aio contexts."""
    aio_max_nr: int = -1
    """The limit of these on the whole host."""
    dirty_ratio: int = -1
    """Percent of memory that may be dirty before writers are throttled."""


class Files(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Facts about file paths on the host, so that nothing has to look at them."""

    block_device_patterns: tuple[str, ...] = ("/dev/*",)
    """Shell patterns; a path that matches none is a regular file."""
    firmware_exists: bool = True


class PciMapping(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A PCI resource mapping of the cluster, as it applies to this host."""

    functions: tuple[str, ...] = ()
    """Alternative devices, each one function or several separated by `;`."""
    mdev: bool = False
    """Whether they are shared in parts (mediated devices)."""
    id: str = ""
    """VENDOR:DEVICE."""
    iommu_group: int = -1
    """Negative if not known."""


class Pci(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """PCI functions that can be passed through, and the cluster's resource mappings."""

    functions: tuple[str, ...] = ()
    mappings: Mapping[str, PciMapping] = field(default_factory=dict)


class Usb(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """USB resource mappings of the cluster, as they apply to this host."""

    mappings: Mapping[str, str] = field(default_factory=dict)
    """A device as VENDOR:PRODUCT or BUS-PORT, by name."""


class Host(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The facts of one host, captured on it or written by hand; a bare one for an unknown host."""

    schema: int = 1
    node: str = "localhost"
    arch: str = "x86_64"
    qemu_version: QemuVersion | None = None
    """The installed QEMU's version; None if none is installed."""
    pve_qemu_version: QemuVersion | None = None
    """The version of Proxmox VE's package, such as `10.1.2-7`; None for another QEMU."""
    libvirt_version: str = ""
    """Of libvirt, such as `11.3.0`; empty where there is none or it is not known."""
    kvm: bool = True
    vhost_net: bool = True
    iscsi_initiator: str = ""
    spice_port: int = 61000
    cdrom: str = ""
    """The device of the first physical CD drive; empty if there is none."""
    cpu: Cpu = Cpu()
    bridges: Mapping[str, int] = field(default_factory=dict)
    """MTU by bridge; a missing bridge has 1500."""
    memory: Memory = Memory()
    kernel: Kernel = Kernel()
    files: Files = Files()
    ceph: Mapping[str, str] = field(default_factory=dict)
    iscsi_luns: Mapping[str, int] = field(default_factory=dict)
    """LUN by volume for ZFS over iSCSI; a missing volume has 0."""
    backing_chains: BackingChains = field(default_factory=dict)
    pci: Pci = Pci()
    usb: Usb = Usb()
    cpu_models: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def qemu_series(self) -> tuple[int, int]:
        """Major and minor version of the installed QEMU; (0, 0) if not known."""
        return self.qemu_version.series if self.qemu_version is not None else (0, 0)


_PIECE = compile_late(r"\s*(\d{1,9})(?:-(\d{1,9}))?\s*", re.ASCII)


def parse_processors(text: str) -> int:
    """Returns the processors of a list such as `0-3,8` as bits; 0 if it is not such a list."""
    bits = 0
    for piece in text.split(","):
        match = _PIECE.fullmatch(piece)
        if match is None:
            return 0
        first, last = int(match[1]), int(match[2] or match[1])
        if not first <= last < MAX_PROCESSORS:
            return 0
        bits |= ((1 << (last - first + 1)) - 1) << first
    return bits
