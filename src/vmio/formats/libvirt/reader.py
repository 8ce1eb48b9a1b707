"""A domain's XML to a `Domain`, going on past what libvirt would refuse.

Source: libvirt 11.3.0, run: `virsh domxml-to-native` and its messages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from vmio.bounds import MAX_VCPUS
from vmio.errors import InputError
from vmio.formats.libvirt.addresses import read_address, read_usb
from vmio.formats.libvirt.controllers import read_controllers
from vmio.formats.libvirt.disks import read_disks
from vmio.formats.libvirt.domain import Boot, Controller, Disk, Domain, UsbDevice
from vmio.formats.libvirt.images import read_firmware
from vmio.formats.libvirt.limits import read_groups
from vmio.formats.libvirt.places import PER_CONTROLLER
from vmio.formats.libvirt.reading import (
    MAX_LARGE,
    MAX_SHOWN,
    NUMBER,
    UNITS,
    Reading,
    find_open_span,
    get_text,
)
from vmio.formats.libvirt.threads import check_tuning, read_default_pool, read_pins, read_threads
from vmio.formats.libvirt.xml import Element, parse_xml
from vmio.model.source import Source, Span
from vmio.model.vm import GuestOs
from vmio.patterns import compile_late
from vmio.values import replace

__all__ = ["read_domain"]

_MAX_USB: Final = 1_000
_MAX_CONTROLLERS: Final = 1024
"""Of one type: libvirt adds those that are missing below the highest."""
_BOOT_DEVICES: Final = frozenset({"fd", "cdrom", "hd", "network"})
_UNREAD: Final[Mapping[str, str]] = {
    "qemu:commandline": "options of QEMU's own, which can add disks and threads",
    "qemu:override": "properties of devices, which can be anything of a disk",
}
_LINUX = compile_late(
    r"//(?:almalinux|alpinelinux|archlinux|centos|debian|fedoraproject|opensuse|oracle|redhat"
    r"|rockylinux|suse|ubuntu)\."
)
"""The vendors of Linux whose systems libosinfo knows."""
_OLD_WINDOWS: Final[Mapping[str, str]] = {
    "2k": "Windows 2000",
    "2k3": "Windows Server 2003",
    "2k3r2": "Windows Server 2003",
    "xp": "Windows XP",
}
_ROOTS: Final = {
    "domstatus": "the state of a running domain, not its description: save `virsh dumpxml NAME`",
    "domainsnapshot": "a snapshot: its <domain> is the description",
    "domainbackup": "a backup",
    "domaincheckpoint": "a checkpoint",
    "network": "a network",
    "pool": "a storage pool",
    "volume": "a storage volume",
}


def read_domain(source: Source, version: tuple[int, int]) -> Domain:
    """Reads a domain, with what its libvirt does not know left out as that does.

    Args:
        source: The text.
        version: The libvirt that would read it.

    Raises:
        InputError: It is no domain, or more than any that is run.
    """
    root = parse_xml(source)
    _check_root(source, root)
    reading = Reading(source, version)
    devices = root.find("devices")
    machine = root.find_path("os", "type")
    threads = read_threads(reading, root)
    numbers = frozenset(int(thread.id.removeprefix("iothread")) for thread in threads)
    groups = tuple(read_groups(reading, root))
    disks = read_disks(reading, devices)
    controllers = tuple(read_controllers(reading, devices))
    usb_devices = tuple(_read_usb_devices(devices))
    if len(usb_devices) + sum(disk.bus == "usb" for disk in disks) > _MAX_USB:
        raise InputError(f"{source.name} has more USB devices than any QEMU is started with")
    _check_indexes(source, disks, controllers)
    vcpu = root.find("vcpu")
    vcpus = _read_plain(vcpu, 1, MAX_VCPUS)
    current = vcpu.get("current") if vcpu is not None else None
    domain = Domain(
        name=get_text(root.find("name")),
        kind=root.get("type") or "",
        arch=(machine.get("arch") if machine is not None else None) or "x86_64",
        machine=(machine.get("machine") if machine is not None else None) or "pc",
        vcpus=vcpus,
        current_vcpus=int(current) if current and NUMBER.fullmatch(current) else vcpus,
        memory_mib=_read_memory(root.find("memory")),
        shares_memory=_shares_memory(root),
        system=_find_system(root),
        system_name=_find_system_name(root),
        threads=threads,
        thread_numbers=numbers,
        default_pool=read_default_pool(reading, root),
        groups=groups,
        boot=_read_boot(reading, root, devices),
        controllers=controllers,
        disks=disks,
        usb_devices=usb_devices,
        firmware=tuple(read_firmware(root)),
        unreadable=tuple(_find_unread(source, root, devices)),
        unprintable=_find_unprintable(root),
        root=root,
    )
    check_tuning(reading, root, domain)
    pins = tuple(read_pins(reading, root))
    return replace(domain, pins=pins, refusals=tuple(reading.refusals))


def _check_root(source: Source, root: Element) -> None:
    if root.name == "domain":
        if root.find("devices") is None and root.find("name") is None:
            raise InputError(f"{source.name} has a <domain> with neither a name nor devices")
        return
    if root.find("domain") is not None and root.name not in _ROOTS:
        raise InputError(
            f"{source.name} has domains in a <{root.name[:MAX_SHOWN]}>: each is a file of its own"
        )
    what = _ROOTS.get(root.name, f"a <{root.name[:MAX_SHOWN]}>")
    raise InputError(f"{source.name} is no libvirt domain: it is {what}")


def _check_indexes(
    source: Source, disks: tuple[Disk, ...], controllers: tuple[Controller, ...]
) -> None:
    """Refuses numbers of controllers that would make libvirt add thousands."""
    numbers = [each.index for each in controllers if each.type != "pci"]
    for disk in disks:
        if disk.drive is not None:
            numbers.append(disk.drive.controller)
        elif disk.bus in PER_CONTROLLER:
            numbers.append(disk.index // PER_CONTROLLER[disk.bus])
        if disk.usb is not None:
            numbers.append(disk.usb.bus or 0)
    if max(numbers, default=0) >= _MAX_CONTROLLERS:
        raise InputError(
            f"{source.name} has a controller with the number {max(numbers)}, and all below it"
            " would be made: more than any QEMU is started with"
        )


# The machine


def _read_plain(element: Element | None, default: int, most: int) -> int:
    text = get_text(element).strip()
    return max(1, min(int(text), most)) if NUMBER.fullmatch(text) else default


def _read_memory(element: Element | None) -> int:
    text = get_text(element).strip()
    unit = ((element.get("unit") if element is not None else None) or "KiB").lower()
    if not NUMBER.fullmatch(text):
        return 1
    return max(1, min(int(text) * UNITS.get(unit, 1024), MAX_LARGE) >> 20)


def _shares_memory(root: Element) -> bool:
    access = root.find_path("memoryBacking", "access")
    if access is not None and access.get("mode") == "shared":
        return True
    cells = root.find_path("cpu", "numa")
    return cells is not None and any(
        cell.get("memAccess") == "shared" for cell in cells.find_all("cell")
    )


def _find_system(root: Element) -> GuestOs:
    """Returns the family of the guest's system, which virt-install and others write down."""
    name = _find_system_id(root)
    if not name:
        return ""
    if "//microsoft.com/" in name:
        return "windows"
    return "linux" if _LINUX.search(name) else "other"


