"""A domain's disks.

Source: libvirt 11.3.0, run: `virsh domxml-to-native` and its messages.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from vmio.errors import InputError
from vmio.formats.libvirt.addresses import read_address, read_alias, read_drive, read_usb
from vmio.formats.libvirt.domain import Disk
from vmio.formats.libvirt.drivers import find_driver_spans, read_driver, read_mapping
from vmio.formats.libvirt.images import TYPES, check_source, find_path, read_chain
from vmio.formats.libvirt.limits import read_filters, read_iotune
from vmio.formats.libvirt.reading import (
    MAX_LARGE,
    NUMBER,
    ON_OFF,
    UNITS,
    Reading,
    find_open_span,
    get_text,
    say_missing,
)
from vmio.formats.libvirt.versions import has_feature
from vmio.formats.libvirt.xml import Element
from vmio.model.iothread import VirtqueueMapping
from vmio.model.source import Source, Span
from vmio.patterns import compile_late

__all__ = ["find_index", "read_disks"]

_MAX_DISKS: Final = 10_000
_TARGET = compile_late(r"(fd|hd|vd|sd|xvd|ubd)([a-z]{1,6})(\d{0,9})", re.ASCII)
_BUSES: Final = {
    "fd": "fdc",
    "hd": "ide",
    "sd": "scsi",
    "ubd": "uml",
    "vd": "virtio",
    "xvd": "xen",
}
"""The bus of a disk of which none is written, by its target."""
_DEVICES: Final = frozenset({"disk", "cdrom", "floppy", "lun"})
_DISK_BUSES: Final = frozenset({"ide", "fdc", "scsi", "virtio", "xen", "usb", "uml", "sata", "sd"})
_TRAYS: Final = frozenset({"open", "closed"})
_MODELS: Final = frozenset({"virtio", "virtio-transitional", "virtio-non-transitional"})
_TRANSLATIONS: Final = frozenset({"none", "auto", "lba"})
_ADDRESSES: Final = frozenset(
    {
        "ccid",
        "ccw",
        "dimm",
        "drive",
        "isa",
        "pci",
        "spapr-vio",
        "unassigned",
        "usb",
        "virtio-mmio",
        "virtio-s390",
        "virtio-serial",
    }
)
_MOST_SLOT: Final = 31
_PLACE: Final = ("domain", "bus", "slot", "function")
"""What names a place on PCI."""
_SNAPSHOTS: Final = frozenset({"external", "internal", "manual", "no"})
_POLICIES: Final = frozenset({"mandatory", "optional", "requisite"})
_SIZES: Final = ("logical_block_size", "physical_block_size", "discard_granularity")


def read_disks(reading: Reading, devices: Element | None) -> tuple[Disk, ...]:
    """Returns the disks in libvirt's order.

    Raises:
        InputError: There are more than any QEMU is started with.
    """
    elements = [*devices.find_all("disk")] if devices is not None else []
    if len(elements) > _MAX_DISKS:
        raise InputError(f"{reading.source.name} has more disks than any QEMU is started with")
    return _sort_disks(_read_all(reading, elements))


def _read_all(reading: Reading, elements: Iterable[Element]) -> Iterator[Disk]:
    for element in elements:
        disk = _read_disk(reading, element)
        if disk is not None:
            yield disk
    reading.subject = ""


def _sort_disks(disks: Iterator[Disk]) -> tuple[Disk, ...]:
    """Returns disks by bus, in the order in which the buses are met, and by target.

    A bus that is not written is no other disk's when libvirt sorts them.
    """
    buses: dict[str, list[Disk]] = {}
    for disk in disks:
        target = disk.element.find("target")
        written = target.get("bus") if target is not None else None
        buses.setdefault(written or "", []).append(disk)
    return tuple(
        disk for group in buses.values() for disk in sorted(group, key=lambda each: each.index)
    )


def find_index(target: str) -> int | None:
    """Returns what the letters of a target come to: 0 for vda, 26 for vdaa; None if it is none."""
    match = _TARGET.fullmatch(target)
    if match is None:
        return None
    index = 0
    for letter in match[2]:
        index = index * 26 + ord(letter) - ord("a") + 1
    return index - 1


def _read_disk(reading: Reading, element: Element) -> Disk | None:
    kind = reading.choose(element, "type", TYPES, "file")
    device = reading.choose(element, "device", _DEVICES, "disk")
    model = reading.choose(element, "model", _MODELS)
    target = element.find("target")
    name = (target.get("dev") if target is not None else None) or ""
    source = element.find("source")
    if not name or target is None:
        path = find_path(kind, source)
        reading.refuse(f"missing target information for device {path}".rstrip(), element)
        return None
    reading.subject = name
    reading.choose(element, "snapshot", _SNAPSHOTS)
    _check_address(reading, element)
    if source is not None:
        reading.choose(source, "startupPolicy", _POLICIES)
    match = _TARGET.fullmatch(name)
    default = "fdc" if device == "floppy" else _BUSES[match[1]] if match else "ide"
    bus = reading.choose(target, "bus", _DISK_BUSES, default)
    driver = element.find("driver")
    attributes = read_driver(reading, driver) if driver is not None else {}
    mapping: tuple[VirtqueueMapping, ...] = ()
    if driver is not None and has_feature(reading.version, "blk-mapping"):
        mapping = read_mapping(reading, driver)
    index = find_index(name)
    address, own, pci = read_address(element)
    if index is None and address != "drive":
        reading.refuse(f"Unknown disk name '{name}' and no address specified", element)
    elif match is not None and match[3]:
        said = f"invalid disk target '{name}', partitions can't appear in disk targets"
        reading.refuse(said, element, 2)
    image = read_chain(reading, element, kind, attributes.get("type", ""))
    check_source(reading, element, kind, device, image)
    limits, group = read_iotune(reading, element)
    wwn = get_text(element.find("wwn"))
    if wwn and not re.fullmatch(r"[0-9a-fA-F]{16}", wwn, re.ASCII):
        reading.refuse(f"Malformed wwn: {wwn}", element)
        wwn = ""
    boot = element.find("boot")
    blockio = element.find("blockio")
    return Disk(
        target=name,
        bus=bus,
        index=index or 0,
        device=device,
        image=image,
        driver=attributes,
        mapping=mapping,
        cache_size=_read_cache_size(driver),
        model=model,
        removable=reading.choose(target, "removable", ON_OFF),
        tray=reading.choose(target, "tray", _TRAYS),
        rotation_rate=reading.count(target, "rotation_rate"),
        read_only=element.find("readonly") is not None or device == "cdrom",
        shareable=element.find("shareable") is not None,
        serial=get_text(element.find("serial")),
        wwn=wwn,
        vendor=get_text(element.find("vendor")),
        product=get_text(element.find("product")),
        boot_order=reading.demand(boot, "order", least=1) if boot is not None else None,
        alias=read_alias(element),
        sizes={
            name: size
            for name in _SIZES
            if blockio is not None
            and (name != "discard_granularity" or has_feature(reading.version, "granularity"))
            and (size := reading.count(blockio, name))
        },
        geometry=_read_geometry(reading, element),
        limits=limits,
        group=group,
        filters=read_filters(reading, element),
        address_type="drive"
        if address == "drive"
        else "usb"
        if address == "usb"
        else "pci"
        if pci is not None
        else "other"
        if address
        else "",
        drive=read_drive(own) if address == "drive" else None,
        usb=read_usb(own) if address == "usb" else None,
        pci=pci,
        element=element,
        span=find_open_span(reading.source, element),
        spans=_find_spans(reading.source, element, driver),
    )


def _check_address(reading: Reading, element: Element) -> None:
    """Notes what libvirt refuses of an address as it reads it."""
    address = element.find("address")
    if address is None:
        return
    kind = reading.choose(address, "type", _ADDRESSES)
    if kind == "dimm" and address.get("slot") is None:
        reading.refuse(say_missing(address, "slot"), address)
    if kind != "pci":
        return
    for name in _PLACE:
        written = address.get(name)
        if written is not None and not re.fullmatch(
            r"0[xX][0-9a-fA-F]{1,8}|\d{1,9}", written, re.ASCII
        ):
            said = f"'{written}'. Expected non-negative integer value"
            reading.refuse(
                f"Invalid value for attribute '{name}' in element 'address': {said}", address
            )
            return
    domain, bus, slot, function = (_read_hex(address, name) for name in _PLACE)
    if slot > _MOST_SLOT:
        reading.refuse(f"Invalid PCI address slot='{slot:#x}', must be <= 0x1F", address)
    elif domain:
        place = f"{domain:04x}:{bus:02x}:{slot:02x}.{function:o}"
        reading.refuse(f"Invalid PCI address {place}. Only PCI domain 0 is available", address, 1)


def _read_hex(address: Element, name: str) -> int:
    written = address.get(name) or "0"
    return int(written, 16 if "x" in written.lower() else 10)


def _find_spans(source: Source, element: Element, driver: Element | None) -> Mapping[str, Span]:
    spans = find_driver_spans(source, driver) if driver is not None else {}
    for name in ("source", "target", "serial", "iotune", "boot", "wwn"):
        child = element.find(name)
        if child is not None:
            spans[name] = child.span
    return spans


def _read_cache_size(driver: Element | None) -> int | None:
    size = driver.find_path("metadata_cache", "max_size") if driver is not None else None
    text = get_text(size).strip()
    if size is None or not NUMBER.fullmatch(text):
        return None
    return min(int(text) * UNITS.get((size.get("unit") or "bytes").lower(), 1), MAX_LARGE)


def _read_geometry(reading: Reading, element: Element) -> Mapping[str, int | str]:
    geometry = element.find("geometry")
    if geometry is None:
        return {}
    found: dict[str, int | str] = {
        name: size for name in ("cyls", "heads", "secs") if (size := reading.count(geometry, name))
    }
    trans = reading.choose(geometry, "trans", _TRANSLATIONS)
    if trans:
        found["bios-chs-trans"] = trans
    return found
