"""The addresses and the aliases of devices.

Source: libvirt 11.3.0, run: `virsh domxml-to-native` and its messages.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from vmio.formats.libvirt.domain import DriveAddress, UsbAddress
from vmio.formats.libvirt.reading import MAX_NUMBER, NUMBER
from vmio.formats.libvirt.xml import Element
from vmio.patterns import compile_late

__all__ = ["read_address", "read_alias", "read_drive", "read_usb"]

_HEX = compile_late(r"0x[0-9a-fA-F]{1,8}|\d{1,9}", re.ASCII)


def read_alias(element: Element) -> str:
    """Returns the alias that is the user's own, which libvirt keeps."""
    alias = element.find("alias")
    name = (alias.get("name") if alias is not None else None) or ""
    is_own = name.startswith("ua-") and re.fullmatch(r"[A-Za-z0-9_-]{1,255}", name, re.ASCII)
    return name if is_own else ""


def read_address(
    element: Element,
) -> tuple[str, Mapping[str, str], tuple[int, int, int] | None]:
    """Returns an address's type, its attributes, and the slot if it is one of PCI."""
    address = element.find("address")
    if address is None:
        return "", {}, None
    kind = address.get("type") or ""
    if kind != "pci":
        return kind, address.attributes, None
    numbers = [address.get(name) or "0" for name in ("bus", "slot", "function")]
    if address.get("slot") is None or not all(map(_HEX.fullmatch, numbers)):
        return "", {}, None
    bus, slot, function = (int(number, 16 if "x" in number else 10) for number in numbers)
    return kind, address.attributes, (bus, slot, function)


def read_drive(attributes: Mapping[str, str]) -> DriveAddress:
    """Returns the place on a controller that an address of type drive names."""
    numbers = {
        name: int(value)
        for name in ("controller", "bus", "target", "unit")
        if NUMBER.fullmatch(value := attributes.get(name, "0")) and int(value) <= MAX_NUMBER
    }
    return DriveAddress(
        controller=numbers.get("controller", 0),
        bus=numbers.get("bus", 0),
        target=numbers.get("target", 0),
        unit=numbers.get("unit", 0),
    )


def read_usb(attributes: Mapping[str, str]) -> UsbAddress:
    """Returns the port that an address of type usb names."""
    bus, port = attributes.get("bus", ""), attributes.get("port", "")
    return UsbAddress(
        bus=int(bus) if re.fullmatch(r"\d{1,4}", bus, re.ASCII) else None,
        port=port if re.fullmatch(r"\d{1,3}(?:\.\d{1,3}){0,3}", port, re.ASCII) else "",
    )
