"""The places of a QEMU command line's devices: controllers, their buses, and disks on them.

Source: QEMU 10.0.2, run: a device that names no bus is on the newest one of its kind that has
a free place; buses of devices without an id are numbered, those of the machine first; devices in
JSON are created after all others.
"""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from msgspec import Struct, field

from vmio.formats.qemu.argv import read_mapping
from vmio.formats.qemu.blocks import Blocks, Medium, name_cache, to_bool
from vmio.model.controller import Controller, PciAddress
from vmio.model.disk import FILE_DRIVERS, Backing, BusKind, Disk, Media
from vmio.model.machine import Chipset
from vmio.model.option import Option
from vmio.model.source import Problem, Span, Where
from vmio.model.topology import AttachedDisk, Effect, Topology
from vmio.values import replace

__all__ = [
    "Attachments",
    "attach_devices",
    "is_storage_device",
    "lacks_ioeventfd",
    "read_number",
    "read_pci_address",
    "read_pci_bus",
]

_HBA = re.compile(
    r"virtio-scsi(?:-(?:pci|ccw|device)(?:-non-transitional|-transitional)?)?|lsi(?:53c8\w+)?"
    r"|megasas(?:-gen2)?|mptsas1068|pvscsi|am53c974|dc390|spapr-vscsi|usb-uas|usb-bot",
    re.ASCII,
)
_BLK = re.compile(
    r"virtio-blk(?:-(?:pci|ccw|device)(?:-non-transitional|-transitional)?)?", re.ASCII
)
_ATA: Mapping[str, tuple[int, int]] = {
    # buses, devices on each
    "ahci": (6, 1),
    "ich9-ahci": (6, 1),
    "piix3-ide": (2, 2),
    "piix4-ide": (2, 2),
    "via-ide": (2, 2),
    "cmd646-ide": (2, 2),
    "isa-ide": (1, 2),
}
_OWN_CONTROLLER: Mapping[str, BusKind] = {"nvme": "nvme", "usb-storage": "usb"}
_OUTSIDE = re.compile(
    r"vhost-user-blk(?:-(?:pci|ccw)(?:-non-transitional|-transitional)?)?"
    r"|vhost-(?:user-)?scsi-(?:pci|ccw)(?:-non-transitional|-transitional)?",
    re.ASCII,
)
"""Devices whose queues another process or the host's kernel serves."""
_DISK = re.compile(r"scsi-(?:hd|cd|block|generic|disk)|ide-(?:hd|cd|cf|drive)", re.ASCII)
_FLOPPY = frozenset({"floppy", "isa-fdc"})
_SCSI_MAX = 1 << 14
_SLOT = re.compile(r"(?:0x)?([0-9a-f]{1,2})(?:\.(?:0x)?([0-7]))?", re.ASCII | re.IGNORECASE)
_NUMBER = re.compile(r"0x[0-9a-f]{1,8}|\d{1,9}", re.ASCII | re.IGNORECASE)
_IOEVENTFD = re.compile(r"virtio-(?:blk|ccw|mmio|pci|scsi)[a-z-]*\.ioeventfd", re.ASCII)
_ADDRESSED = re.compile(r".*-(?:ccw|device)|isa-ide|spapr-vscsi|usb-.*", re.ASCII)
"""Devices that are not on a PCI bus."""
_FAMILIES = {
    "virtio-blk": ("virtio-blk-device", "virtio-blk-pci"),
    "virtio-scsi": ("virtio-scsi-common", "virtio-scsi-device", "virtio-scsi-pci"),
}
"""Types whose `-global` defaults apply to the devices of a family."""

Address = tuple[tuple[str, str | int], ...]


def is_storage_device(kind: str) -> bool:
    """Returns whether a device is a disk or a controller for disks, by QEMU's name for it."""
    patterns = (_HBA, _BLK, _OUTSIDE, _DISK)
    is_named = kind in _ATA or kind in _OWN_CONTROLLER or kind in _FLOPPY
    return is_named or any(pattern.fullmatch(kind) for pattern in patterns)


