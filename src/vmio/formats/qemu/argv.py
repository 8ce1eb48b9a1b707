"""A QEMU command line as data: options, and their properties in one flat notation.

QEMU takes most options as `key=value,…`, some as JSON too, and lets nested keys be written with
dots (`file.driver=raw`, `iothread-vq-mapping.0.iothread=a`). Everything becomes the dotted form
here, so that equivalent options are equal. What QEMU would refuse is read as far
as possible: no words raise an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

from msgspec import Struct

from vmio.bounds import MAX_KEY_CHARACTERS, load_json
from vmio.errors import InputError
from vmio.formats.shell import Word
from vmio.model.controller import IOTHREAD_DEVICES
from vmio.model.iothread import PARAMETERS, IOThread, VirtqueueMapping
from vmio.model.option import Option
from vmio.model.source import Source, Span, Where
from vmio.patterns import compile_late

__all__ = [
    "Command",
    "build_option",
    "decode_word",
    "find_iothreads",
    "is_command",
    "list_arguments",
    "parse_command",
    "parse_words",
    "read_mapping",
    "read_options",
]

_MAX_BYTES = 2 * 1024 * 1024
"""By default the kernel starts no program with more than 2 MiB of arguments."""

_FLAGS = frozenset(
    """
    S daemonize enable-kvm full-screen mem-prealloc no-acpi no-fd-bootchk no-hpet no-quit no-reboot
    no-shutdown no-user-config nodefaults nographic only-migratable preconfig singlestep snapshot
    usb version help h
    """.split()  # noqa: SIM905 - a list a line each would hide the words
)
"""Options without a value."""
_RAW = frozenset(
    """
    D L append bios cdrom chroot d debugcon dtb fda fdb gdb hda hdb hdc hdd incoming initrd k
    kernel loadstate loadvm mem-path option-rom pflash pidfile readconfig runas seed semihosting
    shim uuid vga watchdog-action
    """.split()  # noqa: SIM905 - as above
)
"""Options whose value is one text, including its commas."""
_IMPLIED: Mapping[str, str] = {
    "accel": "accel",
    "audiodev": "driver",
    "blockdev": "driver",
    "boot": "order",
    "chardev": "backend",
    "cpu": "model",
    "device": "driver",
    "display": "type",
    "fsdev": "fsdriver",
    "icount": "shift",
    "m": "size",
    "machine": "type",
    "mon": "chardev",
    "msg": "timestamp",
    "name": "guest",
    "netdev": "type",
    "nic": "type",
    "numa": "type",
    "object": "qom-type",
    "sandbox": "enable",
    "smp": "cpus",
    "tpmdev": "type",
    "trace": "enable",
    "vnc": "display",
}
"""The key of a first value without one; `value` for options that are not listed."""
_VALUE = "value"
_PIECE = compile_late(r"(?:[^,]+|,,)+")
_IDENTITIES: Mapping[str, tuple[str, ...]] = {
    "blockdev": ("node-name",),
    "drive": ("id", "node-name"),
    "mon": ("id", "chardev"),
    "numa": ("nodeid",),
    "smbios": ("type",),
}
_LAUNCHERS = frozenset(
    "chrt env exec ionice nice nohup numactl setsid strace sudo systemd-run taskset time".split()  # noqa: SIM905
)
"""Programs that start another one, with arguments of their own before it."""
_PROGRAM = compile_late(r"qemu-system-\w+|qemu-kvm|kvm|qemu", re.ASCII)
_VARIABLE = compile_late(r"\$(?:\w+|[*@]|\{[^}]*\})", re.ASCII)
_DASHED = frozenset({"cpu", "machine"})
"""Options whose keys may be written with `_` as well as with `-`."""
_LISTING = frozenset({"netdev", "nic", "smbios"})
"""Options in which a key may occur several times, each time adding a value."""
_MERGED = frozenset({"boot", "global", "m", "machine", "name", "set", "smp"})
"""Options that QEMU merges into one, however often they occur."""


class Command(Struct, frozen=True, kw_only=True):
    """A whole command line."""

    program: str = ""
    options: tuple[Option, ...] = ()


_MAPPED = compile_late(r"iothread-vq-mapping\.(\d{1,6})\.(?:iothread|vqs(?:\.\d{1,6})?)", re.ASCII)
_QUEUE = compile_late(r"\d{1,9}", re.ASCII)


def is_command(source: Source) -> bool:
    """Returns whether a text contains the command line of a QEMU.

    It can be anywhere in the text, as in a list of processes or after a prompt. A program with
    another name counts if the text begins with it and it has options of QEMU's.
    """
    from vmio.formats.qemu.excerpt import find_command, unwrap

    text = unwrap(source)
    return len(text.data) <= _MAX_BYTES and find_command(text) is not None


def parse_command(source: Source) -> Command:
    """Reads a saved command line: quoted for a shell on one line or several, or as in /proc.

    Raises:
        InputError: It is not the command line of a QEMU.
    """
    words = _read_words(source)
    return parse_words([decode_word(word.text) for word in words], words)


def list_arguments(source: Source) -> tuple[tuple[str, ...], ...]:
    """Returns a saved command line: first its program, then each option with its value.

    Raises:
        InputError: It is not the command line of a QEMU.
    """
    arguments: list[tuple[str, ...]] = []
    for word in _read_words(source):
        text = decode_word(word.text)
        if text.startswith("-") or not arguments or len(arguments[-1]) > 1 or len(arguments) == 1:
            arguments.append((text,))
        else:
            arguments[-1] = (*arguments[-1], text)
    return tuple(arguments)


def _read_words(source: Source) -> tuple[Word, ...]:
    from vmio.formats.qemu.excerpt import find_command, unwrap

    source = unwrap(source)
    if len(source.data) > _MAX_BYTES:
        raise InputError(
            f"{source.name} is too large for a command line: {len(source.data)} bytes"
        )
    found = find_command(source)
    if found is None:
        raise InputError(
            f"{source.name} is neither a VM config nor a QEMU command line",
            hint="a command line is as `qm showcmd` or `ps` prints it",
        )
    if found.error:
        raise InputError(f"{source.name}: {found.error}", hint=found.hint)
    return found.words


def decode_word(text: str) -> str:
    """Returns a word that has a character a byte as the text that it is."""
    return text if text.isascii() else text.encode("latin-1").decode("utf-8", "replace")


def parse_words(words: Sequence[str], places: Sequence[Word] | None = None) -> Command:
    """Reads the words of a command line, which may begin with variables of the environment.

    Args:
        words: The words.
        places: The same words, a character a byte, with where they stand in a source.
    """
    start = 0
    while start < len(words) and re.match(r"[A-Za-z_][A-Za-z0-9_]*=", words[start]):
        start += 1
    start = _skip_launcher(words, start)
    program = ""
    if start < len(words) and not words[start].startswith("-"):
        program = words[start]
        start += 1
    options = read_options(words[start:], None if places is None else places[start:])
    return Command(program=program, options=tuple(_merge(options)))


def _skip_launcher(words: Sequence[str], start: int) -> int:
    """Returns the index of the program that another one, such as taskset, starts."""
    if start < len(words) and words[start].rpartition("/")[2] in _LAUNCHERS:
        for position in range(start + 1, len(words)):
            if _PROGRAM.fullmatch(words[position].rpartition("/")[2]):
                return position
    return start


def find_iothreads(options: Iterable[Option]) -> tuple[tuple[IOThread, ...], frozenset[str]]:
    """Returns the IOThreads that options define, and those that are not used by disks alone.

    The use by a virtio-blk or virtio-scsi device follows from the disks on it. In an unknown
    device, any property can name an IOThread.
    """
    defined: list[IOThread] = []
    named: set[str] = set()
    for option in options:
        if option.name == "object" and option.kind == "iothread":
            if option.id:
                defined.append(_build_iothread(option))
            continue
        if option.name == "device" and option.kind.startswith(IOTHREAD_DEVICES):
            continue
        named.update(value for key, value in option.properties.items() if "iothread" in key)
    return tuple(defined), frozenset(named)


def read_mapping(option: Option) -> tuple[VirtqueueMapping, ...]:
    """Returns a device's `iothread-vq-mapping`; empty if it has none or an empty one."""
    threads: dict[int, str] = {}
    queues: dict[int, list[int]] = {}
    for key, value in option.properties.items():
        entry = _MAPPED.fullmatch(key)
        if entry is None:
            continue
        number = int(entry[1])
        if key.endswith(".iothread"):
            threads[number] = value
        elif _QUEUE.fullmatch(value):
            queues.setdefault(number, []).append(int(value))
    return tuple(
        VirtqueueMapping(iothread=threads[number], vqs=tuple(queues.get(number, ())))
        for number in sorted(threads)
    )


