"""Changes of the model as the settings of a domain that they come to.

A plan names the threads that disks share `vmio0`, `vmio1` …, and libvirt numbers them: each name
becomes the number of a thread that serves one of its disks already, of an idle one, or a new one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count
from typing import Final, Literal, NamedTuple

from msgspec import Struct

from vmio.errors import PlanError
from vmio.formats.libvirt.domain import Controller
from vmio.formats.libvirt.guest import LibvirtGuest
from vmio.formats.libvirt.obstacles import find_place, find_scsi, is_held, list_crowded
from vmio.formats.libvirt.places import Place
from vmio.formats.libvirt.reading import NUMBER
from vmio.formats.libvirt.xml import Element
from vmio.model.iothread import VirtqueueMapping
from vmio.model.plan import OWN, PER_DISK, Change

__all__ = ["Holder", "Settings", "choose_settings"]

_ATTRIBUTES: Final[Mapping[str, str]] = {
    "aio": "io",
    "cache": "cache",
    "detect_zeroes": "detect_zeroes",
    "discard": "discard",
    "werror": "error_policy",
}
_VALUES: Final[Mapping[tuple[str, str], str]] = {
    ("detect_zeroes", "0"): "off",
    ("detect_zeroes", "1"): "on",
    ("werror", "enospc"): "enospace",
}


class Holder(NamedTuple):
    """What has a `<driver>`: a disk by its target, or a SCSI controller by its index."""

    kind: Literal["disk", "controller"]
    name: str


class Settings(Struct, frozen=True, kw_only=True):
    """The settings of a domain that differ after changes."""

    threads: tuple[int, ...]
    """All threads after the changes, by number."""
    made: Mapping[int, int | None]
    """The indexes of new virtio-scsi controllers, each with that of the one it is a copy of; None
    for one that libvirt would add and that has to be written."""
    moved: Mapping[str, int]
    """The new controllers of disks, by target."""
    drivers: Mapping[Holder, Mapping[str, str | None]]
    """Attributes of drivers; None removes one."""
    mappings: Mapping[Holder, tuple[int, ...]]
    """The threads of each mapping of queues; without any, it is removed."""
    polls: Mapping[int, str | None]
    """The longest polling of threads, in nanoseconds."""
    pins: Mapping[int, str | None]
    """The processors of threads."""
    serials: Mapping[str, str | None]
    rotation_rates: Mapping[str, str | None]


class _Choice:
    """Settings while they are chosen."""

    def __init__(self, guest: LibvirtGuest, root: Element) -> None:
        self.guest = guest
        self.root = root
        self.made: dict[int, int | None] = {}
        self.moved: dict[str, int] = {}
        self.drivers: dict[Holder, dict[str, str | None]] = {}
        self.mappings: dict[Holder, tuple[int, ...]] = {}
        self.polls: dict[str, str | None] = {}
        self.pins: dict[str, str | None] = {}
        self.serials: dict[str, str | None] = {}
        self.rates: dict[str, str | None] = {}
        self.wanted: dict[Holder, tuple[str, ...] | None] = {}
        """The names of the threads of each holder; None for no thread."""
        self.is_mapped: set[Holder] = set()
        self.numbers: dict[str, int] = {}
        """The thread that each name stands for."""

    def take(self, change: Change) -> None:
        """Takes one change.

        Raises:
            PlanError: A domain has no setting for it.
        """
        match change.property:
            case "controllers":
                if change.new == PER_DISK:
                    self.separate()
                return
            case "poll_max_ns":
                self.polls[change.subject] = change.new
                return
            case "affinity":
                self.pins[change.subject] = change.new
                return
            case _:
                pass
        place = find_place(self.guest, change.subject)
        if place is None:
            raise PlanError(f"{self.guest.vm.source.name} has no one disk {change.subject}")
        self.take_disk(place, change)

    def take_disk(self, place: Place, change: Change) -> None:
        target, new = change.subject, change.new
        match change.property:
            case "iothread":
                holder = self.find_holder(place)
                self.wanted.setdefault(holder, None if new is None else (new,))
            case "iothread_vq_mapping":
                holder = self.find_holder(place)
                self.is_mapped.add(holder)
                self.wanted.setdefault(holder, tuple(new.split(",")) if new else None)
            case "queues":
                self.set_attribute(self.find_holder(place), "queues", new)
            case "serial":
                self.serials[target] = new
            case "ssd":
                self.rates[target] = "1" if new == "1" else None
            case name if name in _ATTRIBUTES:
                value = _VALUES.get((name, new or ""), new)
                self.set_attribute(Holder("disk", target), _ATTRIBUTES[name], value)
            case name:
                raise PlanError(
                    f"{self.guest.vm.source.name}: libvirt has no setting for {name} of {target}"
                )

    def set_attribute(self, holder: Holder, name: str, value: str | None) -> None:
        """Sets an attribute of a driver."""
        self.drivers.setdefault(holder, {})[name] = value

    def find_holder(self, place: Place) -> Holder:
        """Returns what a disk has its thread by.

        Raises:
            PlanError: A disk of its kind has none.
        """
        if place.disk.bus == "virtio":
            return Holder("disk", place.disk.target)
        controller = find_scsi(self.guest, place)
        if controller is None:
            raise PlanError(
                f"{self.guest.vm.source.name}: {place.disk.target} is on no virtio device"
            )
        index = self.moved.get(place.disk.target, controller.index)
        if controller.span is None and index == controller.index:
            self.made.setdefault(index, None)
        return Holder("controller", str(index))

    def separate(self) -> None:
        """Gives each drive beside a disk on virtio-scsi a controller; the first disk stays.

        A cd-rom gets one without a thread, from which it gains nothing.
        """
        free = self.list_free()
        disks = {disk.id for disk in self.guest.vm.disks if disk.keeps_data}
        for controller, places in list_crowded(self.guest):
            if any(is_held(self.guest, place) for place in places):
                continue
            for place in places[1:]:
                index = next(free)
                self.made[index] = controller.index
                self.moved[place.disk.target] = index
                if place.disk.target not in disks:
                    holder = Holder("controller", str(index))
                    self.wanted[holder] = None

    def list_free(self) -> Iterator[int]:
        """Yields indexes that neither a disk, nor a controller, nor a passed-on device has.

        The lowest come first: libvirt adds an emulated controller for each that is missing below.
        """
        taken = {each.index for each in self.guest.placed.controllers if each.type == "scsi"}
        devices = self.root.find("devices")
        for element in devices.find_all("hostdev") if devices is not None else ():
            address = element.find("address")
            index = address.get("controller") if address is not None else None
            if index is not None and NUMBER.fullmatch(index):
                taken.add(int(index))
        return (index for index in count() if index not in taken)

    # Threads

    def settle(self) -> tuple[int, ...]:
        """Gives each name a number, and returns all threads after the changes."""
        known = dict.fromkeys(_to_number(thread.id) for thread in self.guest.domain.threads)
        if not self.wanted:
            return tuple(known)
        now = dict(self.list_current())
        untouched = {
            number
            for holder, numbers in now.items()
            if holder not in self.wanted
            for number in numbers
        }
        taken = set(untouched)
        keys = tuple(self.list_keys())
        used = {number for numbers in now.values() for number in numbers}
        for key, holder in keys:
            self.choose(key, now.get(holder, ()), taken)
        idle = [number for number in known if number not in used]
        for key, _ in keys:
            self.choose(key, idle, taken)
        for key, _ in keys:
            self.choose(key, (each for each in count(1) if each not in known), taken)
        for holder, names in self.wanted.items():
            self.write_threads(holder, names)
        after = untouched | set(self.numbers.values())
        polled = {_find_number(self.numbers, name) for name in (*self.polls, *self.pins)}
        freed = used - after - set(self.list_tuned()) - polled
        added = (number for number in self.numbers.values() if number not in known)
        return tuple(dict.fromkeys((*(each for each in known if each not in freed), *added)))

    def list_current(self) -> Iterator[tuple[Holder, tuple[int, ...]]]:
        """Yields the threads of each disk and controller, new controllers among them."""
        for place in self.guest.placed.places:
            if place.disk.bus == "virtio":
                holder = Holder("disk", place.disk.target)
                yield holder, _list_threads(place.disk.driver, place.disk.mapping)
        for controller in self.guest.placed.controllers:
            if controller.is_virtio:
                holder = Holder("controller", str(controller.index))
                yield holder, _list_threads(controller.driver, controller.mapping)
        for index, model in self.made.items():
            copied = self.find_controller(model)
            if copied is not None:
                holder = Holder("controller", str(index))
                yield holder, _list_threads(copied.driver, copied.mapping)

    def find_controller(self, index: int | None) -> Controller | None:
        return None if index is None else self.guest.placed.find_controller("scsi", index)

    def list_keys(self) -> Iterator[tuple[str, Holder]]:
        """Yields each wanted thread with each holder that wants it; an own one is a holder's."""
        for holder, names in self.wanted.items():
            for name in names or ():
                yield _name_key(name, holder), holder

    def choose(self, key: str, numbers: Iterable[int], taken: set[int]) -> None:
        """Gives a thread the first number that no other one has."""
        if key in self.numbers:
            return
        number = next((each for each in numbers if each not in taken), None)
        if number is not None:
            self.numbers[key] = number
            taken.add(number)

    def write_threads(self, holder: Holder, names: Sequence[str] | None) -> None:
        numbers = [self.numbers[_name_key(name, holder)] for name in names or ()]
        is_mapped = holder in self.is_mapped and bool(numbers)
        self.set_attribute(
            holder, "iothread", None if is_mapped or not numbers else str(numbers[0])
        )
        self.mappings[holder] = tuple(dict.fromkeys(numbers)) if is_mapped else ()

    def list_tuned(self) -> Iterator[int]:
        """Yields the threads that somebody has tuned, which stay even if nothing uses them."""
        tune = self.root.find("cputune")
        has_schedulers = tune is not None and tune.find("iothreadsched") is not None
        is_opaque = bool(self.guest.domain.unreadable)
        pinned = {
            element.get("iothread")
            for element in (tune.find_all("iothreadpin") if tune is not None else ())
        }
        listed = self.root.find("iothreadids")
        for element in listed.find_all("iothread") if listed is not None else ():
            if element.children or len(element.attributes) > 1:
                pinned.add(element.get("id"))
        for thread in self.guest.domain.threads:
            number = _to_number(thread.id)
            if has_schedulers or is_opaque or str(number) in pinned:
                yield number