class Attachments(Struct, frozen=True, kw_only=True):
    """The storage devices of a command line."""

    controllers: tuple[Controller, ...]
    disks: tuple[AttachedDisk, ...]
    problems: tuple[Problem, ...]


class _Users(Struct):
    """The devices that have opened a node or a file and restrict others."""

    writer: str = ""
    """The device that writes."""
    keeper: str = ""
    """The device that lets no other write."""


class _Bus(Struct):
    """A bus for disks, and its occupied places."""

    name: str
    kind: Literal["scsi", "ide"]
    controller: Controller
    room: int
    """Units of an IDE bus; targets of a SCSI bus."""
    taken: set[tuple[int, ...]] = field(default_factory=set)
    next: dict[tuple[int | None, ...], int] = field(default_factory=dict)
    """The next number to try, by the configured part of a place."""


def attach_devices(
    options: Sequence[Option],
    blocks: Blocks,
    *,
    chipset: Chipset,
    arch: str,
    made: Topology | None = None,
    held: Mapping[str, str] | None = None,
) -> Attachments:
    """Returns the storage controllers and disks that the options of a command line create.

    Args:
        options: All of them, in their order.
        blocks: The media that they open.
        chipset: The machine's chipset.
        arch: The guest's architecture.
        made: What a manager creates beside the options; none of it is returned.
        held: The manager's drives, each with the device that uses it, or no device if others can
            use it.
    """
    board = _Board(
        blocks=blocks,
        chipset=chipset,
        arch=arch,
        defaults=_read_globals(options),
        sockets={option.id: option for option in options if option.name == "chardev"},
        held=held or {},
    )
    board.build_in(chipset, arch)
    if made is not None:
        board.take_over(made)
    for drive in blocks.drives:
        board.place_drive(drive)
    devices = [option for option in options if option.name == "device"]
    for option in devices:
        if option.spans:
            board.add(option)
    for drive in blocks.drives:
        if drive.interface == "virtio":
            model = "virtio-blk-ccw" if arch == "s390x" else "virtio-blk-pci"
            board.add(
                Option(
                    name="drive",
                    kind=model,
                    properties={"driver": model, "drive": drive.name},
                    where=Where(span=drive.option.span),
                )
            )
    for option in devices:
        if not option.spans:
            board.add(option)
    return Attachments(
        controllers=tuple(
            each for name, each in board.controllers.items() if name not in board.foreign
        ),
        disks=tuple(board.disks),
        problems=tuple(board.problems),
    )


def lacks_ioeventfd(options: Iterable[Option], properties: Mapping[str, str]) -> bool:
    """Returns whether a virtio device cannot have an IOThread because its ioeventfd is off.

    Source: QEMU 10.0.2, run: 'ioeventfd is required for iothread', and QEMU ends.

    Args:
        options: All options of the command line.
        properties: The device's own properties.
    """
    if "ioeventfd" in properties:
        return to_bool(properties["ioeventfd"]) is False
    return any(
        _IOEVENTFD.fullmatch(key) and to_bool(value) is False
        for option in options
        if option.name == "global"
        for key, value in option.properties.items()
    )


def _read_globals(options: Sequence[Option]) -> Mapping[str, dict[str, str]]:
    defaults: dict[str, dict[str, str]] = {}
    for option in options:
        if option.name == "global":
            for key, value in option.properties.items():
                driver, dot, name = key.partition(".")
                if dot:
                    defaults.setdefault(driver, {})[name] = value
    return defaults


