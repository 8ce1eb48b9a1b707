"""Changes of the model as edits of a saved command line.

Source: QEMU 10.0.2, run: objects are created before devices, whatever their order.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import chain, count
from typing import Final

from vmio.errors import PlanError
from vmio.formats.base import Guest, Setting
from vmio.formats.qemu.devices import lacks_ioeventfd
from vmio.model.controller import Controller
from vmio.model.option import Option
from vmio.model.plan import OWN, Change, Obstacle
from vmio.model.source import Edit, Span

__all__ = ["MAX_SHOWN", "edit_command", "find_obstacle", "is_macos", "list_settings"]

_ID = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,63}", re.ASCII)
"""Source: QEMU's util/id.c."""
MAX_SHOWN: Final = 12
"""The longest thread id that the host's tools show: `IO` and a blank precede it."""
_MOST_OF_A_NAME = 100
_BLANK_AT_END = re.compile(rb"(?:\0|(?:[ \t\n]|\\\r?\n)+)\Z")
_MOST_BLANK = 4096
_QUOTE = re.compile(rb"['\"]")


def find_obstacle(guest: Guest, change: Change) -> Obstacle:
    """Returns why a person has to make a change; empty if vmio can make it."""
    if change.property == "bus":
        return "macos" if is_macos(guest) else "driver"
    if change.property == "poll_max_ns":
        return _find_obstacle_of_poll(guest, change)
    if change.property != "iothread" or change.new is None:
        return "unsayable"
    controller = _find_controller(guest, change.subject)
    if controller is None or controller.iothread_vq_mapping:
        return "unsayable"
    if not controller.takes_iothread:
        return "driver"
    device = _find_option(guest, "device", controller.id)
    if device is None or lacks_ioeventfd(guest.vm.options, device.properties):
        return "unsayable"
    return "" if _can_set(guest, device, "iothread") else "unsayable"


def is_macos(guest: Guest) -> bool:
    """Returns whether a guest is macOS: only macOS is given Apple's SMC."""
    return any(each.name == "device" and each.kind == "isa-applesmc" for each in guest.vm.options)


def _find_obstacle_of_poll(guest: Guest, change: Change) -> Obstacle:
    if all(iothread.id != change.subject for iothread in guest.vm.iothreads):
        return ""
    option = _find_option(guest, "object", change.subject)
    return "" if option is not None and _can_set(guest, option, "poll-max-ns") else "unsayable"


def edit_command(guest: Guest, changes: Sequence[Change]) -> tuple[Edit, ...]:
    """Returns the edits that make changes in a command line.

    Raises:
        PlanError: Its text has no place for one of them.
    """
    served, polls = _choose(guest, changes)
    return tuple(_list_edits(guest, served, polls))


def list_settings(guest: Guest, changes: Sequence[Change]) -> tuple[Setting, ...]:
    """Returns the settings that changes need in the options of a command line.

    Raises:
        PlanError: Its text has no place for one of them.
    """
    served, polls = _choose(guest, changes)
    known = {iothread.id: iothread.poll_max_ns for iothread in guest.vm.iothreads}
    controllers = {controller.id: controller.iothread for controller in guest.vm.controllers}
    made = (name for name in dict.fromkeys(served.values()) if name not in known)
    freed = [option.id for option in _list_freed(guest, served)]
    return (
        *(Setting("object", "", None, _render_object(name, polls)) for name in made),
        *(
            Setting(
                f"object {name}",
                "poll-max-ns",
                None if old is None else str(old),
                polls[name] or None,
            )
            for name, old in known.items()
            if name in polls and name not in freed
        ),
        *(Setting(f"object {name}", "", f"iothread,id={name}", None) for name in freed),
        *(
            Setting(f"device {name}", "iothread", controllers.get(name), thread)
            for name, thread in served.items()
        ),
    )


def _render_object(name: str, polls: Mapping[str, str]) -> str:
    poll = f",poll-max-ns={polls[name]}" if polls.get(name) else ""
    return f"iothread,id={name}{poll}"


def _choose(guest: Guest, changes: Sequence[Change]) -> tuple[dict[str, str], dict[str, str]]:
    """Returns the thread of each controller, and the polling of each thread."""
    served: dict[str, str] = {}
    polls: dict[str, str] = {}
    for change in changes:
        if find_obstacle(guest, change):
            raise PlanError(
                f"{guest.vm.source.name}: {change.subject}: {change.property} cannot be changed in"
                " this command line",
                hint="only devices written as key=value with an id are changed",
            )
        if change.property == "poll_max_ns":
            polls[change.subject] = change.new or ""
            continue
        controller = _find_controller(guest, change.subject)
        if controller is not None:
            served[controller.id] = str(change.new)
    taken = _list_taken(guest, served)
    for name, thread in served.items():
        if thread == OWN:
            served[name] = _name_own(name, taken)
            taken.add(served[name])
        elif thread in _list_other_objects(guest):
            raise PlanError(f"{guest.vm.source.name}: the object {thread} is not an IOThread")
    return served, polls


def _name_own(controller: str, taken: Collection[str]) -> str:
    """Returns a free name for a controller's thread, short enough for the host to show."""
    named = (
        name if number == 1 else f"{name}-{number}"
        for name in (f"iothread-{controller}", f"io-{controller}")
        for number in range(1, _MOST_OF_A_NAME)
    )
    chosen = chain(named, (f"io{number}" for number in count()))
    return next(each for each in chosen if len(each) <= MAX_SHOWN and each not in taken)


