"""The facts of a host as JSON."""

from __future__ import annotations

from typing import TypedDict

from vmio.model.host import Host
from vmio.report.envelope import Count, render_document

__all__ = ["HostData", "render_host_json"]


class SevData(TypedDict):
    """AMD's encrypted virtualisation."""

    sev: bool
    sev_es: bool
    sev_snp: bool
    cbitpos: Count
    reduced_phys_bits: Count


class CpuData(TypedDict):
    """The host's processors."""

    vendor: str
    count: Count
    """0 if not known."""
    phys_bits: Count
    flags: list[str]
    sev: SevData
    nodes: dict[str, str]
    """Processors of each NUMA node, such as `0-7,16-23`, by its number."""


class MemoryData(TypedDict):
    """The host's memory."""

    hugepages_mib: list[Count]
    """The available sizes of huge pages."""
    numa_nodes: list[Count]


class KernelData(TypedDict):
    """The host's kernel, and its limits on I/O; a negative number means not known."""

    release: str
    io_uring_disabled: int
    """0: all users may use io_uring; 1: some groups; 2: nobody."""
    aio_nr: int
    """Requests reserved by all linux-aio contexts."""
    aio_max_nr: int
    """The limit of these on the whole host."""
    dirty_ratio: int
    """Percent of memory that may be dirty before writers are throttled."""


class PathsData(TypedDict):
    """The host's facts about file paths."""

    block_device_patterns: list[str]
    firmware_exists: bool


class PciMappingData(TypedDict):
    """A PCI resource mapping of the cluster."""

    functions: list[str]
    mdev: bool
    id: str
    iommu_group: int
    """Negative if not known."""


class PciData(TypedDict):
    """PCI functions that can be passed through."""

    functions: list[str]
    mappings: dict[str, PciMappingData]


class UsbData(TypedDict):
    """USB resource mappings of the cluster."""

    mappings: dict[str, str]


class HostData(TypedDict):
    """The facts of a host that command lines and findings depend on."""

    node: str
    arch: str
    qemu_version: str
    """Empty if no QEMU is installed."""
    pve_qemu_version: str
    """The version of Proxmox VE's package; empty for another QEMU."""
    libvirt_version: str
    """Empty where there is none or it is not known."""
    kvm: bool
    vhost_net: bool
    iscsi_initiator: str
    spice_port: Count
    cdrom: str
    """The device of the first physical CD drive; empty if there is none."""
    cpu: CpuData
    bridges: dict[str, int]
    """MTU by bridge."""
    memory: MemoryData
    kernel: KernelData
    files: PathsData
    ceph: dict[str, str]
    iscsi_luns: dict[str, int]
    """LUN by volume, for ZFS over iSCSI."""
    backing_chains: dict[str, list[str]]
    """The backing images of a volume."""
    pci: PciData
    usb: UsbData
    cpu_models: dict[str, dict[str, str | int]]
    """Custom processor models, as in Proxmox VE's cpu-models.conf."""


def render_host_json(host: Host) -> str:
    """Returns the facts of a host as a document."""
    cpu, kernel = host.cpu, host.kernel
    data: HostData = {
        "node": host.node,
        "arch": host.arch,
        "qemu_version": str(host.qemu_version or ""),
        "pve_qemu_version": str(host.pve_qemu_version or ""),
        "libvirt_version": host.libvirt_version,
        "kvm": host.kvm,
        "vhost_net": host.vhost_net,
        "iscsi_initiator": host.iscsi_initiator,
        "spice_port": host.spice_port,
        "cdrom": host.cdrom,
        "cpu": {
            "vendor": cpu.vendor,
            "count": cpu.count,
            "phys_bits": cpu.phys_bits,
            "flags": list(cpu.flags),
            "sev": {
                "sev": cpu.sev.sev,
                "sev_es": cpu.sev.sev_es,
                "sev_snp": cpu.sev.sev_snp,
                "cbitpos": cpu.sev.cbitpos,
                "reduced_phys_bits": cpu.sev.reduced_phys_bits,
            },
            "nodes": dict(cpu.nodes),
        },
        "bridges": dict(host.bridges),
        "memory": {
            "hugepages_mib": list(host.memory.hugepages_mib),
            "numa_nodes": list(host.memory.numa_nodes),
        },
        "kernel": {
            "release": kernel.release,
            "io_uring_disabled": kernel.io_uring_disabled,
            "aio_nr": kernel.aio_nr,
            "aio_max_nr": kernel.aio_max_nr,
            "dirty_ratio": kernel.dirty_ratio,
        },
        "files": {
            "block_device_patterns": list(host.files.block_device_patterns),
            "firmware_exists": host.files.firmware_exists,
        },
        "ceph": dict(host.ceph),
        "iscsi_luns": dict(host.iscsi_luns),
        "backing_chains": {name: list(chain) for name, chain in host.backing_chains.items()},
        "pci": {
            "functions": list(host.pci.functions),
            "mappings": {
                name: {
                    "functions": list(mapping.functions),
                    "mdev": mapping.mdev,
                    "id": mapping.id,
                    "iommu_group": mapping.iommu_group,
                }
                for name, mapping in host.pci.mappings.items()
            },
        },
        "usb": {"mappings": dict(host.usb.mappings)},
        "cpu_models": {
            # A TOML file can contain values that JSON does not have.
            name: {key: each if isinstance(each, str | int) else str(each) for key, each in pairs}
            for name, pairs in ((name, model.items()) for name, model in host.cpu_models.items())
        },
    }
    return render_document("host", data)