class _Board(Struct):
    """A machine while its devices are added."""

    blocks: Blocks
    chipset: Chipset
    arch: str
    defaults: Mapping[str, dict[str, str]]
    sockets: Mapping[str, Option]
    """Character devices by their ids."""
    held: Mapping[str, str]
    """The manager's drives, with the devices that use them."""
    foreign: set[str] = field(default_factory=set)
    """Controllers that a manager creates, not the options."""
    controllers: dict[str, Controller] = field(default_factory=dict)
    disks: list[AttachedDisk] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    _buses: dict[str, _Bus] = field(default_factory=dict)
    _numbers: dict[str, int] = field(default_factory=dict)
    _nameless: int = 0
    _names: set[str] = field(default_factory=set)
    _drives: dict[str, str] = field(default_factory=dict)
    """The device that uses each drive, by the drive's name."""
    _users: dict[str, _Users] = field(default_factory=dict)
    """The users of each block node, and of each file."""
    _said: set[tuple[str, str, Span]] = field(default_factory=set)

    def build_in(self, chipset: Chipset, arch: str) -> None:
        """Puts the buses on it that a machine makes: a PC's IDE, and the SCSI of a pseries."""
        if arch == "ppc64" and any(drive.interface == "scsi" for drive in self.blocks.drives):
            vscsi = Controller(id="scsi", model="spapr-vscsi", bus="scsi", built_in=True)
            self._add_bus("scsi.0", "scsi", vscsi, _SCSI_MAX)
            self._numbers["scsi"] = 1
        if arch not in {"x86_64", "i386"} or chipset == "virt":
            return
        model, count, room = ("ich9-ahci", 6, 1) if chipset == "q35" else ("piix3-ide", 2, 2)
        controller = Controller(id="ide", model=model, bus="ide", built_in=True)
        for number in range(count):
            self._add_bus(f"ide.{number}", "ide", controller, room)
        self._numbers["ide"] = count

    def take_over(self, made: Topology) -> None:
        """Adds what a manager creates: controllers with their buses, and disks."""
        for controller in made.controllers:
            self.controllers.setdefault(controller.id, controller)
            self.foreign.add(controller.id)
            match controller.bus:
                case "scsi":
                    self._add_bus(f"{controller.id}.0", "scsi", controller, _SCSI_MAX)
                case "sata":
                    for number in range(_ATA["ahci"][0]):
                        self._add_bus(f"{controller.id}.{number}", "ide", controller, 1)
                case _:
                    pass
        for attached in made.disks:
            self._names.add(attached.disk.id)
            backing = attached.disk.backing
            if backing is not None and backing.driver in FILE_DRIVERS and not backing.error:
                writes = not (attached.read_only or attached.disk.snapshot)
                name = attached.disk.id
                self._use(f"file '{backing.filename}'", name, writes=writes, shares=False)
            address = dict(attached.address)
            bus = self._buses.get(str(address.get("bus", "")))
            if bus is not None:
                keys = ("unit",) if bus.kind == "ide" else ("channel", "scsi-id", "lun")
                bus.taken.add(tuple(int(address.get(key, 0)) for key in keys))

    def place_drive(self, drive: Medium) -> None:
        """Creates the device of a `-drive if=ide`, or reports that the machine has no place."""
        self._refuse_medium(drive)
        if drive.interface == "scsi" and (vscsi := self._buses.get("scsi.0")) is not None:
            self._place_scsi_drive(drive, vscsi)
        elif drive.interface == "scsi" and self.arch in _WITHOUT_SCSI:
            self._refuse(drive.option, drive.name, "this machine creates no device for if=scsi")
        if drive.interface == "ide":
            self._place_ide_drive(drive)

    def _place_scsi_drive(self, drive: Medium, bus: _Bus) -> None:
        """Makes the device of a `-drive if=scsi`, whose unit is its number on the bus."""
        unit = drive.place[1]
        if unit is None:
            unit = next(each for each in range(bus.room) if (0, each, 0) not in bus.taken)
        bus.taken.add((0, unit, 0))
        kind = "cd" if drive.media == "cdrom" else "hd"
        option = Option(
            name="drive",
            id=drive.option.properties.get("id") or f"scsi0-{kind}{unit}",
            kind=f"scsi-{kind}",
            properties={"drive": drive.name},
            where=Where(span=drive.option.span),
        )
        address = (("bus", bus.name), ("channel", 0), ("scsi-id", unit), ("lun", 0))
        self._attach(option, option.properties, bus, address)

    def _place_ide_drive(self, drive: Medium) -> None:
        buses = [bus for bus in self._buses.values() if bus.controller.built_in]
        places = [(bus, unit) for bus in buses for unit in range(bus.room)]
        number, unit = drive.place
        if number is None and unit is not None:
            chosen = places[unit : unit + 1]
        elif number is None:
            chosen = [(bus, each) for bus, each in places if (each,) not in bus.taken]
        else:
            chosen = (
                [place for place in places if place == (buses[number], unit or 0)]
                if (number < len(buses))
                else []
            )
        if not chosen or (chosen[0][1],) in chosen[0][0].taken:
            self._refuse(drive.option, drive.name, "this machine has no place for it")
            return
        bus, unit = chosen[0]
        bus.taken.add((unit,))
        kind = "cd" if drive.media == "cdrom" else "hd"
        name = f"ide{buses.index(bus)}-{kind}{unit}"
        option = Option(
            name="drive",
            id=drive.option.properties.get("id") or name,
            kind=f"ide-{kind}",
            properties={"drive": drive.name},
            where=Where(span=drive.option.span),
        )
        self._attach(option, option.properties, bus, (("bus", bus.name), ("unit", unit)))

    def add(self, option: Option) -> None:
        """Adds a device in its place."""
        kind = option.kind
        identity = option.id
        if not identity:
            identity = f"peripheral-anon/device[{self._nameless}]"
            self._nameless += 1
        own = self._with_defaults(option)
        if _HBA.fullmatch(kind):
            controller = self._make_controller(identity, option, own, "scsi")
            self._add_buses(option, "scsi", controller, 1, _SCSI_MAX)
        elif kind in _ATA:
            bus: BusKind = "sata" if kind.endswith("ahci") else "ide"
            controller = self._make_controller(identity, option, own, bus)
            self._add_buses(option, "ide", controller, *_ATA[kind])
        elif _BLK.fullmatch(kind):
            self._attach_to_itself(identity, option, own, "virtio")
        elif kind == "nvme" and "drive" not in own:
            self._make_controller(identity, option, own, "nvme")
        elif kind in _OWN_CONTROLLER:
            self._attach_to_itself(identity, option, own, _OWN_CONTROLLER[kind])
        elif kind == "nvme-ns":
            self._attach_namespace(option, own)
        elif _DISK.fullmatch(kind):
            self._attach_to_bus(option, own)
        else:
            self._add_other(identity, option, own)

    def _add_other(self, identity: str, option: Option, own: Mapping[str, str]) -> None:
        """Adds a device of another kind; of an unknown one only the drive is checked."""
        if _OUTSIDE.fullmatch(option.kind):
            self._attach_outside(identity, option, own)
        elif "drive" in own:
            self._find_medium(option, own)

    def _add_buses(
        self,
        option: Option,
        kind: Literal["scsi", "ide"],
        controller: Controller,
        count: int,
        room: int,
    ) -> None:
        first = 0 if option.id else self._numbers.get(kind, 0)
        for number in range(first, first + count):
            self._add_bus(f"{option.id or kind}.{number}", kind, controller, room)
        if not option.id:
            self._numbers[kind] = first + count

    def _add_bus(
        self, name: str, kind: Literal["scsi", "ide"], controller: Controller, room: int
    ) -> None:
        self._buses[name] = _Bus(name, kind, controller, room)

    def _with_defaults(self, option: Option) -> Mapping[str, str]:
        """Returns a device's properties, those of `-global` where it has none of its own."""
        if not self.defaults:
            return option.properties
        family = re.match(r"virtio-(?:blk|scsi)", option.kind)
        types = (*_FAMILIES.get(family[0] if family else "", ()), option.kind)
        known = (self.defaults[kind] for kind in reversed(types) if kind in self.defaults)
        # Not one mapping of all: there may be many of them, and many devices.
        return ChainMap(dict(option.properties), *known)

    def _make_controller(
        self, identity: str, option: Option, own: Mapping[str, str], bus: BusKind
    ) -> Controller:
        model = option.kind
        if model in {"virtio-blk", "virtio-scsi"}:
            model += "-ccw" if self.arch == "s390x" else "-pci"
        is_pci = _ADDRESSED.fullmatch(model) is None
        queues = own.get("num_queues" if model.startswith("virtio-scsi") else "num-queues")
        controller = Controller(
            id=identity,
            model=model,
            bus=bus,
            pci=read_pci_address(own, self.chipset) if is_pci else None,
            pci_bus=read_pci_bus(own) if is_pci else "",
            num_queues=read_number(queues) or None,
        )
        if controller.takes_iothread:
            if controller.num_queues is None and "-pci" not in model:
                controller = replace(controller, num_queues=1)
            controller = replace(
                controller,
                iothread=own.get("iothread") or None,
                iothread_vq_mapping=read_mapping(option),
            )
        elif "iothread" in own and bus not in {"ide", "sata"}:
            self._refuse(option, identity, f"{model} has no property iothread", key="iothread")
        self.controllers[identity] = controller
        return controller

    def _attach_to_itself(
        self, identity: str, option: Option, own: Mapping[str, str], bus: BusKind
    ) -> None:
        """Attaches a disk that is its own controller."""
        controller = self._make_controller(identity, option, own, bus)
        self._attach(
            option,
            own,
            _Bus(name="", kind="scsi", controller=controller, room=1),
            (),
            identity=identity,
        )

    def _attach_outside(self, identity: str, option: Option, own: Mapping[str, str]) -> None:
        """Attaches a device that QEMU hands over to another process, or to the host's kernel.

        Only they know the disks behind a SCSI device of this kind: the device stands for them.
        """
        bus: BusKind = "virtio" if "-blk" in option.kind else "scsi"
        controller = self._make_controller(identity, option, own, bus)
        name = own.get("wwpn", "")
        if controller.model.startswith("vhost-user-"):
            socket = self.sockets.get(own.get("chardev", ""))
            if socket is None:
                said = f"there is no chardev '{own.get('chardev', '')}'"
                self._report(option, option.id, said, kind="missing-reference", key="chardev")
            else:
                host, port = (socket.properties.get(key, "") for key in ("host", "port"))
                name = socket.properties.get("path") or ":".join(filter(None, (host, port)))
        disk = Disk(
            id=self._name_disk(option, own, identity),
            bus=bus,
            index=len(self.disks),
            volume=name,
            backing=Backing(filename=name, format="", driver=controller.model),
            queues=controller.num_queues,
            bootindex=read_number(own.get("bootindex")),
            where=Where(span=option.span, spans=_list_spans(option)),
        )
        self.disks.append(
            AttachedDisk(disk=disk, controller=controller.id, driver=controller.model)
        )

    def _attach_namespace(self, option: Option, own: Mapping[str, str]) -> None:
        wanted = own.get("bus", "")
        known = (
            reversed(self.controllers.values()) if not wanted else (self.controllers.get(wanted),)
        )
        found = next((each for each in known if each is not None and each.model == "nvme"), None)
        if found is None:
            self._report(
                option, option.id, f"there is no nvme '{wanted}'", kind="missing-reference"
            )
            return
        bus = _Bus(name=found.id, kind="scsi", controller=found, room=256)
        address: Address = tuple(("nsid", own[key]) for key in ("nsid",) if key in own)
        self._attach(option, own, bus, (("bus", found.id), *address))

    def _attach_to_bus(self, option: Option, own: Mapping[str, str]) -> None:
        kind: Literal["scsi", "ide"] = "scsi" if option.kind.startswith("scsi") else "ide"
        bus = self._find_bus(option, kind, own.get("bus"))
        address = _place_scsi(bus, own) if kind == "scsi" else _place_ata(bus, own)
        if address is None:
            self._refuse(option, option.id, f"its place on {bus.name} is taken or does not exist")
            address = ()
        if kind == "scsi" and "iothread" in own:
            said = f"{option.kind} has no property iothread: only its controller has it"
            self._refuse(option, option.id, said, key="iothread")
        self._attach(option, own, bus, (("bus", bus.name), *address))

    def _find_bus(self, option: Option, kind: Literal["scsi", "ide"], name: str | None) -> _Bus:
        if name is not None:
            if name in self._buses and self._buses[name].kind == kind:
                return self._buses[name]
            said = f"there is no {kind} bus '{name}'"
            above = self.controllers.get(name.rpartition(".")[0])
            if above is not None and above.served_outside:
                said += f": QEMU serves no disk behind a {above.model}"
        else:
            newest: _Bus | None = None
            for bus in reversed(self._buses.values()):
                if bus.kind == kind and len(bus.taken) < bus.room:
                    return bus
                newest = newest or (bus if bus.kind == kind else None)
            if newest is not None:
                return newest
            name, said = f"{kind}.0", f"there is no {kind} bus"
        self._report(option, option.id, said, kind="missing-reference", key="bus")
        identity = name.rpartition(".")[0] or name
        controller = self.controllers.get(identity) or Controller(
            id=identity, model="unknown", bus=kind
        )
        self.controllers.setdefault(identity, controller)
        bus = _Bus(name=name, kind=kind, controller=controller, room=_SCSI_MAX)
        self._buses.setdefault(name, bus)
        return bus

    def _attach(
        self,
        option: Option,
        own: Mapping[str, str],
        bus: _Bus,
        address: Address,
        *,
        identity: str = "",
    ) -> None:
        medium = self._find_medium(option, own)
        is_cdrom = option.kind.endswith("-cd") or (medium is not None and medium.media == "cdrom")
        name = self._name_disk(option, own, identity)
        digits = re.search(r"\d{1,6}\Z", name, re.ASCII)
        controller = self.controllers.setdefault(bus.controller.id, bus.controller)
        disk = Disk(
            id=name,
            bus=controller.bus,
            index=int(digits[0]) if digits else len(self.disks),
            media="cdrom" if is_cdrom else "disk",
            iothread_id=own.get("iothread") if controller.bus in _NAMES_ITS_OWN else None,
            iothread_vq_mapping=controller.iothread_vq_mapping if bus.name == "" else (),
            queues=controller.num_queues,
            bootindex=read_number(own.get("bootindex")),
            serial=own.get("serial"),
            wwn=own.get("wwn"),
            vendor=own.get("vendor"),
            product=own.get("product"),
            model=own.get("model"),
            rerror=own.get("rerror"),
            werror=own.get("werror"),
            ssd=own.get("rotation_rate") == "1",
            scsiblock=option.kind == "scsi-block",
            where=Where(span=option.span, spans=_list_spans(option)),
        )
        attached = AttachedDisk(
            disk=disk,
            controller=controller.id,
            address=address,
            driver=_name_driver(controller, option),
        )
        if medium is not None:
            attached = _insert(attached, medium)
        self.disks.append(_set_write_cache(attached, to_bool(own.get("write-cache"))))

    def _find_medium(self, option: Option, own: Mapping[str, str]) -> Medium | None:
        name = own.get("drive", "")
        medium = self.blocks.media.get(name)
        if name in self.held and (medium is None or name == medium.name):
            if self.held[name]:
                said = f"the drive '{name}' is in use already, by {self.held[name]}"
                self._refuse(option, option.id, said, key="drive")
            return None
        if medium is not None:
            self._share(option, own, medium)
        if medium is None and (name or not option.kind.endswith("-cd")):
            said = f"there is no drive '{name}'" if name else f"{option.kind} has no drive"
            self._report(option, option.id, said, kind="missing-reference", key="drive")
        elif medium is not None and medium.option.name == "blockdev":
            self._refuse_medium(medium)
        return medium

    def _share(self, option: Option, own: Mapping[str, str], medium: Medium) -> None:
        """Gives a device its medium, or reports that another device uses it.

        Source: QEMU 10.0.2, run: only one device can use a -drive. Several devices can use a
        node or a locked file, as long as none writes to it or all others have share-rw=on.
        """
        name = own.get("drive", "")
        user = option.id or (f"-{option.name}" if option.name == "drive" else option.kind)
        if medium.option.name != "blockdev" and name == medium.name:
            if medium.interface in _MAKES_DEVICE and option.name == "device":
                said = (
                    f"the drive '{name}' has a device of its own already, of if="
                    f"{medium.interface}: write if=none"
                )
                self._refuse(option, option.id, said, key="drive")
                return
            if name in self._drives:
                said = f"the drive '{name}' is in use already, by {self._drives[name]}"
                self._refuse(option, option.id, said, key="drive")
                return
            self._drives[name] = user
        writes = not (medium.read_only or option.kind.endswith("-cd") or medium.media == "cdrom")
        shares = to_bool(own.get("share-rw")) is True
        things = [f"node '{node}'" for node in medium.nodes]
        if medium.locks and medium.backing is not None:
            things.append(f"file '{medium.backing.filename}'")
        for thing in things:
            reads = medium.snapshot and thing.startswith("file")
            other = self._use(thing, user, writes=writes and not reads, shares=shares)
            if other:
                said = f"the {thing} is in use already, by {other}, and both cannot write to it"
                self._refuse(option, option.id, said, key="drive")
                return

    def _use(self, thing: str, user: str, *, writes: bool, shares: bool) -> str:
        """Returns the device that keeps another from a node or file; empty if none does."""
        others = self._users.setdefault(thing, _Users())
        other = (others.keeper if writes else "") or (others.writer if not shares else "")
        if not other:
            others.writer = others.writer or (user if writes else "")
            others.keeper = others.keeper or ("" if shares else user)
        return other

    def _name_disk(self, option: Option, own: Mapping[str, str], identity: str) -> str:
        """Returns a device's id, or else its drive's id, which QEMU's lists have too."""
        path = identity or f"peripheral-anon/device[{self._nameless - 1}]"
        names = (option.id, own.get("drive", ""), path, f"{path}#{len(self.disks)}")
        chosen = next(name for name in names if name and name not in self._names)
        self._names.add(chosen)
        return chosen

    def _refuse_medium(self, medium: Medium) -> None:
        for key, said in medium.refused:
            self._refuse(medium.option, medium.name, said, key=key)

    def _refuse(self, option: Option, subject: str, said: str, *, key: str = "") -> None:
        self._report(option, subject, said, kind="refused-option", key=key)

    def _report(
        self, option: Option, subject: str, said: str, *, kind: str, key: str = ""
    ) -> None:
        span = option.spans.get(key, option.span) or Span(start=0, end=0)
        problem = Problem(kind=kind, message=said, span=span, subject=subject or option.kind)
        if (kind, said, span) not in self._said:
            self._said.add((kind, said, span))
            self.problems.append(problem)


