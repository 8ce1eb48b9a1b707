"""What libvirt adds to a domain: controllers that disks need, their places, and names.

Source: libvirt 11.3.0, run with domains that leave out addresses, controllers and models.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from msgspec import Struct, field

from vmio.formats.libvirt.domain import (
    Controller,
    Disk,
    Domain,
    DriveAddress,
    UsbAddress,
    UsbDevice,
)
from vmio.model.controller import PciAddress
from vmio.values import replace

__all__ = [
    "Place",
    "Placed",
    "find_pci",
    "find_scsi_driver",
    "is_built_in",
    "is_q35",
    "name_controller",
    "place_disks",
]

PER_CONTROLLER: Final[Mapping[str, int]] = {"scsi": 7, "ide": 4, "sata": 6, "fdc": 2}
"""Disks without an address of their own on a controller, by the bus."""
_SCSI_DRIVERS: Final[Mapping[str, str]] = {
    "am53c974": "am53c974",
    "dc390": "dc-390",
    "ibmvscsi": "spapr-vscsi",
    "lsilogic": "lsi",
    "lsisas1068": "mptsas1068",
    "lsisas1078": "megasas",
    "virtio-non-transitional": "virtio-scsi-pci-non-transitional",
    "virtio-scsi": "virtio-scsi-pci",
    "virtio-transitional": "virtio-scsi-pci-transitional",
    "vmpvscsi": "pvscsi",
}
"""QEMU's device, by libvirt's model."""
_USB_PORTS: Final[Mapping[str, int]] = {
    "ich9-ehci1": 6,
    "nec-xhci": 4,
    "pci-ohci": 3,
    "qemu-xhci": 4,
}
"""Where no number is written; all others have two."""
_HUB_PORTS: Final = 8
_MAX_HUBS: Final = 3
"""One behind the other. Source: libvirt 11.3.0: a port has four numbers at most."""


class Place(Struct, frozen=True, kw_only=True):
    """A disk, its name in QEMU, and its place."""

    disk: Disk
    name: str
    """The device's id."""
    drive: DriveAddress | None = None
    usb: UsbAddress | None = None
    bootindex: int | None = None


class Placed(Struct, frozen=True, kw_only=True):
    """A domain's controllers and disks, those that libvirt adds among them."""

    controllers: tuple[Controller, ...]
    """Those for disks, by type and index."""
    places: tuple[Place, ...]
    hubs: int = 0
    """Hubs of USB that libvirt adds."""
    by_index: Mapping[tuple[str, int], Controller] = field(default_factory=dict)
    """The controllers by type and index."""
    by_target: Mapping[str, Place] = field(default_factory=dict)
    """The disks by target, without those that share one."""

    def find_controller(self, kind: str, index: int) -> Controller | None:
        """Returns a controller by its type and index."""
        return self.by_index.get((kind, index))


def is_q35(domain: Domain) -> bool:
    """Returns whether a domain is a PC with PCI Express."""
    return "q35" in domain.machine


def find_pci(domain: Domain, pci: tuple[int, int, int] | None) -> PciAddress | None:
    """Returns the place of a PCI bus, slot and function; None for none."""
    if pci is None:
        return None
    bus = "pcie.0" if is_q35(domain) and pci[0] == 0 else f"pci.{pci[0]}"
    return PciAddress(bus=bus, slot=pci[1], function=pci[2])


def is_built_in(domain: Domain, controller: Controller) -> bool:
    """Returns whether the machine brings a controller, so that no option makes it."""
    if controller.index:
        return False
    if controller.type == "sata":
        return is_q35(domain)
    return controller.type in {"ide", "fdc"} and not is_q35(domain)


def find_scsi_driver(controller: Controller) -> str:
    """Returns QEMU's device of a SCSI controller; empty for a model that vmio does not know."""
    return _SCSI_DRIVERS.get(controller.model, "")


def name_controller(controller: Controller) -> str:
    """Returns a controller's id in QEMU, which libvirt makes of its type and index."""
    if controller.alias:
        return controller.alias
    if controller.type == "usb" and not controller.index:
        return "usb"
    return f"{controller.type}{controller.index}"


