"""The host that vmio runs on, as a `Host`: facts that command lines depend on, not in configs.

Reading continues without facts that a host does not have or show: in a container without /sys, on
a host without Proxmox VE, with an account that may not read /etc/pve.

Source: the files in which qemu-server 9.2.6 and pve-guest-common 6 keep their facts.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from vmio.bounds import load_json
from vmio.model.host import Cpu, Files, Host, Kernel, Memory, Pci, PciMapping, Sev, Usb
from vmio.model.version import QemuVersion, parse_version

__all__ = ["identify_host", "read_cpu_model", "read_local_host"]

_MAX_BYTES = 256 * 1024
_MAX_PACKAGES_BYTES = 64 * 1024 * 1024
_MAX_ENTRIES = 4096
_CDROMS = ("dev/cdrom", "dev/cdrom1", "dev/cdrom2")
_CEPH_CONFIGS = ("etc/pve/ceph.conf", "etc/ceph/ceph.conf")
_FIRST_SPICE_PORT, _LAST_SPICE_PORT = 61000, 61999
_LISTENING = "0A"
_KIB_PER_MIB = 1024
_DEFAULT_PHYS_BITS = 40

_Section = tuple[str, tuple[tuple[str, str], ...]]


def read_local_host(root: Path = Path("/"), *, ports: bool = False) -> Host:
    """Returns the facts of this host.

    QEMU's version is included only if it is Proxmox's; any other QEMU has to be asked.

    Args:
        root: The folder to use as `/`.
        ports: Whether to look for the next free SPICE port. Listing listeners takes the kernel
            longer than everything else together.
    """
    node = platform.node().partition(".")[0]
    initiator = _search(root / "etc/iscsi/initiatorname.iscsi", r"^InitiatorName=(\S+)")
    ceph = _read_ceph(root)
    release, package = _read_qemu_versions(root)
    return Host(
        node=node,
        arch=platform.machine(),
        qemu_version=release,
        pve_qemu_version=package,
        kvm=os.access(root / "dev/kvm", os.R_OK | os.W_OK),
        vhost_net=(root / "dev/vhost-net").exists(),
        iscsi_initiator=initiator or "",
        spice_port=_find_spice_port(root) if ports else _FIRST_SPICE_PORT,
        cdrom=next((f"/{path}" for path in _CDROMS if (root / path).exists()), ""),
        cpu=_read_cpu(root),
        bridges=_read_bridges(root / "sys/class/net"),
        memory=_read_memory(root / "sys"),
        kernel=_read_kernel(root / "proc/sys"),
        files=Files(firmware_exists=_has_firmware(root)),
        ceph={"fsid": ceph} if ceph else {},
        pci=Pci(
            functions=tuple(
                name
                for name in _list_names(root / "sys/bus/pci/devices")
                if re.fullmatch(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]", name)
            ),
            mappings=dict(_read_pci_mappings(root / "etc/pve/mapping/pci.cfg", node)),
        ),
        usb=Usb(mappings=dict(_read_usb_mappings(root / "etc/pve/mapping/usb.cfg", node))),
        cpu_models=dict(_read_cpu_models(root / "etc/pve/virtual-guest/cpu-models.conf")),
    )


def identify_host() -> str:
    """Returns an identification of this host: its name and its processor."""
    return f"{platform.node()}, {read_cpu_model()}"


def read_cpu_model(root: Path = Path("/")) -> str:
    """Returns the name of the processor, or of its architecture if the kernel has no other.

    Args:
        root: The folder to use as `/`.
    """
    model = _search(root / "proc/cpuinfo", r"^model name\s*:\s*(.+)$")
    return model.strip() if model else platform.machine()


def _read_cpu(root: Path) -> Cpu:
    info = _read_text(root / "proc/cpuinfo")
    vendor = re.search(r"^vendor_id\s*:\s*(\S+)", info, re.MULTILINE)
    bits = re.search(r"^address sizes\s*:\s*(\d{1,3}) bits physical", info, re.MULTILINE)
    folder = root / "sys/devices/system/node"
    flags = re.search(r"^flags\s*:\s*(.+)", info, re.MULTILINE)
    return Cpu(
        vendor=vendor[1] if vendor else "",
        count=os.cpu_count() or 1,
        phys_bits=int(bits[1]) if bits else _DEFAULT_PHYS_BITS,
        flags=tuple(flags[1].split()) if flags else (),
        sev=_read_sev(root / "run/qemu-server/host-hw-capabilities.json"),
        nodes={
            name.removeprefix("node"): _read_text(folder / name / "cpulist").strip()
            for name in _list_names(folder)
            if re.fullmatch(r"node\d{1,5}", name, re.ASCII)
        },
    )


def _read_sev(path: Path) -> Sev:
    """Returns what Proxmox detected at boot, with an instruction that requires root."""
    try:
        found = load_json(_read_text(path))["amd-sev"]
        return Sev(
            sev=found.get("sev-support") is True,
            sev_es=found.get("sev-support-es") is True,
            sev_snp=found.get("sev-support-snp") is True,
            cbitpos=int(found.get("cbitpos", 0)),
            reduced_phys_bits=int(found.get("reduced-phys-bits", 0)),
        )
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return Sev()


def _read_bridges(folder: Path) -> dict[str, int]:
    bridges = {}
    for name in _list_names(folder):
        is_bridge = (folder / name / "bridge").exists() or name.startswith("vmbr")
        mtu = _search(folder / name / "mtu", r"^(\d{1,9})$")
        if is_bridge and mtu:
            bridges[name] = int(mtu)
    return bridges


def _read_memory(sys: Path) -> Memory:
    sizes = _list_numbers(sys / "kernel/mm/hugepages", r"hugepages-(\d{1,12})kB")
    return Memory(
        hugepages_mib=tuple(kib // _KIB_PER_MIB for kib in sizes if kib >= _KIB_PER_MIB),
        numa_nodes=_list_numbers(sys / "devices/system/node", r"node(\d{1,5})"),
    )


def _read_kernel(sys: Path) -> Kernel:
    def read(name: str) -> int:
        return int(_search(sys / name, r"^(\d{1,18})$") or -1)

    return Kernel(
        release=_read_text(sys / "kernel/osrelease").strip(),
        io_uring_disabled=read("kernel/io_uring_disabled"),
        aio_nr=read("fs/aio-nr"),
        aio_max_nr=read("fs/aio-max-nr"),
        dirty_ratio=read("vm/dirty_ratio"),
    )


def _read_qemu_versions(root: Path) -> tuple[QemuVersion, QemuVersion] | tuple[None, None]:
    """Returns the release and the version of Proxmox's QEMU package; None without Proxmox."""
    if not (root / "usr/share/qemu-server").is_dir():
        return None, None
    status = _read_text(root / "var/lib/dpkg/status", _MAX_PACKAGES_BYTES)
    found = re.search(
        r"^Package: pve-qemu-kvm\n(?:\S.*\n| .*\n)*?Version: (\S{1,40})$", status, re.MULTILINE
    )
    try:
        package = parse_version(found[1] if found else "")
        return parse_version(package.text.partition("-")[0]), package
    except ValueError:
        return None, None