_WITHOUT_SCSI = frozenset({"aarch64", "i386", "riscv64", "s390x", "x86_64"})
"""Architectures whose usual machines have no SCSI controller of their own."""
_MAKES_DEVICE = frozenset({"ide", "virtio"})
"""Interfaces of a `-drive` for which the machine creates a device."""

_NAMES_ITS_OWN = frozenset({"virtio", "ide", "sata"})
"""Buses whose disks can name an IOThread, or try to."""


def _name_driver(controller: Controller, option: Option) -> str:
    return controller.model if controller.bus == "virtio" else option.kind


def _insert(attached: AttachedDisk, medium: Medium) -> AttachedDisk:
    """Returns a disk with the medium that it refers to by `drive=`."""
    disk = attached.disk
    media: Media = "cdrom" if medium.media == "cdrom" else disk.media
    effects: tuple[Effect, ...] = ()
    if medium.discard_kept:
        reason = f"the node {medium.discard_kept} has no discard=unmap"
        effects = (Effect(setting="discard", value="", verdict="ignored", reason=reason),)
    return replace(
        attached,
        disk=replace(
            disk,
            volume=medium.backing.filename if medium.backing is not None else "",
            backing=medium.backing,
            media=media,
            cache=medium.cache,
            aio=medium.aio,
            discard=medium.discard,
            detect_zeroes=None if medium.detect_zeroes is None else medium.detect_zeroes != "off",
            read_only=medium.read_only,
            snapshot=medium.snapshot,
            rerror=disk.rerror or medium.rerror,
            werror=disk.werror or medium.werror,
            limits=medium.limits,
            where=Where(span=disk.span, spans={**medium.spans, **disk.spans}),
        ),
        cache=name_cache(
            direct=bool(medium.cache_direct),
            no_flush=bool(medium.cache_no_flush),
            writeback=medium.write_cache is not False,
        ),
        cache_direct=bool(medium.cache_direct),
        cache_no_flush=bool(medium.cache_no_flush),
        write_cache=medium.write_cache is not False,
        detect_zeroes=medium.detect_zeroes,
        effects=effects,
    )