def choose_settings(guest: LibvirtGuest, root: Element, changes: Sequence[Change]) -> Settings:
    """Returns the settings of a domain that changes come to.

    Args:
        guest: The domain.
        root: Its root element.
        changes: The changes.

    Raises:
        PlanError: A domain has no setting for one of them.
    """
    choice = _Choice(guest, root)
    # The new controllers first, so that a change of a disk's thread is that of its own.
    for change in sorted(changes, key=lambda each: each.property != "controllers"):
        choice.take(change)
    threads = choice.settle()
    return Settings(
        threads=threads,
        made=choice.made,
        moved=choice.moved,
        drivers=choice.drivers,
        mappings=choice.mappings,
        polls={
            number: poll
            for name, poll in choice.polls.items()
            if (number := _find_number(choice.numbers, name)) in threads
        },
        pins={
            number: pin
            for name, pin in choice.pins.items()
            if (number := _find_number(choice.numbers, name)) in threads
        },
        serials=choice.serials,
        rotation_rates=choice.rates,
    )


def _name_key(name: str, holder: Holder) -> str:
    return f"{OWN} {holder.kind} {holder.name}" if name == OWN else name


def _find_number(numbers: Mapping[str, int], name: str) -> int:
    """Returns the number of a thread by its name in a plan or in QEMU; 0 if there is none."""
    return numbers.get(name) or _to_number(name)


def _to_number(name: str) -> int:
    digits = name.removeprefix("iothread")
    return int(digits) if NUMBER.fullmatch(digits) else 0


def _list_threads(
    driver: Mapping[str, str], mapping: Sequence[VirtqueueMapping]
) -> tuple[int, ...]:
    if mapping:
        return tuple(_to_number(entry.iothread) for entry in mapping)
    written = driver.get("iothread")
    return (int(written),) if written is not None else ()
