"""Reads a QEMU command line into a `Vm`, with every device in its configured place."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import prod
from typing import NamedTuple

from vmio.bounds import MAX_OPTIONS, MAX_PROPERTIES, MAX_QUEUES_IN_ALL, MAX_VCPUS
from vmio.errors import InputError
from vmio.formats.base import Guest, ReadContext
from vmio.formats.qemu.argv import (
    Command,
    build_option,
    decode_word,
    find_iothreads,
    parse_command,
    parse_words,
)
from vmio.formats.qemu.blocks import read_blocks
from vmio.formats.qemu.devices import attach_devices
from vmio.formats.qemu.excerpt import find_command, unwrap
from vmio.formats.qemu.readconfig import parse_config_file
from vmio.formats.shell import Word
from vmio.model.controller import Controller
from vmio.model.host import Host
from vmio.model.machine import Chipset
from vmio.model.option import Option
from vmio.model.source import Problem, Source, Span
from vmio.model.topology import count_queues
from vmio.model.vm import Accelerator, Vm
from vmio.values import replace

__all__ = ["QemuGuest", "check_queues", "check_size", "read_command_vm", "read_process_vm"]

_MIB = 1 << 20
_SUFFIXES = {"": _MIB, "b": 1, "k": 1 << 10, "m": _MIB, "g": 1 << 30, "t": 1 << 40}
_DEFAULT_MIB = 128
"""QEMU's default without `-m`."""
_TOPOLOGY = ("sockets", "dies", "clusters", "modules", "cores", "threads", "drawers", "books")
_ARCHITECTURE = re.compile(r"qemu-system-([a-z0-9_]+)")
_MACHINES: Mapping[str, str] = {"s390": "s390x", "pseries": "ppc64", "virt": "aarch64"}
"""The architecture of machines, by how their names begin, for programs that are for several."""
_NO_PCS = frozenset({"microvm", "none", "nitro", "x-remote", "xenpv"})
"""Machines of a PC's processor without its IDE; xenfv and rhel6.6.0 are PCs by other names."""
_PATH = re.compile(r"([^.]{1,63})\.([^.]{1,63})\.(.+)", re.DOTALL)
_UBUNTU: Mapping[str, tuple[int, int]] = {
    "xenial": (2, 5),
    "bionic": (2, 11),
    "cosmic": (2, 12),
    "disco": (3, 1),
    "eoan": (4, 0),
    "focal": (4, 2),
    "groovy": (5, 0),
    "hirsute": (5, 2),
    "impish": (6, 0),
    "jammy": (6, 2),
}
"""The QEMU of Ubuntu's machine types up to 22.04, by the suffix, as in pc-q35-focal."""
_RHEL = (
    ((9, 2), (7, 2)),
    ((9, 0), (6, 2)),
    ((8, 6), (6, 2)),
    ((8, 5), (6, 0)),
    ((8, 4), (5, 2)),
    ((8, 3), (5, 1)),
    ((8, 2), (4, 2)),
    ((8, 1), (4, 1)),
)
"""The QEMU of RHEL's machine types, newest first: pc-q35-rhel8.4.0 is QEMU 5.2."""
_OLDEST = (2, 12)
"""The QEMU of older machine types of RHEL, or an older one."""
_NOWHERE = Span(start=0, end=0)
_CHECKED = frozenset({"blockdev", "device", "object"})
"""Options whose value may be JSON."""


class QemuGuest(Guest, frozen=True, kw_only=True):
    """A VM from a QEMU command line, and that line."""

    origin = "command"

    command: Command


def read_command_vm(source: Source, context: ReadContext) -> QemuGuest:
    """Reads a saved command line, with the place of everything in it.

    Raises:
        InputError: It is not the command line of a QEMU.
    """
    source = unwrap(source)
    command = parse_command(source)
    found_command = find_command(source)
    problems = list(found_command.problems) if found_command is not None else []
    return _read_vm(source, command, context, problems)


def read_process_vm(source: Source, context: ReadContext) -> QemuGuest:
    """Reads the words of a process, each with a NUL after it; all of it is at the text's begin.

    To find the real places takes half of the time, and what only looks at a guest needs none.

    Raises:
        InputError: It is more than any QEMU is started with.
    """
    words = source.data.decode("latin-1").removesuffix("\0").split("\0")
    if len(words) > 2 * MAX_OPTIONS:  # not worth their reading, which anybody could have root do
        raise InputError(
            f"{source.name} has {len(words)} words, more than any QEMU is started with"
        )
    places = [Word(text=word, start=0, end=0) for word in words]
    command = parse_words([decode_word(word) for word in words], places)
    return _read_vm(source, command, context, [])


