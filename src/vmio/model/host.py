"""The facts that a command line depends on and no VM's config contains."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from attrs import field, frozen
from attrs.validators import and_, ge, le

from vmio.bounds import MAX_PROCESSORS
from vmio.model.version import QemuVersion

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


@frozen(kw_only=True)
class Sev:
    """AMD's encrypted virtualisation on this host."""

    sev: bool = False
    sev_es: bool = False
    sev_snp: bool = False
    cbitpos: int = 0
    reduced_phys_bits: int = 0


@frozen(kw_only=True)
class Cpu:
    """The host's processors."""

    vendor: str = "GenuineIntel"
    count: int = field(default=0, validator=and_(ge(0), le(MAX_PROCESSORS)))
    """0 if not known."""
    phys_bits: int = field(default=40, validator=and_(ge(0), le(_MOST_PHYS_BITS)))
    flags: tuple[str, ...] = ()
    sev: Sev = Sev()
    nodes: Mapping[str, str] = field(factory=dict)
    """Processors of each NUMA node, such as `0-7,16-23`, by its number."""


@frozen(kw_only=True)
class Memory:
    """The host's memory."""

    hugepages_mib: tuple[int, ...] = ()
    numa_nodes: tuple[int, ...] = ()


@frozen(kw_only=True)
class Kernel:
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


@frozen(kw_only=True)
class Files:
    """Facts about file paths on the host, so that nothing has to look at them."""

    block_device_patterns: tuple[str, ...] = ("/dev/*",)
    """Shell patterns; a path that matches none is a regular file."""
    firmware_exists: bool = True


@frozen(kw_only=True)
class PciMapping:
    """A PCI resource mapping of the cluster, as it applies to this host."""

    functions: tuple[str, ...] = ()
    """Alternative devices, each one function or several separated by `;`."""
    mdev: bool = False
    """Whether they are shared in parts (mediated devices)."""
    id: str = ""
    """VENDOR:DEVICE."""
    iommu_group: int = -1
    """Negative if not known."""


@frozen(kw_only=True)
class Pci:
    """PCI functions that can be passed through, and the cluster's resource mappings."""

    functions: tuple[str, ...] = ()
    mappings: Mapping[str, PciMapping] = field(factory=dict)


@frozen(kw_only=True)
class Usb:
    """USB resource mappings of the cluster, as they apply to this host."""

    mappings: Mapping[str, str] = field(factory=dict)
    """A device as VENDOR:PRODUCT or BUS-PORT, by name."""


@frozen(kw_only=True)
class Host:
    """The facts of one host, captured on it or written by hand; a bare one for an unknown host."""

    schema: int = 1
    node: str = "localhost"
    arch: str = "x86_64"
    qemu_version: QemuVersion | None = None
    """The installed QEMU's version; None if none is installed."""
    pve_qemu_version: QemuVersion | None = None
    """The version of Proxmox VE's package, such as `10.1.2-7`; None for another QEMU."""
    kvm: bool = True
    vhost_net: bool = True
    iscsi_initiator: str = ""
    spice_port: int = 61000
    cdrom: str = ""
    """The device of the first physical CD drive; empty if there is none."""
    cpu: Cpu = Cpu()
    bridges: Mapping[str, int] = field(factory=dict)
    """MTU by bridge; a missing bridge has 1500."""
    memory: Memory = Memory()
    kernel: Kernel = Kernel()
    files: Files = Files()
    ceph: Mapping[str, str] = field(factory=dict)
    iscsi_luns: Mapping[str, int] = field(factory=dict)
    """LUN by volume for ZFS over iSCSI; a missing volume has 0."""
    backing_chains: BackingChains = field(factory=dict)
    pci: Pci = Pci()
    usb: Usb = Usb()
    cpu_models: Mapping[str, Mapping[str, Any]] = field(factory=dict)

    @property
    def qemu_series(self) -> tuple[int, int]:
        """Major and minor version of the installed QEMU; (0, 0) if not known."""
        return self.qemu_version.series if self.qemu_version is not None else (0, 0)


_PIECE = re.compile(r"\s*(\d{1,9})(?:-(\d{1,9}))?\s*", re.ASCII)


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
