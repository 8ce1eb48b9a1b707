"""Where two QEMU command lines differ, object by object and key by key."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from msgspec import Struct

from vmio.formats.qemu.argv import Command
from vmio.formats.qemu.devices import is_storage_device
from vmio.model.option import Option
from vmio.values import replace

__all__ = ["Change", "Difference", "compare_commands", "leave_out_process", "leave_out_rest"]

_Canon = frozenset[tuple[str, str | None]]
DifferenceKind = Literal["changed", "only-a", "only-b", "order"]

_TRUE = frozenset({"on", "yes", "true", "y"})
_FALSE = frozenset({"off", "no", "false", "n"})
_TEXT_KEYS = frozenset({"file", "filename", "guest", "id", "node-name", "path", "serial", "value"})
"""Keys whose values are compared literally; numbers and booleans have several spellings."""
_INTEGER = re.compile(r"0x[0-9a-f]{1,16}|0|[1-9]\d{0,18}", re.ASCII | re.IGNORECASE)
_SLOT = re.compile(r"(?:0x)?([0-9a-f]{1,2})(?:\.(?:0x)?([0-7]))?", re.ASCII | re.IGNORECASE)
_PLACES = frozenset({"addr", "devno", "lun", "nr", "port", "scsi-id", "unit"})
"""Properties of a device that set its place, so that QEMU does not choose it."""
_OF_PROCESS = frozenset(
    """
    D S add-fd chroot d daemonize incoming loadstate loadvm mon monitor msg no-user-config pidfile
    preconfig qmp qmp-pretty run-with runas sandbox trace
    """.split()  # noqa: SIM905 - a list a line each would hide the words
)
"""Options about the process and its monitors; the guest is the same without them."""

_OBJECTS = frozenset({"iothread", "main-loop", "throttle-group"})
_CHOSEN = frozenset({"addr", "backing", "bus"})
"""What a manager fills in when it starts a guest: places on PCI, and images found in others."""


class Change(Struct, frozen=True, kw_only=True):
    """One key whose value differs; None if it is not given."""

    key: str
    a: str | None
    b: str | None


class Difference(Struct, frozen=True, kw_only=True):
    """One object, device or option that differs between the two sides."""

    kind: DifferenceKind
    option: str
    """QEMU's option without its dash; `program` for the program itself."""
    id: str = ""
    driver: str = ""
    """Its type, such as virtio-scsi-pci or iothread."""
    changes: tuple[Change, ...] = ()


def compare_commands(a: Command, b: Command) -> tuple[Difference, ...]:
    """Returns the differences of two command lines, in the order of the first.

    The order of options matters only among devices without an address, which QEMU places in turn.
    JSON and `key=value` compare equal if they mean the same.
    """
    found: list[Difference] = []
    if a.program != b.program and a.program and b.program:
        change = Change(key="value", a=a.program, b=b.program)
        found.append(Difference(kind="changed", option="program", changes=(change,)))
    groups_a, groups_b = _group(a.options), _group(b.options)
    for key in dict.fromkeys((*groups_a, *groups_b)):
        found += _compare_group(groups_a.get(key, []), groups_b.get(key, []))
    return (*found, *_compare_order(a.options, b.options))


def leave_out_process(command: Command) -> Command:
    """Returns a command line without what concerns the process and not its guest.

    That is the program's path, how it is started, and its monitors with their sockets.
    """
    monitors = {option.properties.get("chardev") for option in command.options}
    used = {option.properties.get("chardev") for option in command.options if option.name != "mon"}
    options = tuple(
        option
        for option in command.options
        if option.name not in _OF_PROCESS
        and not (option.name == "chardev" and option.id in monitors - used)
    )
    return replace(command, program="", options=options)


def leave_out_rest(whole: Command, half: Command) -> Command:
    """Returns of a whole command line what can be compared with the storage half of one.

    What the half leaves to its manager is left out of the other, too: a place on PCI that it does
    not name, and the images below one whose overlays it does not list.
    """
    known = {(option.name, option.id): option.properties for option in half.options}
    kept, dropped = [], []
    for option in filter(_is_storage, whole.options):
        written = known.get((option.name, option.id), option.properties)
        chosen = _CHOSEN & (option.properties.keys() - written.keys())
        dropped += [option.properties[key] for key in chosen & {"backing"}]
        properties = {key: each for key, each in option.properties.items() if key not in chosen}
        kept.append(replace(option, properties=properties))
    below = _list_below(kept, dropped)
    return replace(whole, options=tuple(each for each in kept if each.id not in below))