def _read_vm(
    source: Source, command: Command, context: ReadContext, problems: list[Problem]
) -> QemuGuest:
    host = context.host
    included = tuple(_include(command.options, context.read_file, problems))
    check_size(source, included)
    options = tuple(_apply_set(included, problems))
    problems += _check_options(options)
    machine = _merge_properties(options, "machine")
    arch = _find_arch(command.program, machine.get("type", ""), options)
    chipset = _find_chipset(machine.get("type", ""), arch)
    blocks = read_blocks(
        tuple(_drop_strays(options)),
        host.files.block_device_patterns,
        _find_interface(arch, chipset),
    )
    found = attach_devices(options, blocks, chipset=chipset, arch=arch)
    vcpus = _count_vcpus(options)
    check_queues(source, found.controllers, vcpus)
    iothreads, users = find_iothreads(options)
    name = _merge_properties(options, "name").get("guest", "")
    numbers = [option.properties.get("value", "") for option in options if option.name == "id"]
    vm = Vm(
        id=numbers[-1] if numbers else source.name,
        name=name,
        notation="qemu",
        source=source,
        arch=arch,
        chipset=chipset,
        machine_type=machine.get("type", ""),
        machine_version=_find_version(machine.get("type", ""), host),
        vcpus=vcpus,
        memory_mib=_read_memory(_merge_properties(options, "m").get("size", "")),
        accelerator=_find_accelerator(options),
        names_threads="debug-threads" in _merge_properties(options, "name"),
        iothreads=iothreads,
        iothread_users=users,
        controllers=found.controllers,
        disks=tuple(attached.disk for attached in found.disks),
        attached=found.disks,
        options=options,
        problems=(*problems, *found.problems),
    )
    return QemuGuest(vm=vm, context=context, command=replace(command, options=options))


def check_size(source: Source, options: Sequence[Option]) -> None:
    """Refuses too many options.

    Raises:
        InputError: There are too many, or too many properties of them.
    """
    properties = sum(len(option.properties) for option in options)
    if len(options) > MAX_OPTIONS or properties > MAX_PROPERTIES:
        raise InputError(
            f"{source.name} has {len(options)} options with {properties} properties,"
            " more than any QEMU is started with"
        )


def check_queues(source: Source, controllers: Sequence[Controller], vcpus: int) -> None:
    """Refuses controllers with too many virtqueues in all.

    Raises:
        InputError: There are too many.
    """
    queues = count_queues(controllers, vcpus)
    if queues > MAX_QUEUES_IN_ALL:
        raise InputError(
            f"{source.name} has {queues} virtqueues, more than any QEMU is started with"
        )


def _include(
    options: Sequence[Option],
    read_file: Callable[[str], Source | str] | None,
    problems: list[Problem],
) -> Iterator[Option]:
    """Yields options, with those of a `-readconfig` file in place of it."""
    for option in options:
        if option.name != "readconfig":
            yield option
            continue
        name, span = option.properties.get("value", ""), option.span or _NOWHERE
        file = "it was not read" if read_file is None else read_file(name)
        if isinstance(file, str):
            said = f"{name} is not known here: {file}"
            problems.append(
                Problem(kind="unread-config", message=said, span=span, subject="readconfig")
            )
            continue
        read, refused = parse_config_file(file, span)
        yield from read
        problems += (
            Problem(kind="refused-option", message=said, span=span, subject="readconfig")
            for said in refused
        )


def _apply_set(options: Sequence[Option], problems: list[Problem]) -> Sequence[Option]:
    """Returns options with the changes of `-set GROUP.ID.KEY=VALUE`, and without these."""
    setters = [option for option in options if option.name == "set"]
    if not setters:
        return options
    targets: dict[tuple[str, str], _Changed] = {}
    for option in reversed(options):  # the first option with an id is the one that is changed
        targets[option.name, option.id] = _Changed(option, {}, {})
    for setter in setters:
        for path, value in setter.properties.items():
            match = _PATH.fullmatch(path)
            target = targets.get((match[1], match[2])) if match else None
            if match is None or target is None:
                said = f"there is nothing that {path} could change"
                span = setter.spans.get(path, setter.span) or _NOWHERE
                problems.append(
                    Problem(kind="missing-reference", message=said, span=span, subject="set")
                )
                continue
            target.properties[match[3]] = value
            if path in setter.spans:
                target.spans[match[3]] = setter.spans[path]
    return [
        replace(option, properties={})
        if option.name == "set"
        else _change(option, targets[option.name, option.id])
        for option in options
    ]


class _Changed(NamedTuple):
    """An option, and what `-set` changes in it."""

    option: Option
    properties: dict[str, str]
    spans: dict[str, Span]


def _change(option: Option, changed: _Changed) -> Option:
    if option is not changed.option or not changed.properties:
        return option
    properties = {**option.properties, **changed.properties}
    spans = {**option.spans, **changed.spans}
    return build_option(option.name, properties, option.span, spans)


