"""Changes of the model as edits of a domain's text.

Source: libvirt 11.3.0, run: what is defined with such edits is what a plan shows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Final

from vmio.errors import InputError, PlanError
from vmio.formats.base import Setting
from vmio.formats.libvirt.changes import Holder, Settings, choose_settings
from vmio.formats.libvirt.guest import LibvirtGuest
from vmio.formats.libvirt.obstacles import find_place
from vmio.formats.libvirt.places import place_disks
from vmio.formats.libvirt.reader import read_domain
from vmio.formats.libvirt.reading import NUMBER
from vmio.formats.libvirt.refusals import find_refusals
from vmio.formats.libvirt.writer import DomainWriter, Node
from vmio.formats.libvirt.xml import Element, parse_xml
from vmio.model.plan import Change
from vmio.model.source import Edit, Source, Span, apply_edits
from vmio.values import replace

__all__ = ["edit_domain", "list_settings"]

_OF_DISKS: Final = frozenset(
    {"aio", "cache", "detect_zeroes", "discard", "serial", "ssd", "werror"}
)
"""Properties of one disk alone."""
_BEFORE_THREADS: Final = ("vcpus", "vcpu", "currentMemory", "memory", "title", "uuid", "name")
"""What threads are written behind: the first of these that there is."""


def edit_domain(guest: LibvirtGuest, changes: Sequence[Change]) -> tuple[Edit, ...]:
    """Returns the edits that make changes in a domain; no byte outside them is changed.

    Raises:
        PlanError: A domain has no setting for a change, or libvirt would refuse the result.
    """
    if not changes:
        return ()
    text = _Text(guest)
    edits = tuple(text.edit(choose_settings(guest, text.root, changes)))
    if edits:
        targets = {change.subject for change in changes}
        is_of_disks = _OF_DISKS.issuperset(change.property for change in changes)
        kept = tuple(text.list_kept(targets)) if is_of_disks else ()
        _check_result(guest, edits, kept or (Span(0, len(guest.vm.source.data)),))
    return edits


def list_settings(guest: LibvirtGuest, changes: Sequence[Change]) -> tuple[Setting, ...]:
    """Returns the settings that `edit_domain` writes, in libvirt's words.

    Raises:
        PlanError: A domain has no setting for a change.
    """
    if not changes:
        return ()
    text = _Text(guest)
    settings = choose_settings(guest, text.root, changes)
    return tuple(each for each in text.list_settings(settings) if each.old != each.new)


def _check_result(guest: LibvirtGuest, edits: Sequence[Edit], kept: Sequence[Span]) -> None:
    """Refuses a domain of which libvirt would refuse more than it does already.

    Args:
        guest: The domain.
        edits: The edits of its text.
        kept: The parts of the text to look at, all edits among them, so that many fixes of a large
            domain do not read all of it each.

    Raises:
        PlanError: libvirt would.
    """
    old = b"".join(_edit_part(guest, part, ()) for part in kept)
    new = b"".join(_edit_part(guest, part, edits) for part in kept)
    try:
        before, after = (_count_refusals(guest, data) for data in (old, new))
    except InputError as error:
        raise PlanError(f"with these changes {error.message}") from error
    for message in after - before:
        raise PlanError(f"{guest.vm.source.name}: libvirt would refuse the result: {message}")


def _edit_part(guest: LibvirtGuest, part: Span, edits: Iterable[Edit]) -> bytes:
    """Returns a part of a text with the edits in it."""
    data = guest.vm.source.data[part.start : part.end]
    inside = (
        Edit(span=Span(each.span.start - part.start, each.span.end - part.start), text=each.text)
        for each in edits
        if part.start <= each.span.start and each.span.end <= part.end
    )
    return apply_edits(replace(guest.vm.source, data=data), inside)


def _count_refusals(guest: LibvirtGuest, data: bytes) -> Counter[str]:
    if data == guest.vm.source.data:
        return Counter(refusal.message for refusal in guest.refusals)
    domain = read_domain(replace(guest.vm.source, data=data), guest.version)
    return Counter(refusal.message for refusal in find_refusals(domain, place_disks(domain)))


@lru_cache(maxsize=1)
def _parse(source: Source) -> Element:
    """Returns the root of a text, of which several edits are mostly made."""
    return parse_xml(source)


class _Text:
    """A domain's text while edits of it are made."""

    def __init__(self, guest: LibvirtGuest) -> None:
        self.guest = guest
        self.root = _parse(guest.vm.source)
        self.writer = DomainWriter(guest.vm.source, self.root)
        devices = self.root.find("devices")
        assert devices is not None or not guest.domain.disks  # noqa: S101 - disks are in it
        self.devices = devices if devices is not None else self.root
        self.by_start = {each.start: each for each in self.devices.children}

    # Where things are

    def find(self, holder: Holder) -> Element | None:
        """Returns the element of a disk or of a controller; None for one that is not written."""
        if holder.kind == "disk":
            place = find_place(self.guest, holder.name)
            return self.by_start.get(place.disk.span.start) if place is not None else None
        controller = self.guest.placed.find_controller("scsi", int(holder.name))
        if controller is None or controller.span is None:
            return None
        return self.by_start.get(controller.span.start)

    def find_driver(self, holder: Holder) -> Element | None:
        element = self.find(holder)
        return element.find("driver") if element is not None else None

    def find_copied(self, settings: Settings, index: int) -> Element | None:
        """Returns the controller that a new one is a copy of."""
        copied = settings.made[index]
        return self.find(Holder("controller", str(copied))) if copied is not None else None

    def list_kept(self, targets: Collection[str]) -> Iterator[Span]:
        """Yields the parts of the text that decide about disks: all but the other devices."""
        children = self.devices.children
        disks = [self.find(Holder("disk", target)) for target in targets]
        yield Span(0, children[0].start)
        yield from (each.span for each in children if each.name == "controller")
        yield from (each.span for each in disks if each is not None)
        yield Span(children[-1].end, len(self.guest.vm.source.data))

    # Edits

    def edit(self, settings: Settings) -> Iterator[Edit]:
        """Yields the edits that write settings."""
        yield from self.edit_threads(settings)
        yield from self.edit_pins(settings.pins)
        made = {Holder("controller", str(index)) for index in settings.made}
        for holder in dict.fromkeys((*settings.drivers, *settings.mappings)):
            if holder not in made:
                yield from self.edit_driver(
                    holder,
                    settings.drivers.get(holder, {}),
                    settings.mappings.get(holder),
                )
        for target, index in settings.moved.items():
            yield self.move(target, index)
        yield from self.edit_disks(settings)
        if settings.made:
            yield self.make_controllers(settings)

    def edit_driver(
        self, holder: Holder, values: Mapping[str, str | None], mapping: tuple[int, ...] | None
    ) -> Iterator[Edit]:
        """Yields the edits of one `<driver>`."""
        parent = self.find(holder)
        if parent is None:
            return
        driver = parent.find("driver")
        new = None if not mapping else _make_mapping(mapping)
        if driver is None:
            own = {"name": "qemu"} if holder.kind == "disk" else {}
            own |= {name: value for name, value in values.items() if value is not None}
            if new is not None or own.keys() - {"name"}:
                children = (new,) if new is not None else ()
                node = Node(name="driver", attributes=own, children=children)
                yield self.writer.add(parent, [node])
            return
        changed = {name: value for name, value in values.items() if driver.get(name) != value}
        yield from self.writer.set_attributes(driver, changed)
        old = driver.find("iothreads")
        if old is not None and mapping is not None and new is None:
            yield self.writer.remove(old, driver)
        elif old is not None and new is not None and _read_mapping(old) != mapping:
            yield self.writer.replace(old, new)
        elif old is None and new is not None:
            yield self.writer.add(driver, [new])

    def move(self, target: str, index: int) -> Edit:
        """Returns the edit that puts a disk on another controller, at the same place there."""
        place = find_place(self.guest, target)
        element = self.find(Holder("disk", target))
        assert place is not None and place.drive is not None and element is not None  # noqa: S101, PT018 - of a SCSI disk
        address = element.find("address")
        if address is not None and address.get("type") == "drive":
            return next(iter(self.writer.set_attributes(address, {"controller": str(index)})))
        drive = place.drive
        node = Node(
            name="address",
            attributes={
                "type": "drive",
                "controller": str(index),
                "bus": str(drive.bus),
                "target": str(drive.target),
                "unit": str(drive.unit),
            },
        )
        return self.writer.add(element, [node], after=element.children[-1])

    def edit_disks(self, settings: Settings) -> Iterator[Edit]:
        """Yields the edits of what disks have outside of their drivers."""
        for name, values in (("serial", settings.serials), ("rate", settings.rotation_rates)):
            for target, value in values.items():
                element = self.find(Holder("disk", target))
                own = element.find("target") if element is not None else None
                if element is None or own is None:
                    continue
                written = element.find("serial")
                if name == "rate":
                    yield from self.writer.set_attributes(own, {"rotation_rate": value})
                elif written is not None and value is not None:
                    yield self.writer.set_text(written, value)
                elif written is not None:
                    yield self.writer.remove(written, element)
                elif value is not None:
                    yield self.writer.add(element, [Node(name="serial", text=value)], after=own)

    def make_controllers(self, settings: Settings) -> Edit:
        """Returns the edit that adds controllers, behind those that there are."""
        nodes = []
        for index in settings.made:
            copied = self.find_copied(settings, index)
            holder = Holder("controller", str(index))
            driver = copied.find("driver") if copied is not None else None
            written = driver.attributes if driver is not None else {}
            values: Mapping[str, str | None] = {**written, **settings.drivers.get(holder, {})}
            own = {name: value for name, value in values.items() if value is not None}
            mapping = settings.mappings.get(holder)
            old = driver.find("iothreads") if driver is not None else None
            children = (
                (_make_mapping(mapping),)
                if mapping
                else (_copy(old),)
                if old is not None and mapping is None
                else ()
            )
            has_driver = bool(own or children)
            inner = Node(name="driver", attributes=own, children=children)
            model = (copied.get("model") if copied is not None else None) or "virtio-scsi"
            nodes.append(
                Node(
                    name="controller",
                    attributes={"type": "scsi", "index": str(index), "model": model},
                    children=(inner,) if has_driver else (),
                )
            )
        last = list(self.devices.find_all("controller"))
        return self.writer.add(self.devices, nodes, after=last[-1] if last else None)

    # Threads

    def edit_threads(self, settings: Settings) -> Iterator[Edit]:
        """Yields the edits of `<iothreads>` and `<iothreadids>`."""
        count, listed = self.root.find("iothreads"), self.root.find("iothreadids")
        elements = {
            int(number): each
            for each in (listed.find_all("iothread") if listed is not None else ())
            if NUMBER.fullmatch(number := each.get("id") or "")
        }
        before = [int(each.id.removeprefix("iothread")) for each in self.guest.domain.threads]
        after = settings.threads
        polls = {number: poll for number, poll in settings.polls.items() if number in after}
        kept = [number for number in elements if number in after]
        is_changed = set(before) != set(after)
        needs_list = is_changed and (
            (count is None and bool(elements)) or set(_fill(kept, len(after))) != set(after)
        )
        added = [
            number
            for number in after
            if number not in elements and (needs_list or polls.get(number) is not None)
        ]
        yield from self.edit_list(listed, elements, added, settings, is_changed=is_changed)
        if count is not None and is_changed:
            yield self.writer.set_text(count, str(len(after)))
        nodes = []
        if count is None and is_changed and not elements and after:
            nodes.append(Node(name="iothreads", text=str(len(after))))
        if listed is None and added:
            children = tuple(_make_thread(number, polls.get(number)) for number in added)
            nodes.append(Node(name="iothreadids", children=children))
        if nodes:
            beside = count if count is not None else self.find_place_of_threads()
            yield self.writer.add(self.root, nodes, after=beside)

    def edit_list(
        self,
        listed: Element | None,
        elements: Mapping[int, Element],
        added: Sequence[int],
        settings: Settings,
        *,
        is_changed: bool,
    ) -> Iterator[Edit]:
        """Yields the edits of the threads that are listed one by one."""
        if listed is None:
            return
        gone = [
            each
            for number, each in elements.items()
            if is_changed and number not in settings.threads
        ]
        if gone and len(gone) == len(listed.children) and not added:
            yield self.writer.remove(listed, self.root)
            return
        for each in gone:
            yield self.writer.remove(each)
        for number, poll in settings.polls.items():
            if number in elements:
                yield from self.edit_poll(elements[number], poll)
        if added:
            nodes = [_make_thread(number, settings.polls.get(number)) for number in added]
            last = listed.children[-1] if listed.children else None
            yield self.writer.add(listed, nodes, after=last)

    def edit_poll(self, thread: Element, value: str | None) -> Iterator[Edit]:
        """Yields the edits of one thread's polling."""
        poll = thread.find("poll")
        if poll is None:
            if value is not None:
                yield self.writer.add(thread, [Node(name="poll", attributes={"max": value})])
        elif value is None and poll.attributes.keys() <= {"max"}:
            yield self.writer.remove(poll, thread)
        elif poll.get("max") != value:
            yield from self.writer.set_attributes(poll, {"max": value})

    def find_place_of_threads(self) -> Element | None:
        for name in _BEFORE_THREADS:
            found = self.root.find(name)
            if found is not None:
                return found
        return None

    def edit_pins(self, pins: Mapping[int, str | None]) -> Iterator[Edit]:
        """Yields the edits of `<iothreadpin>`."""
        tune = self.root.find("cputune")
        nodes = []
        for number, cpus in pins.items():
            pin = self.find_pin(number)
            if pin is None and cpus is not None:
                own = {"iothread": str(number), "cpuset": cpus}
                nodes.append(Node(name="iothreadpin", attributes=own))
            elif pin is not None and tune is not None and cpus is None:
                yield self.writer.remove(pin, tune)
            elif pin is not None and pin.get("cpuset") != cpus:
                yield from self.writer.set_attributes(pin, {"cpuset": cpus})
        if nodes and tune is None:
            beside = self.root.find("iothreadids") or self.root.find("iothreads")
            node = Node(name="cputune", children=tuple(nodes))
            yield self.writer.add(self.root, [node], after=beside or self.find_place_of_threads())
        elif nodes and tune is not None:
            last = tune.children[-1] if tune.children else None
            yield self.writer.add(tune, nodes, after=last)

    def find_pin(self, number: int) -> Element | None:
        tune = self.root.find("cputune")
        pins = tune.find_all("iothreadpin") if tune is not None else ()
        return next((each for each in pins if each.get("iothread") == str(number)), None)

    # Words

    def list_settings(self, settings: Settings) -> Iterator[Setting]:
        """Yields settings in libvirt's words, as they are and as they are to be."""
        before = [each.id.removeprefix("iothread") for each in self.guest.domain.threads]
        after = [str(number) for number in settings.threads]
        if set(before) != set(after):
            yield Setting("iothreads", "", " ".join(before) or None, " ".join(after) or None)
        for number, poll in settings.polls.items():
            thread = next(
                (each for each in self.guest.vm.iothreads if each.id == f"iothread{number}"), None
            )
            old = thread.poll_max_ns if thread is not None else None
            yield Setting(f"iothread {number}", "poll max", _say(old), poll)
        for number, cpus in settings.pins.items():
            pin = self.find_pin(number)
            old_cpus = pin.get("cpuset") if pin is not None else None
            yield Setting(f"iothread {number}", "cpuset", old_cpus, cpus)
        for index, copied in settings.made.items():
            if copied is not None:
                element = self.find_copied(settings, index)
                model = (element.get("model") if element is not None else None) or "virtio-scsi"
                yield Setting(f"controller {index}", "model", None, model)
        for target, index in settings.moved.items():
            place = find_place(self.guest, target)
            drive = place.drive if place is not None else None
            yield Setting(
                target, "controller", _say(drive.controller if drive else None), str(index)
            )
        yield from self.list_driver_settings(settings)
        for target, serial in settings.serials.items():
            element = self.find(Holder("disk", target))
            written = element.find("serial") if element is not None else None
            yield Setting(target, "serial", written.text if written is not None else None, serial)
        for target, rate in settings.rotation_rates.items():
            element = self.find(Holder("disk", target))
            own = element.find("target") if element is not None else None
            old_rate = own.get("rotation_rate") if own is not None else None
            yield Setting(target, "rotation_rate", old_rate, rate)

    def list_driver_settings(self, settings: Settings) -> Iterator[Setting]:
        for holder in dict.fromkeys((*settings.drivers, *settings.mappings)):
            key = holder.name if holder.kind == "disk" else f"controller {holder.name}"
            is_made = holder.kind == "controller" and int(holder.name) in settings.made
            driver = None if is_made else self.find_driver(holder)
            for name, value in settings.drivers.get(holder, {}).items():
                yield Setting(key, name, driver.get(name) if driver is not None else None, value)
            mapping = settings.mappings.get(holder)
            if mapping is not None:
                old = driver.find("iothreads") if driver is not None else None
                was = (
                    None
                    if old is None
                    else " ".join(each.get("id") or "" for each in old.children)
                )
                new = " ".join(map(str, mapping)) or None
                yield Setting(key, "iothreads", was, new)