def _build_iothread(option: Option) -> IOThread:
    parameters: dict[str, Any] = {}
    for name in PARAMETERS:
        value = option.properties.get(name.replace("_", "-"), "")
        if re.fullmatch(r"\d{1,19}", value, re.ASCII):
            parameters[name] = int(value)
    where = Where(span=option.spans.get("id", option.span))
    try:
        return IOThread(id=option.id, where=where, **parameters)
    except ValueError:
        # A value out of QEMU's range: QEMU would not start, but the thread is defined.
        return IOThread(id=option.id, where=where)


def build_option(
    name: str,
    properties: Mapping[str, str],
    span: Span | None = None,
    spans: Mapping[str, Span] | None = None,
) -> Option:
    """Returns an option with its id and its kind."""
    keys = _IDENTITIES.get(name, ("id",))
    return Option(
        name=name,
        id=next((properties[key] for key in keys if key in properties), ""),
        kind=properties.get(_IMPLIED.get(name, ""), ""),
        properties=properties,
        where=Where(span=span, spans=spans or {}),
    )


def read_options(words: Sequence[str], places: Sequence[Word] | None = None) -> Iterator[Option]:
    """Yields the options of a command line's words; a repeated option is not merged.

    Args:
        words: The words after the program.
        places: The same words, a character a byte, with where they stand in a source.
    """
    position = 0
    while position < len(words):
        word, place = words[position], None if places is None else places[position]
        position += 1
        if not word.startswith("-") or word == "-":
            if place is not None and _VARIABLE.fullmatch(word):
                continue  # a script's further options, or none
            span = _cover(place, place)
            yield build_option("hda", {_VALUE: word}, span, _mark(_VALUE, span))
            continue
        name = word[2:] if word.startswith("--") else word[1:]
        following = words[position] if position < len(words) else None
        known = name in _IMPLIED or name in _RAW
        if name in _FLAGS or following is None or (following.startswith("-") and not known):
            yield from _split_aliases(build_option(name, {}, _cover(place, place)))
            continue
        value = None if places is None else places[position]
        position += 1
        read = _read_properties(name, following, value)
        option = build_option(name, read.properties, _cover(place, value), read.spans)
        yield from _split_aliases(option)


