"""Changes of the model as edits of a saved command line.

Source: QEMU 10.0.2, run: objects are made before devices, in whatever order they are written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from vmio.errors import PlanError
from vmio.formats.base import Guest, Setting
from vmio.model.controller import Controller
from vmio.model.option import Option
from vmio.model.plan import OWN, Change, Obstacle
from vmio.model.source import Edit, Span

__all__ = ["edit_command", "find_obstacle", "list_settings"]

_ID = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,63}", re.ASCII)
"""Source: QEMU's util/id.c."""


def find_obstacle(guest: Guest, change: Change) -> Obstacle:
    """Returns why a person has to make a change, empty where vmio can."""
    if change.property == "bus":
        return "driver"
    if change.property == "poll_max_ns":
        return ""
    if change.property != "iothread" or change.new is None:
        return "unsayable"
    controller = _find_controller(guest, change.subject)
    if controller is None or controller.iothread_vq_mapping:
        return "unsayable"
    if not controller.takes_iothread:
        return "driver"
    return "" if _find_option(guest, "device", controller.id) is not None else "unsayable"


def edit_command(guest: Guest, changes: Sequence[Change]) -> tuple[Edit, ...]:
    """Returns the edits that make changes in a command line.

    Raises:
        PlanError: Its text has no place for one of them.
    """
    served, polls = _choose(guest, changes)
    return tuple(_list_edits(guest, served, polls))


def list_settings(guest: Guest, changes: Sequence[Change]) -> tuple[Setting, ...]:
    """Returns what the options of a command line have to say of changes.

    Raises:
        PlanError: Its text has no place for one of them.
    """
    served, polls = _choose(guest, changes)
    known = {iothread.id: iothread.poll_max_ns for iothread in guest.vm.iothreads}
    controllers = {controller.id: controller.iothread for controller in guest.vm.controllers}
    made = (name for name in dict.fromkeys(served.values()) if name not in known)
    return (
        *(Setting("object", "", None, _render_object(name, polls)) for name in made),
        *(
            Setting(
                f"object {name}", "poll-max-ns", None if old is None else str(old), polls[name]
            )
            for name, old in known.items()
            if name in polls
        ),
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
            own = f"iothread-{controller.id}"
            served[controller.id] = own if change.new == OWN else str(change.new)
    return served, polls


def _list_edits(guest: Guest, served: dict[str, str], polls: dict[str, str]) -> Iterator[Edit]:
    known = {iothread.id for iothread in guest.vm.iothreads}
    for name, thread in served.items():
        device = _find_option(guest, "device", name)
        if device is not None:
            yield _set_property(device, "iothread", thread)
    for name, poll in polls.items():
        option = _find_option(guest, "object", name) if name in known else None
        if option is not None and poll:
            yield _set_property(option, "poll-max-ns", poll)
    made = [name for name in dict.fromkeys(served.values()) if name not in known]
    if made:
        yield _make_threads(guest, made, polls)


def _set_property(option: Option, name: str, value: str) -> Edit:
    assert option.span is not None  # noqa: S101 - `_find_option` gives no other
    # The end of the option's last word: what follows a quotation mark is of the same word.
    place = option.spans.get(name, Span(start=option.span.end, end=option.span.end))
    comma = "" if name in option.spans else ","
    return Edit(span=place, text=f"{comma}{name}={value}")


def _make_threads(guest: Guest, names: Sequence[str], polls: dict[str, str]) -> Edit:
    data = guest.vm.source.data
    end = max(option.span.end for option in guest.vm.options if option.span is not None)
    blank = "\0" if b"\0" in data else " "
    words = []
    for name in names:
        words += ["-object", _render_object(name, polls)]
    return Edit(span=Span(start=end, end=end), text="".join(f"{blank}{word}" for word in words))


def _find_controller(guest: Guest, disk: str) -> Controller | None:
    name = next((each.controller for each in guest.vm.attached if each.disk.id == disk), None)
    return next((each for each in guest.vm.controllers if each.id == name), None)


def _find_option(guest: Guest, name: str, identity: str) -> Option | None:
    """Returns the option that makes an object, if its text can take another property."""
    if not _ID.fullmatch(identity):
        return None
    return next(
        (
            option
            for option in guest.vm.options
            if option.name == name and option.id == identity
            if option.span is not None and "id" in option.spans
        ),
        None,
    )