def _check_options(options: Sequence[Option]) -> Iterator[Problem]:
    """Yields options that QEMU cannot parse, and names that are defined twice."""
    seen: set[tuple[str, str]] = set()
    first = ""
    for option in options:
        span = option.span or _NOWHERE
        if option.name == "hda":
            word = option.properties.get("value", "")
            if first and option.spans.get("value") == option.span:
                said = f"'{word}' is not an option, and '{first}' is the first disk already"
                yield Problem(kind="refused-option", message=said, span=span, subject=word)
            first = first or word
        if option.name in _CHECKED and option.properties.get("value", "").startswith("{"):
            said = f"the value of -{option.name} is not JSON"
            yield Problem(kind="refused-option", message=said, span=span, subject=option.name)
        group = "block" if option.name in {"blockdev", "drive"} else option.name
        if not option.id or group not in {"block", "device", "object"}:
            continue
        if (group, option.id) in seen:
            said = f"the {option.name} '{option.id}' is defined twice"
            place = option.spans.get("id", span)
            yield Problem(kind="duplicate-id", message=said, span=place, subject=option.id)
        seen.add((group, option.id))


def _merge_properties(options: Sequence[Option], name: str) -> Mapping[str, str]:
    merged: dict[str, str] = {}
    for option in options:
        if option.name == name:
            merged.update(option.properties)
    return merged


def _drop_strays(options: Sequence[Option]) -> Iterator[Option]:
    """Yields options without the words that are none of any, but for the first one.

    That one is the first disk, and QEMU refuses the others by name.
    """
    is_taken = False
    for option in options:
        if option.name == "hda":
            if is_taken and option.spans.get("value") == option.span:
                continue
            is_taken = True
        yield option


def _find_arch(program: str, machine: str, options: Sequence[Option]) -> str:
    """Returns the guest's architecture, by the machine where the program's name has none.

    A `qemu-kvm` is for its host's, and what is for s390x alone is named by its devices, too.
    """
    match = _ARCHITECTURE.search(program)
    if match:
        return match[1]
    for prefix, arch in _MACHINES.items():
        if machine.startswith(prefix):
            return arch
    is_ccw = not machine and any(
        option.name == "device" and option.kind.endswith("-ccw") for option in options
    )
    return "s390x" if is_ccw else "x86_64"


def _find_chipset(machine: str, arch: str) -> Chipset:
    if "q35" in machine:
        return "q35"
    is_pc = arch in {"x86_64", "i386"} and machine not in _NO_PCS
    return "i440fx" if is_pc else "virt"


def _find_interface(arch: str, chipset: Chipset) -> str:
    """Returns what a drive has that names no interface.

    Source: QEMU 10.0, run: a microvm makes no device of such a drive.
    """
    if arch in {"x86_64", "i386"}:
        return "none" if chipset == "virt" else "ide"
    return "scsi" if arch == "ppc64" else "virtio"


def _find_accelerator(options: Sequence[Option]) -> Accelerator:
    first = next((option.kind for option in options if option.name == "accel"), "")
    named: dict[str, Accelerator] = {"kvm": "kvm", "tcg": "tcg"}
    return named.get(first, "")


def _find_version(machine: str, host: Host) -> tuple[int, int]:
    """Returns the QEMU version that a machine behaves as; the host's if it names none."""
    match = re.search(r"(rhel)?(\d{1,3})\.(\d{1,3})", machine, re.ASCII)
    if match is None:
        known = (_UBUNTU[part] for part in machine.split("-") if part in _UBUNTU)
        return next(known, host.qemu_series)
    version = (int(match[2]), int(match[3]))
    if not match[1]:
        return version
    return next((qemu for rhel, qemu in _RHEL if version >= rhel), _OLDEST)


def _count_vcpus(options: Sequence[Option]) -> int:
    """Returns how many processors a guest starts with, including those that are devices."""
    smp = _merge_properties(options, "smp")
    counts = {key: int(text) for key, text in smp.items() if re.fullmatch(r"\d{1,5}", text)}
    plugged = sum(option.name == "device" and option.kind.endswith("-cpu") for option in options)
    if "cpus" in counts:
        count = counts["cpus"]
    elif any(key in counts for key in _TOPOLOGY):
        count = prod(max(1, counts.get(key, 1)) for key in _TOPOLOGY)
    else:
        count = counts.get("maxcpus", 1)
    return max(1, min(count + plugged, MAX_VCPUS))


def _read_memory(text: str) -> int:
    match = re.fullmatch(r"(\d{1,12})([bkmgt]?)", text.lower(), re.ASCII)
    if match is None:
        return _DEFAULT_MIB
    return max(1, int(match[1]) * _SUFFIXES[match[2]] // _MIB)
