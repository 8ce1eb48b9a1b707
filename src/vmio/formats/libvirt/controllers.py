"""A domain's controllers.

Source: libvirt 11.3.0, run: `virsh domxml-to-native` and its messages.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from vmio.formats.libvirt.addresses import read_address, read_alias
from vmio.formats.libvirt.domain import Controller
from vmio.formats.libvirt.drivers import find_driver_spans, read_driver, read_mapping
from vmio.formats.libvirt.reading import NUMBER, Reading, find_open_span
from vmio.formats.libvirt.versions import has_feature
from vmio.formats.libvirt.xml import Element
from vmio.model.iothread import VirtqueueMapping

__all__ = ["read_controllers"]

_TYPES: Final = frozenset(
    {"ccid", "fdc", "ide", "isa", "pci", "sata", "scsi", "usb", "virtio-serial", "xenbus"}
)


def read_controllers(reading: Reading, devices: Element | None) -> Iterator[Controller]:
    """Yields the controllers; one without an index has the lowest that is free of its type."""
    elements = [*devices.find_all("controller")] if devices is not None else []
    taken: dict[str, set[int]] = {}
    free: dict[str, int] = {}
    for element in elements:
        written = element.get("index")
        if written is not None and NUMBER.fullmatch(written):
            taken.setdefault(element.get("type") or "ide", set()).add(int(written))
    seen: set[tuple[str, int]] = set()
    for element in elements:
        kind = reading.choose(element, "type", _TYPES, "ide")
        index = reading.count(element, "index", signed=True)
        is_companion = element.find("master") is not None
        if index is None:
            used = taken.setdefault(kind, set())
            index = free.get(kind, 0)
            while index in used:
                index += 1
            used.add(index)
            free[kind] = index
        elif (kind, index) in seen and not (kind == "usb" and is_companion):
            said = f"Multiple '{kind}' controllers with index '{index}'"
            reading.refuse(said, element, 2)
            continue
        seen.add((kind, index))
        yield _read_controller(reading, element, kind, index)


def _read_controller(reading: Reading, element: Element, kind: str, index: int) -> Controller:
    driver = element.find("driver")
    mapping: tuple[VirtqueueMapping, ...] = ()
    attributes: Mapping[str, str] = {}
    if driver is not None:
        attributes = read_driver(reading, driver, least_thread=0)
        if has_feature(reading.version, "scsi-mapping"):
            mapping = read_mapping(reading, driver)
    ports = element.get("ports")
    if kind == "usb" and ports is not None and NUMBER.fullmatch(ports):
        attributes = {**attributes, "ports": ports}
    pci = read_address(element)[2]
    return Controller(
        type=kind,
        index=index,
        model=element.get("model") or "",
        driver=attributes,
        mapping=mapping,
        alias=read_alias(element),
        pci=pci,
        is_companion=element.find("master") is not None,
        span=find_open_span(reading.source, element),
        spans=find_driver_spans(reading.source, driver) if driver is not None else {},
    )