def _find_system_name(root: Element) -> str:
    """Returns the name of a Windows as old as XP; empty for any other system."""
    return _OLD_WINDOWS.get(_find_system_id(root).partition("//microsoft.com/win/")[2], "")


def _find_system_id(root: Element) -> str:
    metadata = root.find("metadata")
    for info in metadata.children if metadata is not None else ():
        if not info.name.endswith(":libosinfo"):
            continue
        for child in info.children:
            if child.name.endswith(":os"):
                return child.get("id") or ""
    return ""


# Other devices


def _read_boot(reading: Reading, root: Element, devices: Element | None) -> Boot:
    system = root.find("os")
    names = []
    for element in system.find_all("boot") if system is not None else ():
        name = reading.choose(element, "dev", _BOOT_DEVICES)
        if name:
            names.append(name)
    numbered = [
        child
        for child in (devices.children if devices is not None else ())
        if child.name in {"disk", "interface", "hostdev", "redirdev"}
        and child.find("boot") is not None
    ]
    if numbered and names:
        said = "per-device boot elements cannot be used together with os/boot elements"
        reading.refuse(said, numbered[0], 1)
    seen: set[str] = set()
    for child in numbered:
        boot = child.find("boot")
        order = (boot.get("order") if boot is not None else None) or ""
        if order in seen:
            said = f"boot order '{order}' used for more than one device"
            reading.refuse(said, child, 1)
        seen.add(order)
    if not numbered and not names:
        names = ["hd"]
    return Boot(devices=tuple(names), by_device=bool(numbered))