def _is_storage(option: Option) -> bool:
    match option.name:
        case "blockdev" | "drive":
            return True
        case "object":
            return option.kind in _OBJECTS
        case "device":
            return is_storage_device(option.kind)
        case "global":
            return any(key.startswith("isa-fdc.") for key in option.properties)
        case _:
            return False


def _list_below(options: Sequence[Option], nodes: Iterable[str]) -> frozenset[str]:
    """Returns block nodes and all those that they are made of."""
    by_id = {option.id: option.properties for option in options if option.name == "blockdev"}
    found: set[str] = set()
    left = [*nodes]
    while left:
        node = left.pop()
        if node in by_id and node not in found:
            found.add(node)
            left += [by_id[node].get(key, "") for key in ("file", "backing")]
    return frozenset(found)


def _group(options: Iterable[Option]) -> dict[tuple[str, str, str], list[Option]]:
    """Returns options by what identifies them: their id, or else their name and kind."""
    groups: dict[tuple[str, str, str], list[Option]] = {}
    for option in options:
        kind = option.kind if not option.id and option.name in {"device", "object"} else ""
        groups.setdefault((option.name, option.id, kind), []).append(option)
    return groups


def _compare_group(a: Sequence[Option], b: Sequence[Option]) -> Iterator[Difference]:
    """Yields the differences after equal options are paired; the rest are paired in turn."""
    counts = Counter(map(_canonise, b))
    only_a = _take_rest(a, counts)
    counts = Counter(map(_canonise, a))
    only_b = _take_rest(b, counts)
    for one, other in zip(only_a, only_b, strict=False):
        yield _describe("changed", one, _list_changes(one, other))
    for option in only_a[len(only_b) :]:
        yield _describe("only-a", option)
    for option in only_b[len(only_a) :]:
        yield _describe("only-b", option)


def _take_rest(options: Sequence[Option], partners: Counter[_Canon]) -> list[Option]:
    rest = []
    for option in options:
        canon = _canonise(option)
        if partners[canon]:
            partners[canon] -= 1
        else:
            rest.append(option)
    return rest


def _canonise(option: Option) -> _Canon:
    return frozenset((key, _normalise(key, value)) for key, value in option.properties.items())


def _describe(
    kind: DifferenceKind, option: Option, changes: tuple[Change, ...] = ()
) -> Difference:
    if not option.id and not changes:
        # Only its value identifies it.
        values = (f"{key}={value}" for key, value in option.properties.items())
        text = (
            option.properties["value"] if [*option.properties] == ["value"] else ",".join(values)
        )
        return Difference(kind=kind, option=option.name, driver=text)
    return Difference(
        kind=kind, option=option.name, id=option.id, driver=option.kind, changes=changes
    )


def _list_changes(a: Option, b: Option) -> tuple[Change, ...]:
    return tuple(
        Change(key=key, a=one, b=other)
        for key in dict.fromkeys((*a.properties, *b.properties))
        for one, other in ((a.properties.get(key), b.properties.get(key)),)
        if _normalise(key, one) != _normalise(key, other)
    )


def _normalise(key: str, value: str | None) -> str | None:
    leaf = key.rpartition(".")[2]
    if value is None or leaf in _TEXT_KEYS:
        return value
    if leaf == "addr" and (slot := _SLOT.fullmatch(value)) is not None:
        return f"{int(slot[1], 16):x}.{int(slot[2] or '0')}"
    if _INTEGER.fullmatch(value):
        return str(int(value, 0))
    return "on" if value in _TRUE else "off" if value in _FALSE else value


def _compare_order(a: Sequence[Option], b: Sequence[Option]) -> Iterator[Difference]:
    one, other = _list_placeless(a), _list_placeless(b)
    common = set(one) & set(other)
    one, other = ([name for name in names if name in common] for names in (one, other))
    if one != other:
        change = Change(key="order", a=", ".join(one), b=", ".join(other))
        yield Difference(kind="order", option="device", changes=(change,))


def _list_placeless(options: Iterable[Option]) -> list[str]:
    """Returns the devices for which QEMU chooses a place; those of one name are numbered."""
    seen: Counter[str] = Counter()
    names = []
    for option in options:
        if option.name == "device" and _PLACES.isdisjoint(option.properties):
            name = option.id or option.kind
            seen[name] += 1
            names.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return names