def _set_write_cache(attached: AttachedDisk, written: bool | None) -> AttachedDisk:  # noqa: FBT001
    """Returns a disk with the write cache that its device configures, if it configures one."""
    if written is None or attached.cache_direct is None:
        return attached
    mode = name_cache(
        direct=attached.cache_direct,
        no_flush=bool(attached.cache_no_flush),
        writeback=written,
    )
    return replace(attached, write_cache=written, cache=mode)


def _list_spans(option: Option) -> Mapping[str, Span]:
    spans = {key.replace("-", "_"): span for key, span in option.spans.items()}
    if "num_queues" in spans:
        spans["queues"] = spans["num_queues"]
    return spans


def read_number(text: str | None) -> int | None:
    """Returns a property's number; None if it has none, or it is too long."""
    return (
        int(text, 0 if text[:2].lower() == "0x" else 10)
        if (text is not None and _NUMBER.fullmatch(text))
        else None
    )


def read_pci_address(own: Mapping[str, str], chipset: Chipset) -> PciAddress | None:
    """Returns the PCI address that a device's properties name; None if QEMU chooses it."""
    match = _SLOT.fullmatch(own.get("addr", ""))
    if match is None:
        return None
    root = "pci.0" if chipset == "i440fx" else "pcie.0"
    return PciAddress(
        bus=own.get("bus", root), slot=int(match[1], 16), function=int(match[2] or 0)
    )