def place_disks(domain: Domain) -> Placed:
    """Returns a domain with what libvirt fills in."""
    drives = [*map(_find_drive, domain.disks)]
    controllers = _complete_controllers(domain, drives)
    by_key = {(each.type, each.index): each for each in controllers if not each.is_companion}
    ports, hubs = _assign_ports(domain, controllers)
    order = _number_boot(domain)
    places = tuple(
        Place(
            disk=disk,
            name=disk.alias or _name_disk(disk, drives[position], by_key),
            drive=drives[position],
            usb=ports.get(position),
            bootindex=order.get(position),
        )
        for position, disk in enumerate(domain.disks)
    )
    counts = Counter(disk.target for disk in domain.disks)
    return Placed(
        controllers=controllers,
        places=places,
        hubs=hubs,
        by_index=by_key,
        by_target={place.disk.target: place for place in places if counts[place.disk.target] == 1},
    )


def _find_drive(disk: Disk) -> DriveAddress | None:
    """Returns a disk's place on its controller, which its target decides where none is written."""
    size = PER_CONTROLLER.get(disk.bus)
    if size is None:
        return None
    if disk.drive is not None:
        return disk.drive
    controller, rest = divmod(disk.index, size)
    if disk.bus == "ide":
        return DriveAddress(controller=controller, bus=rest // 2, unit=rest % 2)
    return DriveAddress(controller=controller, unit=rest)


def _complete_controllers(
    domain: Domain, drives: Sequence[DriveAddress | None]
) -> tuple[Controller, ...]:
    """Returns the controllers for disks, those added that are missing below the last of a disk."""
    default = "lsilogic" if domain.arch in {"x86_64", "i686"} else "virtio-scsi"
    found: list[Controller] = []
    for kind in ("usb", "scsi", "ide", "sata", "fdc"):
        written = [each for each in domain.controllers if each.type == kind]
        known = {each.index for each in written}
        needed: set[int] = set()
        for disk, drive in zip(domain.disks, drives, strict=True):
            if disk.bus == kind and drive is not None:
                needed.add(drive.controller)
            elif disk.bus == kind == "usb":
                needed.add((disk.usb.bus if disk.usb is not None else None) or 0)
        missing = set(range(max(needed, default=-1) + 1)) - known
        written += (Controller(type=kind, index=index) for index in missing)
        for each in sorted(written, key=lambda each: each.index):
            if kind == "scsi" and each.model in {"", "auto"}:
                each = replace(each, model=default)  # noqa: PLW2901 - the same, filled in
            elif kind == "usb" and not each.model:
                each = replace(each, model=_choose_usb(domain, each))  # noqa: PLW2901 - as above
            found.append(each)
    return tuple(found)


def _choose_usb(domain: Domain, controller: Controller) -> str:
    is_pc = domain.arch in {"x86_64", "i686"}
    added = controller.span is None
    return "piix3-uhci" if is_pc and not (added and is_q35(domain)) else "qemu-xhci"


def _name_disk(
    disk: Disk, drive: DriveAddress | None, controllers: Mapping[tuple[str, int], Controller]
) -> str:
    if drive is None:
        return f"{disk.bus}-disk{disk.index}"
    name = f"{disk.bus}{drive.controller}-{drive.bus}"
    controller = controllers.get((disk.bus, drive.controller))
    if disk.bus == "scsi" and controller is not None and controller.model != "lsilogic":
        return f"{name}-{drive.target}-{drive.unit}"
    return f"{name}-{drive.unit}"


def _number_boot(domain: Domain) -> Mapping[int, int]:
    """Returns the numbers that say in which order disks are booted from, by their position."""
    if domain.boot.by_device:
        return {
            position: disk.boot_order
            for position, disk in enumerate(domain.disks)
            if disk.boot_order is not None
        }
    found: dict[int, int] = {}
    for order, name in enumerate(domain.boot.devices, 1):
        devices = {"hd": {"disk", "lun"}, "cdrom": {"cdrom"}, "fd": {"floppy"}}.get(name, set())
        first = next(
            (place for place, disk in enumerate(domain.disks) if disk.device in devices), None
        )
        if first is not None:
            found[first] = order
    return found


# Ports of USB


class _Ports:
    """The ports of a controller or a hub, and the hubs in them."""

    def __init__(self, count: int, path: str = "") -> None:
        self.count = count
        self.path = path
        self.taken: set[int] = set()
        self.hubs: dict[int, _Ports] = {}

    def take(self) -> tuple[_Ports, int] | None:
        """Takes the lowest free port, of this one before those of its hubs."""
        for number in range(1, self.count + 1):
            if number not in self.taken:
                self.taken.add(number)
                return self, number
        for _, hub in sorted(self.hubs.items()):
            found = hub.take()
            if found is not None:
                return found
        return None

    def find(self, port: str) -> tuple[_Ports, int] | None:
        """Returns where a written port is."""
        here: _Ports | None = self
        *above, last = map(int, port.split("."))
        for number in above:
            here = here.hubs.get(number) if here is not None else None
        return (here, last) if here is not None and 1 <= last <= here.count else None


def _assign_ports(
    domain: Domain, controllers: Sequence[Controller]
) -> tuple[Mapping[int, UsbAddress], int]:
    """Returns the ports of disks by position, and how many hubs are added for them."""
    wanted = [(place, disk.usb) for place, disk in enumerate(domain.disks) if disk.bus == "usb"]
    if not wanted:
        return {}, 0
    buses = {
        each.index: _Ports(_count_ports(each))
        for each in controllers
        if each.type == "usb" and not each.is_companion and each.model != "none"
    }
    others = [each for each in domain.usb_devices if each.kind != "hub"]
    hubs = [each for each in domain.usb_devices if each.kind == "hub"]
    free = sum(each.count for each in buses.values()) + _HUB_PORTS * len(hubs)
    count = len(wanted) + len(others)
    added = (count - free + 1 + _HUB_PORTS - 2) // (_HUB_PORTS - 1) if count > free else 0
    for device in sorted(
        hubs, key=lambda each: len(each.address.port if each.address else "9" * 9)
    ):
        _add_hub(buses, device.address)
    for device in others:
        _reserve(buses, device.address)
    for _, address in wanted:
        _reserve(buses, address)
    for _ in range(added):
        _add_hub(buses, None)
    _assign(buses, (each for each in others if each.kind == "before"))
    found: dict[int, UsbAddress] = {}
    for place, address in wanted:
        if address is not None and address.port:
            bus = buses.get(address.bus or 0)
            is_found = bus is not None and bus.find(address.port) is not None
            found[place] = UsbAddress(bus=address.bus or 0, port=address.port, is_found=is_found)
            continue
        taken = _take(buses, address.bus if address is not None else None)
        if taken is not None:
            found[place] = taken
    return found, added


def _count_ports(controller: Controller) -> int:
    ports = controller.driver.get("ports")
    if ports is not None and controller.model in {"nec-xhci", "qemu-xhci"}:
        return min(int(ports), 15)
    return _USB_PORTS.get(controller.model, 2)


def _assign(buses: Mapping[int, _Ports], devices: Iterator[UsbDevice]) -> None:
    for device in devices:
        if device.address is None or not device.address.port:
            _take(buses, device.address.bus if device.address is not None else None)


def _take(buses: Mapping[int, _Ports], bus: int | None) -> UsbAddress | None:
    for index in sorted(buses) if bus is None else [bus]:
        found = buses[index].take() if index in buses else None
        if found is not None:
            ports, number = found
            return UsbAddress(bus=index, port=f"{ports.path}{number}")
    return None


def _reserve(buses: Mapping[int, _Ports], address: UsbAddress | None) -> None:
    if address is not None and address.port and (address.bus or 0) in buses:
        found = buses[address.bus or 0].find(address.port)
        if found is not None:
            found[0].taken.add(found[1])


def _add_hub(buses: Mapping[int, _Ports], address: UsbAddress | None) -> None:
    if address is not None and address.port:
        bus = buses.get(address.bus or 0)
        found = bus.find(address.port) if bus is not None else None
    else:
        taken = _take(buses, None)
        found = buses[taken.bus or 0].find(taken.port) if taken is not None else None
    if found is not None and found[0].path.count(".") < _MAX_HUBS:
        ports, number = found
        ports.taken.add(number)
        ports.hubs[number] = _Ports(_HUB_PORTS, f"{ports.path}{number}.")