def _list_taken(guest: Guest, served: Collection[str]) -> set[str]:
    """Returns the names that are taken for threads of controllers."""
    stay = (each for each in guest.vm.controllers if each.id not in served)
    used = {
        name
        for each in stay
        for name in (each.iothread, *(mapped.iothread for mapped in each.iothread_vq_mapping))
        if name is not None
    }
    return {*_list_other_objects(guest), *guest.vm.iothread_users, *used}


def _list_freed(guest: Guest, served: Mapping[str, str]) -> Iterator[Option]:
    """Yields the threads that no device uses after the changes and whose option can be removed."""
    taken = _list_taken(guest, served) | set(served.values())
    freed = {
        each.iothread for each in guest.vm.controllers if each.id in served and each.iothread
    } - taken
    for name in sorted(freed):
        found = [each for each in guest.vm.options if (each.name, each.id) == ("object", name)]
        if len(found) == 1 and _find_words(guest, found[0]) is not None:
            yield found[0]


def _find_words(guest: Guest, option: Option) -> Span | None:
    """Returns the span of an option's words with the blank before them; None if it has no words.

    An option from a file has the place of the word that names the file.
    """
    if option.span is None:
        return None
    data, (start, end) = guest.vm.source.data, (option.span.start, option.span.end)
    if not data.startswith((b"-object", b"--object"), start):
        return None
    before = len(_BLANK_AT_END.sub(b"", data[max(0, start - _MOST_BLANK) : start]))
    before += max(0, start - _MOST_BLANK)
    return Span(start=before, end=end) if before < start else None


def _list_other_objects(guest: Guest) -> frozenset[str]:
    objects = (each for each in guest.vm.options if each.name == "object")
    return frozenset(each.id for each in objects if each.kind != "iothread")


def _list_edits(guest: Guest, served: dict[str, str], polls: dict[str, str]) -> Iterator[Edit]:
    known = {iothread.id for iothread in guest.vm.iothreads}
    devices = [_find_option(guest, "device", name) for name in served]
    for device, thread in zip(devices, served.values(), strict=True):
        if device is not None:
            yield _set_property(guest, device, "iothread", thread)
    freed = {option.id: _find_words(guest, option) for option in _list_freed(guest, served)}
    for place in freed.values():
        if place is not None:
            yield Edit(span=place, text="")
    for name, poll in polls.items():
        option = _find_option(guest, "object", name) if name in known else None
        if name in freed:
            continue
        if option is not None and (poll or "poll-max-ns" in option.spans):
            yield _set_property(guest, option, "poll-max-ns", poll)
    made = [name for name in dict.fromkeys(served.values()) if name not in known]
    if made:
        # Beside a device: words at the end can belong to the shell or to another command.
        end = max(device.span.end for device in devices if device and device.span)
        yield _make_threads(guest, end, made, polls)


def _can_set(guest: Guest, option: Option, name: str) -> bool:
    """Returns whether a property can be written: not if `-set` or a quotation contains it."""
    return name not in option.spans or _find_place(guest, option, name) is not None


def _find_place(guest: Guest, option: Option, name: str) -> Span | None:
    """Returns the span of a property with the comma before it."""
    assert option.span is not None  # noqa: S101 - `_find_option` gives no other
    span = option.spans[name]
    written = guest.vm.source.data[span.start - 1 : span.end]
    is_inside = option.span.start < span.start and span.end <= option.span.end
    is_whole = written.startswith(b",") and not _QUOTE.search(written)
    return Span(start=span.start - 1, end=span.end) if is_inside and is_whole else None


def _set_property(guest: Guest, option: Option, name: str, value: str) -> Edit:
    """Returns the edit that writes a property, or removes it if its value is empty."""
    assert option.span is not None  # noqa: S101 - `_find_option` gives no other
    text = f"{name}={value}"
    place = _find_place(guest, option, name) if name in option.spans else None
    if place is not None:
        return Edit(span=place, text=f",{text}" if value else "")
    # The end of the option's last word, which goes on after a quotation mark.
    last, end = max(span.end for span in option.spans.values()), option.span.end
    comma = "" if b"," in guest.vm.source.data[last:end] else ","
    return Edit(span=Span(start=end, end=end), text=f"{comma}{text}")


def _make_threads(guest: Guest, end: int, names: Sequence[str], polls: dict[str, str]) -> Edit:
    blank = "\0" if b"\0" in guest.vm.source.data else " "
    words = []
    for name in names:
        words += ["-object", _render_object(name, polls)]
    return Edit(span=Span(start=end, end=end), text="".join(f"{blank}{word}" for word in words))


def _find_controller(guest: Guest, disk: str) -> Controller | None:
    name = next((each.controller for each in guest.vm.attached if each.disk.id == disk), None)
    return next((each for each in guest.vm.controllers if each.id == name), None)


def _find_option(guest: Guest, name: str, identity: str) -> Option | None:
    """Returns the option that defines an object, if its text has a place for a property."""
    if not _ID.fullmatch(identity):
        return None
    return next(
        (
            option
            for option in guest.vm.options
            if option.name == name and option.id == identity
            # An option from a file has the place of the word that names the file.
            if option.span is not None and option.spans.get("id", option.span) != option.span
        ),
        None,
    )