def read_pci_bus(own: Mapping[str, str]) -> str:
    """Returns the PCI bus that a device's properties name without a slot; None if they do not."""
    return "" if _SLOT.fullmatch(own.get("addr", "")) else own.get("bus", "")


def _place_ata(bus: _Bus, own: Mapping[str, str]) -> Address | None:
    unit = read_number(own.get("unit"))
    if unit is None:
        unit = next((each for each in range(bus.room) if (each,) not in bus.taken), bus.room)
    if unit >= bus.room or (unit,) in bus.taken:
        return None
    bus.taken.add((unit,))
    return (("unit", unit),) if "unit" in own or bus.room > 1 else ()


def _place_scsi(bus: _Bus, own: Mapping[str, str]) -> Address | None:
    """Returns a SCSI disk's address: its configured parts, and those that QEMU chooses."""
    keys = [key for key in ("channel", "scsi-id", "lun") if key in own]
    written = {key: read_number(own[key]) for key in keys}
    channel, target, lun = (written.get(key) for key in ("channel", "scsi-id", "lun"))
    if target is not None and lun is not None:
        place = (channel or 0, target, lun)
        if place in bus.taken:
            return None
    else:
        place = _count_up(bus, channel or 0, target, lun)
    bus.taken.add(place)
    if keys:
        return tuple((key, number) for key, number in written.items() if number is not None)
    return (("channel", place[0]), ("scsi-id", place[1]), ("lun", place[2]))


def _count_up(
    bus: _Bus, channel: int, target: int | None, lun: int | None
) -> tuple[int, int, int]:
    """Returns the next free place: QEMU counts targets, and units only on a configured target."""
    wanted = (channel, target, lun)
    number = bus.next.get(wanted, 0)
    while True:
        place = (channel, number, lun or 0) if target is None else (channel, target, number)
        number += 1
        if place not in bus.taken:
            bus.next[wanted] = number
            return place
