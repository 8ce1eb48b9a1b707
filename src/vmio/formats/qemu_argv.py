"""A QEMU command line as data: options, and their properties in one flat notation.

QEMU takes most options as `key=value,…`, some as JSON too, and lets nested keys be written with
dots (`file.driver=raw`, `iothread-vq-mapping.0.iothread=a`). Everything becomes the dotted form
here, so that two ways of saying the same are the same. What QEMU would refuse is read as well as
it goes: whatever the words are, the answer is an answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from attrs import fields, frozen

from vmio.errors import InputError
from vmio.formats.shell import split_words
from vmio.model.iothread import IOThread
from vmio.model.option import Option
from vmio.model.source import Source

__all__ = [
    "Command",
    "find_iothreads",
    "is_command",
    "parse_command",
    "parse_words",
    "read_options",
]

_MAX_BYTES = 2 * 1024 * 1024
"""No program can be started with more than the kernel's 2 MiB of words by default."""
_MAX_DEPTH = 32

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
"""Options whose value is one text, commas and all."""
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
"""What a first value without a key stands for; `value` where the option is not here."""
_VALUE = "value"
_IDENTITIES: Mapping[str, tuple[str, ...]] = {
    "blockdev": ("node-name",),
    "drive": ("id", "node-name"),
    "mon": ("id", "chardev"),
    "numa": ("nodeid",),
    "smbios": ("type",),
}
_DASHED = frozenset({"cpu", "machine"})
"""Options of which the keys may be written with `_` as well as with `-`."""
_LISTING = frozenset({"netdev", "nic", "smbios"})
"""Options of which a key may come several times, each time adding something."""
_MERGED = frozenset({"boot", "global", "m", "machine", "name", "set", "smp"})
"""Options that QEMU makes one of, however often they come."""


@frozen(kw_only=True)
class Command:
    """A whole command line."""

    program: str = ""
    options: tuple[Option, ...] = ()


def is_command(source: Source) -> bool:
    """Tells a saved command line from a VM config, whose first line is `key: value`."""
    for line in source.data.split(b"\n"):
        if line.strip() and not line.startswith(b"#"):
            return re.match(rb"[a-z][a-z_-]*[0-9]*:\s|\[", line) is None
    return False


def parse_command(source: Source) -> Command:
    """Reads a saved command line: quoted for a shell on one line or many, or as /proc shows it.

    Raises:
        InputError: It is not the command line of a QEMU.
    """
    data = source.data
    if len(data) > _MAX_BYTES:
        raise InputError(f"{source.name} is too large for a command line: {len(data)} bytes")
    text = data.decode("utf-8", "replace")
    try:
        if "\0" in text:
            words = text.removesuffix("\0").split("\0")
        else:
            text = re.sub(r"(?m)^#.*$", "", text.replace("\r\n", "\n"))
            words = split_words(text)
    except ValueError as error:
        raise InputError(f"{source.name} is not a command line: {error}") from error
    if not any(word.startswith("-") for word in words):
        raise InputError(
            f"{source.name} is neither a VM config nor a QEMU command line",
            hint="a command line is as `qm showcmd` prints it, quoted for a shell",
        )
    return parse_words(words)


def parse_words(words: Sequence[str]) -> Command:
    """Reads the words of a command line; variables of the environment may stand before them."""
    start = 0
    while start < len(words) and re.match(r"[A-Za-z_][A-Za-z0-9_]*=", words[start]):
        start += 1
    program = ""
    if start < len(words) and not words[start].startswith("-"):
        program = words[start]
        start += 1
    return Command(program=program, options=tuple(_merge(read_options(words[start:]))))


def find_iothreads(options: Iterable[Option]) -> tuple[tuple[IOThread, ...], frozenset[str]]:
    """Returns the IOThreads that options define, and the ids that they refer to."""
    defined: list[IOThread] = []
    users: set[str] = set()
    for option in options:
        if option.name == "object" and option.kind == "iothread":
            if option.id:
                defined.append(_build_iothread(option))
            continue
        users.update(
            value
            for key, value in option.properties.items()
            if key.rpartition(".")[2] == "iothread"
        )
    return tuple(defined), frozenset(users)


