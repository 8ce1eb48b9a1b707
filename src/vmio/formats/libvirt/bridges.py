"""The PCI bridges of a domain that its storage controllers are behind.

Source: libvirt 11.3.0, run: `<controller type='pci'>` with its `<model name>` and `<target>`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from vmio.formats.libvirt.addresses import read_address, read_alias
from vmio.formats.libvirt.domain import Domain
from vmio.formats.libvirt.places import find_pci, is_q35
from vmio.formats.libvirt.reading import NUMBER
from vmio.formats.libvirt.xml import Element
from vmio.formats.qemu.layout import choose_bridges
from vmio.model.controller import Bridge, Controller

__all__ = ["find_bridges"]

_MODELS: Final[Mapping[str, tuple[str, str]]] = {
    "dmi-to-pci-bridge": ("i82801b11-bridge", ""),
    "pci-bridge": ("pci-bridge", "chassisNr"),
    "pcie-root-port": ("pcie-root-port", "chassis"),
    "pcie-switch-downstream-port": ("xio3130-downstream", "chassis"),
    "pcie-switch-upstream-port": ("x3130-upstream", ""),
    "pcie-to-pci-bridge": ("pcie-pci-bridge", ""),
}
"""QEMU's device by libvirt's model, and the attribute that numbers it."""
_OLD_PORT: Final = "ioh3420"
_ROOTS: Final = frozenset({"pci.0", "pcie.0"})


def find_bridges(domain: Domain, controllers: tuple[Controller, ...]) -> tuple[Bridge, ...]:
    """Returns the bridges in front of controllers, those among them that libvirt adds."""
    devices = domain.root.find("devices") if domain.root is not None else None
    written = {
        bridge.id: bridge
        for element in (devices.find_all("controller") if devices is not None else ())
        if element.get("type") == "pci"
        for bridge in _read_bridge(domain, element)
    }
    places = [each.pci for each in controllers] + [each.pci for each in written.values()]
    names = dict.fromkeys([*written, *(each.bus for each in places if each is not None)])
    known = {name: written.get(name) or _add(domain, name) for name in names if name not in _ROOTS}
    ordered = sorted(known.values(), key=lambda each: _find_depth(each, known))
    return choose_bridges(ordered, controllers)


def _read_bridge(domain: Domain, element: Element) -> Iterator[Bridge]:
    index, model = element.get("index") or "", _MODELS.get(element.get("model") or "")
    if model is None or not NUMBER.fullmatch(index):
        return
    name, key = model
    own, target, address = (element.find(part) for part in ("model", "target", "address"))
    if own is not None and own.get("name") == _OLD_PORT:
        name = _OLD_PORT
    number = (target.get(key) if target is not None and key else None) or ""
    yield Bridge(
        id=read_alias(element) or f"pci.{int(index)}",
        model=name,
        pci=find_pci(domain, read_address(element)[2]),
        chassis=(int(number) if NUMBER.fullmatch(number) else int(index)) if key else None,
        multifunction=address is not None and address.get("multifunction") == "on",
    )


def _add(domain: Domain, name: str) -> Bridge:
    """Returns the bridge that libvirt adds for a bus that no controller of the text has."""
    model = "pcie-root-port" if is_q35(domain) else "pci-bridge"
    root = "pcie.0" if is_q35(domain) else "pci.0"
    return Bridge(id=name, model=model, pci_bus=root, chassis=int(name.rpartition(".")[2]))


def _find_depth(bridge: Bridge, known: Mapping[str, Bridge]) -> int:
    """Returns how many bridges there are in front of one, so that each follows its own."""
    depth, seen = 0, {bridge.id}
    while bridge.pci is not None and bridge.pci.bus in known and bridge.pci.bus not in seen:
        bridge = known[bridge.pci.bus]
        seen.add(bridge.id)
        depth += 1
    return depth