def _say(number: int | None) -> str | None:
    return None if number is None else str(number)


def _fill(listed: Sequence[int], count: int) -> tuple[int, ...]:
    """Returns the threads of a domain: those that are listed, then the lowest free numbers."""
    found, free = list(listed), 1
    while len(found) < count:
        if free not in listed:
            found.append(free)
        free += 1
    return tuple(found)


def _make_thread(number: int, poll: str | None) -> Node:
    children = () if poll is None else (Node(name="poll", attributes={"max": poll}),)
    return Node(name="iothread", attributes={"id": str(number)}, children=children)


def _make_mapping(numbers: Sequence[int]) -> Node:
    entries = (Node(name="iothread", attributes={"id": str(number)}) for number in numbers)
    return Node(name="iothreads", children=tuple(entries))


def _read_mapping(element: Element) -> tuple[int, ...] | None:
    """Returns the threads of a mapping without queues; None if it names queues."""
    entries = [*element.find_all("iothread")]
    numbers = [each.get("id") or "" for each in entries]
    if any(each.children for each in entries) or not all(map(NUMBER.fullmatch, numbers)):
        return None
    return tuple(map(int, numbers))


def _copy(element: Element) -> Node:
    return Node(
        name=element.name,
        attributes=element.attributes,
        children=tuple(map(_copy, element.children)),
        text=element.text if not element.children else "",
    )