def _cover(first: Word | None, last: Word | None) -> Span | None:
    return Span(start=first.start, end=last.end) if first and last else None


def _mark(key: str, span: Span | None) -> Mapping[str, Span]:
    return {} if span is None else {key: span}


def _rebuild(option: Option, name: str, properties: Mapping[str, str]) -> Option:
    return build_option(name, properties, option.span, option.spans)


def _split_aliases(option: Option) -> Iterator[Option]:
    """Yields an option under its own name: QEMU has several for a machine and its accelerator."""
    if option.name == "enable-kvm":
        yield _rebuild(option, "accel", {"accel": "kvm"})
    elif option.name == "M":
        properties = dict(option.properties)
        if _VALUE in properties:
            properties = {"type": properties.pop(_VALUE), **properties}
        yield from _split_aliases(_rebuild(option, "machine", properties))
    elif option.name == "machine" and "accel" in option.properties:
        properties = dict(option.properties)
        for accelerator in properties.pop("accel").split(":"):
            yield _rebuild(option, "accel", {"accel": accelerator})
        yield _rebuild(option, "machine", properties)
    else:
        yield option


def _merge(options: Iterable[Option]) -> Iterator[Option]:
    """Yields options; those that QEMU merges are one, in the place of the first."""
    merged: dict[str, tuple[dict[str, str], dict[str, Span]]] = {}
    rest: list[Option] = []
    for option in options:
        if option.name not in merged:
            rest.append(option)
        if option.name in _MERGED:
            properties, spans = merged.setdefault(option.name, ({}, {}))
            properties.update(option.properties)
            spans.update(option.spans)
    for option in rest:
        if option.name in merged:
            properties, spans = merged[option.name]
            yield build_option(option.name, properties, option.span, spans)
        else:
            yield option