def _build_iothread(option: Option) -> IOThread:
    parameters: dict[str, Any] = {}
    for attribute in fields(IOThread):
        value = option.properties.get(attribute.name.replace("_", "-"), "")
        if attribute.name != "id" and re.fullmatch(r"\d{1,19}", value, re.ASCII):
            parameters[attribute.name] = int(value)
    try:
        return IOThread(id=option.id, **parameters)
    except ValueError:
        # A value out of QEMU's range: QEMU would not start, but the thread is defined.
        return IOThread(id=option.id)


def _build_option(name: str, properties: Mapping[str, str]) -> Option:
    keys = _IDENTITIES.get(name, ("id",))
    return Option(
        name=name,
        id=next((properties[key] for key in keys if key in properties), ""),
        kind=properties.get(_IMPLIED.get(name, ""), ""),
        properties=properties,
    )


def read_options(words: Sequence[str]) -> Iterator[Option]:
    """Yields the options of a command line's words, one that comes twice as two."""
    position = 0
    while position < len(words):
        word = words[position]
        position += 1
        if not word.startswith("-") or word == "-":
            yield _build_option("hda", {_VALUE: word})
            continue
        name = word[2:] if word.startswith("--") else word[1:]
        following = words[position] if position < len(words) else None
        known = name in _IMPLIED or name in _RAW
        if name in _FLAGS or following is None or (following.startswith("-") and not known):
            yield from _split_aliases(_build_option(name, {}))
            continue
        position += 1
        properties = _read_properties(name, following)
        yield from _split_aliases(_build_option(name, properties))


def _split_aliases(option: Option) -> Iterator[Option]:
    """Yields an option under its own name: QEMU has several for a machine and its accelerator."""
    if option.name == "enable-kvm":
        yield _build_option("accel", {"accel": "kvm"})
    elif option.name == "M":
        properties = dict(option.properties)
        if _VALUE in properties:
            properties = {"type": properties.pop(_VALUE), **properties}
        yield from _split_aliases(_build_option("machine", properties))
    elif option.name == "machine" and "accel" in option.properties:
        properties = dict(option.properties)
        for accelerator in properties.pop("accel").split(":"):
            yield _build_option("accel", {"accel": accelerator})
        yield _build_option("machine", properties)
    else:
        yield option


def _merge(options: Iterable[Option]) -> Iterator[Option]:
    """Yields options, those that QEMU makes one of as one, where the first of them stood."""
    merged: dict[str, Option] = {}
    rest: list[Option] = []
    for option in options:
        if option.name in merged:
            properties = {**merged[option.name].properties, **option.properties}
            merged[option.name] = _build_option(option.name, properties)
        elif option.name in _MERGED:
            merged[option.name] = option
            rest.append(option)
        else:
            rest.append(option)
    return (merged.get(option.name, option) for option in rest)


def _read_properties(name: str, value: str) -> dict[str, str]:
    if name in _RAW:
        return {_VALUE: value}
    if value.startswith("{"):
        try:
            loaded = json.loads(value)
            return dict(_flatten("", loaded, 0))
        except (ValueError, RecursionError):
            return {_VALUE: value}
    properties: dict[str, str] = {}
    for position, piece in enumerate(re.findall(r"(?:[^,]+|,,)+", value)):
        key, text = _read_piece(name, piece, first=position == 0)
        if name in _DASHED:
            key = key.replace("_", "-")
        if name in _LISTING and key in properties:
            key = f"{key}.{position}"
        properties[key] = text
    if name == "global" and {"driver", "property"} <= properties.keys():
        key = f"{properties['driver']}.{properties['property']}"
        return {key: properties.get("value", "")}
    return properties


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


def _flatten(prefix: str, value: object, depth: int) -> Iterator[tuple[str, str]]:
    """Yields a JSON value's leaves with dotted keys."""
    inner: Iterable[tuple[object, object]]
    match value:
        case dict() if value and depth < _MAX_DEPTH:
            inner = value.items()
        case list() if value and depth < _MAX_DEPTH:
            inner = enumerate(value)
        case _:
            yield prefix, _render_leaf(value)
            return
    for key, below in inner:
        yield from _flatten(f"{prefix}.{key}" if prefix else str(key), below, depth + 1)


def _render_leaf(value: object) -> str:
    match value:
        case bool():
            return "on" if value else "off"
        case str():
            return value
        case _:
            return json.dumps(value)
