"""Why a person has to make a change of a domain.

Only a disk on virtio-scsi shows that its guest has the driver; libvirt itself drops without a word
what it is too old for, and what `<qemu:commandline>` names has to keep its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from vmio.formats.libvirt.domain import Controller
from vmio.formats.libvirt.guest import LibvirtGuest
from vmio.formats.libvirt.places import Place, name_controller
from vmio.formats.libvirt.versions import Feature, has_feature
from vmio.formats.libvirt.xml import Element, parse_xml
from vmio.model.host import parse_processors
from vmio.model.plan import Change, Obstacle
from vmio.model.source import Source

__all__ = ["find_obstacle", "find_place", "find_scsi", "is_held", "list_crowded"]

_OF_QEMU: Final = ("qemu:commandline", "qemu:override")
_MOST_WORDS: Final = 65_536
"""Characters of QEMU's own options that are searched for names; of more, any could be there."""
_MACOS = re.compile(r"isa-applesmc|\bosk=", re.ASCII)
"""What only a macOS guest has among QEMU's own options: Apple's SMC with its key."""
_OF_DRIVER: Final = frozenset({"aio", "cache", "detect_zeroes", "discard", "werror"})
_ROTATING: Final = frozenset({"ide", "sata", "scsi"})
"""The buses whose disks say how fast they turn."""
_THREAD = re.compile(r"vmio\d{1,3}", re.ASCII)


def find_obstacle(guest: LibvirtGuest, change: Change) -> Obstacle:
    """Returns why a person has to make a change; empty if vmio can make it without harm."""
    match change.property:
        case "controllers":
            return _find_obstacle_of_controllers(guest)
        case "poll_max_ns":
            can_say = has_feature(guest.version, "poll") and (
                _is_thread(guest, change.subject) or _THREAD.fullmatch(change.subject)
            )
            return "" if can_say else "unsayable"
        case "affinity":
            is_pin = _is_thread(guest, change.subject) and parse_processors(change.new or "")
            return "" if is_pin else "choice"
        case _:
            place = find_place(guest, change.subject)
            return "unsayable" if place is None else _find_obstacle_of_disk(guest, place, change)


def _is_thread(guest: LibvirtGuest, name: str) -> bool:
    return any(thread.id == name for thread in guest.vm.iothreads)


def _find_obstacle_of_disk(guest: LibvirtGuest, place: Place, change: Change) -> Obstacle:
    bus = place.disk.bus
    match change.property:
        case "bus":
            return "macos" if _is_macos(guest) else "driver"
        case "iothread":
            return "" if change.new is None else _find_obstacle_of_thread(guest, place)
        case "iothread_vq_mapping":
            feature: Feature = "blk-mapping" if bus == "virtio" else "scsi-mapping"
            if change.new is None or has_feature(guest.version, feature):
                return _find_obstacle_of_thread(guest, place)
            return "unsayable"
        case "queues":
            controller = find_scsi(guest, place)
            can_say = bus == "virtio" or controller is not None
            if place.disk.mapping or (controller is not None and controller.mapping):
                return "choice"  # their number has to suit that of the threads
        case "ssd":
            can_say = bus in _ROTATING and not place.disk.is_removable_medium
        case "serial":
            can_say = place.disk.device != "lun"
        case _:
            can_say = change.property in _OF_DRIVER
    return "" if can_say else "unsayable"


def find_place(guest: LibvirtGuest, target: str) -> Place | None:
    """Returns the disk of a target; None if there is none, or several have that target."""
    return guest.placed.by_target.get(target)


def find_scsi(guest: LibvirtGuest, place: Place) -> Controller | None:
    """Returns the virtio-scsi controller of a disk; None if it is on none."""
    if place.disk.bus != "scsi" or place.drive is None:
        return None
    found = guest.placed.find_controller("scsi", place.drive.controller)
    return found if found is not None and found.is_virtio else None


def list_crowded(guest: LibvirtGuest) -> Iterator[tuple[Controller, tuple[Place, ...]]]:
    """Yields the virtio-scsi controllers that a disk shares with other drives, and these.

    The first of the drives is the disk that can stay.
    """
    data = {disk.id for disk in guest.vm.disks if disk.keeps_data}
    by_index: dict[int, list[Place]] = {}
    for place in guest.placed.places:
        controller = find_scsi(guest, place)
        if controller is not None:
            by_index.setdefault(controller.index, []).append(place)
    for index, places in by_index.items():
        controller = guest.placed.find_controller("scsi", index)
        disks = [place for place in places if place.disk.target in data]
        if controller is not None and disks and len(places) > 1:
            rest = (place for place in places if place is not disks[0])
            yield controller, (disks[0], *rest)


def is_held(guest: LibvirtGuest, place: Place) -> bool:
    """Returns whether QEMU's own options in the domain name a disk or its controller."""
    words = _find_words(guest)
    if not words or len(words) > _MOST_WORDS:
        return bool(words)
    names = {place.name}
    controller = find_scsi(guest, place)
    if controller is not None:
        names.add(name_controller(controller))
    return any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", words) for name in names)


def _find_words(guest: LibvirtGuest) -> str:
    """Returns QEMU's own options in a domain, a line each; mostly there are none."""
    # What a reader has found unread is the cheaper question.
    return _read_words(guest.vm.source) if guest.domain.unreadable else ""


@lru_cache(maxsize=4)
def _read_words(source: Source) -> str:
    root = parse_xml(source)
    elements = (child for child in root.children if child.name in _OF_QEMU)
    return "\n".join(value for element in elements for value in _list_values(element))


def _list_values(element: Element) -> Iterator[str]:
    yield from element.attributes.values()
    for child in element.children:
        yield from _list_values(child)


def _is_macos(guest: LibvirtGuest) -> bool:
    return _MACOS.search(_find_words(guest)) is not None


def _find_obstacle_of_controllers(guest: LibvirtGuest) -> Obstacle:
    if not any(each.is_virtio for each in guest.placed.controllers):
        return "macos" if _is_macos(guest) else "driver"
    crowded = tuple(list_crowded(guest))
    if crowded and all(any(is_held(guest, each) for each in places) for _, places in crowded):
        return "args"
    return ""


def _find_obstacle_of_thread(guest: LibvirtGuest, place: Place) -> Obstacle:
    disk = place.disk
    is_virtio = disk.bus == "virtio" and disk.image.kind != "vhostuser"
    controller = find_scsi(guest, place)
    if not is_virtio and controller is None:
        return "driver"
    if is_held(guest, place):
        return "args"
    driver = controller.driver if controller is not None else disk.driver
    # Source: libvirt 11.3.0 and QEMU 10.0.2, run: libvirt takes it, and QEMU does not start.
    if driver.get("ioeventfd") == "off":
        return "unsayable"
    # libvirt gives no thread to a device of virtio-mmio.
    has_place = disk.address_type != "other" or guest.domain.arch.startswith("s390")
    return "" if has_place or disk.bus == "scsi" else "unsayable"