class _Read(NamedTuple):
    """The parsed value of an option, and the place of each part if that is known."""

    properties: dict[str, str]
    spans: dict[str, Span]


def _read_properties(name: str, value: str, place: Word | None) -> _Read:
    if name in _RAW:
        return _read_whole(_VALUE, value, place)
    if value.startswith("{"):
        try:
            return _Read(dict(_flatten(load_json(value))), {})
        except ValueError:
            return _read_whole(_VALUE, value, place)
    key, equals, text = value.partition("=")
    if equals and "," not in key and (name == "set" or (name == "global" and "." in key)):
        # QEMU takes the rest unchanged, including its commas.
        return _read_whole(key, text, place)
    properties: dict[str, str] = {}
    spans: dict[str, Span] = {}
    # A comma is a byte of its own in any text, so both have the same pieces.
    places = () if place is None else _PIECE.finditer(place.text)
    for position, (piece, there) in enumerate(zip_longest(_PIECE.findall(value), places)):
        key, text = _read_piece(name, piece, first=position == 0)
        if name in _DASHED:
            key = key.replace("_", "-")
        if name in _LISTING and key in properties:
            key = f"{key}.{position}"
        properties[key] = text
        if place is not None and there is not None:
            start, end = place.find(*there.span())
            spans[key] = Span(start=start, end=end)
    if name == "global" and {"driver", "property"} <= properties.keys():
        key = f"{properties['driver']}.{properties['property']}"
        return _read_whole(key, properties.get("value", ""), place)
    return _Read(properties, spans)


def _read_whole(key: str, value: str, place: Word | None) -> _Read:
    return _Read({key: value}, dict(_mark(key, _cover(place, place))))


def _read_piece(name: str, piece: str, *, first: bool) -> tuple[str, str]:
    key, equals, text = piece.partition("=")
    text = text.replace(",,", ",")
    if equals:
        return key, text
    if first:
        return _IMPLIED.get(name, _VALUE), piece.replace(",,", ",")
    if name == "cpu" and key[:1] in {"+", "-"}:
        return key[1:], "on" if key[0] == "+" else "off"
    if name != "cpu" and key.startswith("no") and key != "no":
        return key[2:], "off"
    return key, "on"


def _flatten(value: object, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yields a JSON value's leaves with dotted keys.

    Raises:
        ValueError: A key is longer than any of QEMU's; each leaf below it would copy it.
    """
    inner: Iterable[tuple[object, object]]
    match value:
        case dict() if value:
            inner = value.items()
        case list() if value:
            inner = enumerate(value)
        case _:
            yield prefix, _render_leaf(value)
            return
    for key, below in inner:
        dotted = f"{prefix}.{key}" if prefix else str(key)
        if len(dotted) > MAX_KEY_CHARACTERS:
            raise ValueError("a key is too long")
        yield from _flatten(below, dotted)


def _render_leaf(value: object) -> str:
    match value:
        case bool():
            return "on" if value else "off"
        case str():
            return value
        case _:
            import json

            return json.dumps(value)