def _read_usb_devices(devices: Element | None) -> Iterator[UsbDevice]:
    """Yields what takes ports of USB besides disks, as far as it is written."""
    for child in devices.children if devices is not None else ():
        kind, bus = child.get("type"), child.get("bus")
        is_usb = (
            (child.name in {"hub", "hostdev"} and kind == "usb")
            or (child.name == "redirdev" and (bus or "usb") == "usb")
            or (child.name == "input" and (bus or ("usb" if kind == "tablet" else "")) == "usb")
            or (child.name == "sound" and child.get("model") == "usb")
            or (child.name == "smartcard" and _is_usb_address(child))
            or (child.name in {"serial", "console"} and _is_usb_address(child))
        )
        if is_usb:
            address, own, _ = read_address(child)
            yield UsbDevice(
                kind="hub"
                if child.name == "hub"
                else "before"
                if child.name == "hostdev"
                else "after",
                address=read_usb(own) if address == "usb" else None,
            )


def _is_usb_address(element: Element) -> bool:
    return read_address(element)[0] == "usb"


# What is not read


def _find_unprintable(root: Element) -> str:
    system = root.find("os")
    if root.get("type") not in {"qemu", "kvm"}:
        return (
            f"a domain of type='{(root.get('type') or '')[:MAX_SHOWN]}' is not known to be QEMU's"
        )
    machine = root.find_path("os", "type")
    name = (machine.get("machine") if machine is not None else None) or "pc"
    arch = (machine.get("arch") if machine is not None else None) or "x86_64"
    if arch not in {"x86_64", "i686"} or not re.match(r"pc\b|q35\b", name):
        return f"only PCs are known, and it is a {arch[:MAX_SHOWN]} machine '{name[:MAX_SHOWN]}'"
    if system is not None and system.get("firmware") is not None and system.find("loader") is None:
        return "libvirt chooses the firmware among the host's (<os firmware=…>)"
    loader = root.find_path("os", "loader")
    if loader is not None and loader.get("type") == "pflash":
        nvram = root.find_path("os", "nvram")
        if loader.get("readonly") == "yes" and loader.get("stateless") != "yes" and nvram is None:
            return "libvirt names the file of the firmware's variables itself (<nvram>)"
    return ""


def _find_unread(
    source: Source, root: Element, devices: Element | None
) -> Iterator[tuple[str, Span]]:
    for child in root.children:
        if child.name in _UNREAD:
            what = f"<{child.name}> has {_UNREAD[child.name]}; vmio does not read it"
            yield what, find_open_span(source, child)
    for child in devices.children if devices is not None else ():
        if child.name == "hostdev" and child.get("type") in {"scsi", "scsi_host"}:
            what = f"<hostdev type='{child.get('type')}'> is a SCSI device that vmio does not read"
            yield what, find_open_span(source, child)