def _has_firmware(root: Path) -> bool:
    """Returns whether Proxmox's firmware is installed; without Proxmox nothing is concluded."""
    installed = (root / "usr/share/qemu-server").is_dir()
    return not installed or (root / "usr/share/pve-edk2-firmware").is_dir()


def _read_ceph(root: Path) -> str | None:
    found = (_search(root / path, r"^\s*fsid\s*=\s*([0-9a-fA-F-]+)") for path in _CEPH_CONFIGS)
    return next((fsid for fsid in found if fsid), None)


def _find_spice_port(root: Path) -> int:
    """Returns the first port of Proxmox's range without a listener."""
    taken = set()
    for name in ("tcp", "tcp6"):
        for line in _read_text(root / "proc/net" / name).splitlines()[1:]:
            columns = line.split()
            if len(columns) > 3 and columns[3] == _LISTENING:  # noqa: PLR2004 - the state's column
                taken.add(columns[1].rpartition(":")[2])
    ports = range(_FIRST_SPICE_PORT, _LAST_SPICE_PORT + 1)
    return next((port for port in ports if f"{port:04X}" not in taken), _FIRST_SPICE_PORT)


def _read_pci_mappings(path: Path, node: str) -> Iterator[tuple[str, PciMapping]]:
    for name, lines in _read_sections(path):
        devices = [_parse_map(value) for key, value in lines if key == "map"]
        here = [device for device in devices if device.get("node") == node and "path" in device]
        if here:
            group = here[0].get("iommugroup", "")
            yield (
                name,
                PciMapping(
                    mdev=("mdev", "1") in lines,
                    functions=tuple(device["path"] for device in here),
                    id=here[0].get("id", ""),
                    iommu_group=int(group) if re.fullmatch(r"\d{1,9}", group, re.ASCII) else -1,
                ),
            )


def _read_usb_mappings(path: Path, node: str) -> Iterator[tuple[str, str]]:
    for name, lines in _read_sections(path):
        for key, value in lines:
            device = _parse_map(value) if key == "map" else {}
            if device.get("node") == node and (found := device.get("path") or device.get("id")):
                yield name, found


def _read_cpu_models(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, lines in _read_sections(path):
        yield (
            name.removeprefix("custom-"),
            {key: int(v) if re.fullmatch(r"\d{1,9}", v, re.ASCII) else v for key, v in lines},
        )


def _read_sections(path: Path) -> Iterator[_Section]:
    """Yields the sections of a Proxmox file: name, or `type: name`, and indented lines."""
    name, lines = "", []
    for line in (*_read_text(path).splitlines(), ""):
        key, _, value = line.strip().partition(" ")
        if line[:1] in {" ", "\t"} and key:
            lines.append((key, value.strip()))
        elif not line.startswith("#"):
            if name:
                yield name, tuple(lines)
            name, lines = line.rpartition(":")[2].strip(), []


def _parse_map(text: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in text.split(","))
    return {key.strip(): value.strip() for key, equals, value in pairs if equals}


def _list_names(folder: Path) -> tuple[str, ...]:
    try:
        with os.scandir(folder) as entries:
            return tuple(sorted(entry.name for entry in islice(entries, _MAX_ENTRIES)))
    except OSError:
        return ()


def _list_numbers(folder: Path, pattern: str) -> tuple[int, ...]:
    matches: Iterable[re.Match[str] | None]
    matches = (re.fullmatch(pattern, name, re.ASCII) for name in _list_names(folder))
    return tuple(sorted(int(match[1]) for match in matches if match))


def _search(path: Path, pattern: str) -> str | None:
    match = re.search(pattern, _read_text(path), re.MULTILINE | re.ASCII)
    return match[1] if match else None


def _read_text(path: Path, limit: int = _MAX_BYTES) -> str:
    """Returns the beginning of a file; empty if it cannot be read."""
    try:
        # Non-blocking: no file there may make every verb hang.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            return (file.read(limit) or b"").decode("utf-8", "replace")
    except OSError:
        return ""
