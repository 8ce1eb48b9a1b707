"""The smallest notation that there can be, to show that vmio needs to be told of none.

    tiny
    cpus 4
    disk a /dev/a
    disk b /dev/b thread

Each disk is a virtio-blk device; `thread` gives it an IOThread of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vmio.errors import InputError
from vmio.formats.base import CommandLine, Guest, ReadContext, Setting, Words
from vmio.model.controller import Controller
from vmio.model.disk import Backing, Disk
from vmio.model.host import Host
from vmio.model.iothread import IOThread
from vmio.model.plan import OWN, Change, Obstacle, Plan, Step
from vmio.model.source import Edit, Problem, Source, Span, Where
from vmio.model.topology import AttachedDisk, Effect, Topology
from vmio.model.vm import Vm


def recognise(source: Source) -> bool:
    """Returns whether a text begins with the notation's name."""
    return source.data.startswith(b"tiny\n")


def read(source: Source, context: ReadContext) -> Guest:
    """Reads a guest."""
    if not source.data.isascii():
        raise InputError(f"{source.name} is not tiny")
    disks: list[Disk] = []
    vcpus, start = 1, 0
    for line in source.data.decode().splitlines(keepends=True):
        words = line.split()
        span = Span(start=start, end=start + len(line.rstrip("\n")))
        start += len(line)
        if words[:1] == ["cpus"]:
            vcpus = int(words[1])
        elif words[:1] == ["disk"]:
            disks.append(_read_disk(words, span, len(disks)))
    vm = Vm(id="tiny", notation="tiny", source=source, vcpus=vcpus, disks=tuple(disks))
    return Guest(vm=vm, context=context)


def _read_disk(words: Sequence[str], span: Span, index: int) -> Disk:
    return Disk(
        id=words[1],
        bus="virtio",
        index=index,
        volume=words[2],
        backing=Backing(filename=words[2], format="raw", driver="host_device"),
        iothread=True if "thread" in words[3:] else None,
        cache="unsafe" if "unsafe" in words[3:] else None,
        where=Where(span=span),
    )


def lay_out(guest: Guest) -> Topology:
    """Returns a device for each disk, and the thread of each that asks for one."""
    vm = guest.vm
    return Topology(
        iothreads=tuple(IOThread(id=f"thread-{disk.id}") for disk in vm.disks if disk.iothread),
        controllers=tuple(
            Controller(
                id=disk.id,
                model="virtio-blk-pci",
                bus="virtio",
                iothread=f"thread-{disk.id}" if disk.iothread else None,
            )
            for disk in vm.disks
        ),
        dedicated=tuple(disk.id for disk in vm.disks),
        disks=tuple(
            AttachedDisk(
                disk=disk,
                controller=disk.id,
                driver="virtio-blk-pci",
                cache="none",
                cache_direct=True,
                aio="io_uring",
                effects=(Effect(setting="iothread", value=disk.id, verdict="used"),),
            )
            for disk in vm.disks
        ),
        vcpus=vm.vcpus,
    )


def build_command(guest: Guest, host: Host) -> CommandLine:
    """Returns a command that nobody runs."""
    del host
    return CommandLine(argv=(("tiny",), ("-name", guest.vm.id)))


def find_obstacle(guest: Guest, change: Change) -> Obstacle:
    """Returns that a disk can have a thread, and nothing else can be changed."""
    known = {disk.id for disk in guest.vm.disks}
    possible = change.property == "iothread" and change.new == OWN and change.subject in known
    return "" if possible else "unsayable"


def edit(guest: Guest, changes: Sequence[Change]) -> tuple[Edit, ...]:
    """Returns the edits that write `thread` behind disks."""
    return tuple(
        Edit(span=Span(start=disk.span.end, end=disk.span.end), text=" thread")
        for disk in _list_changed(guest, changes)
        if disk.span is not None
    )


def find_editable(source: Source) -> Span:
    """Returns the whole text."""
    return Span(start=0, end=len(source.data))


def spell(guest: Guest, changes: Sequence[Change]) -> tuple[Setting, ...]:
    """Returns what `edit` writes."""
    return tuple(
        Setting(f"disk {disk.id}", "", None, "thread") for disk in _list_changed(guest, changes)
    )


def _list_changed(guest: Guest, changes: Sequence[Change]) -> Iterator[Disk]:
    names = {change.subject for change in changes if not find_obstacle(guest, change)}
    return (disk for disk in guest.vm.disks if disk.id in names)


def render_commands(guest: Guest, changes: Sequence[Change]) -> str:
    """Returns nothing."""
    del guest, changes
    return ""


def name_setting(guest: Guest, subject: str, name: str, value: str | None = None) -> str:
    """Returns a setting as the model has it."""
    del guest, subject
    return name if value is None else f"{name}={value}"


def describe_step(guest: Guest, plan: Plan, step: Step) -> Words:
    """Returns a step in words."""
    del guest, plan
    return Words(what=f"Write thread: {' '.join(step.disks)}", why="it is faster", source="tiny")


def explain_controllers(guest: Guest) -> str:
    """Returns that each disk has its own."""
    del guest
    return "each disk has a device"


def list_dropped(guest: Guest) -> tuple[tuple[Problem, str], ...]:
    """Returns nothing."""
    del guest
    return ()


def list_notes(guest: Guest) -> tuple[str, ...]:
    """Returns nothing."""
    del guest
    return ()
