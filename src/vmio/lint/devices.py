"""What rules about IOThreads and queues ask of devices and of QEMU's own options."""

from __future__ import annotations

import re
from collections.abc import Iterator

from vmio.model.disk import Disk
from vmio.model.iothread import VirtqueueMapping
from vmio.model.option import Option
from vmio.model.source import Source, Span
from vmio.model.topology import Topology
from vmio.model.vm import Vm

__all__ = [
    "asks_iothread",
    "find_property",
    "is_off",
    "keeps_data",
    "list_devices",
    "read_mapping",
    "read_queues",
    "runs_in_iothread",
]

_MAPPING = "iothread-vq-mapping"
_ENTRY = re.compile(rf"{_MAPPING}\.(\d{{1,6}})\.(?:iothread|vqs(?:\.\d{{1,6}})?)", re.ASCII)


def asks_iothread(disk: Disk) -> bool:
    """Returns whether a disk asks for an IOThread, whether or not it gets one."""
    return bool(disk.iothread or disk.iothread_id is not None or disk.iothread_vq_mapping)


def keeps_data(disk: Disk) -> bool:
    """Returns whether a drive is a disk of the guest's, and no cd-rom or cloud-init image."""
    return disk.media == "disk" and not disk.cloudinit


def runs_in_iothread(topology: Topology, disk_id: str) -> bool:
    """Returns whether an IOThread, of its own or shared, serves a disk of the topology."""
    attached = topology.find_disk(disk_id)
    if attached is None:
        return False
    controller = topology.controller_of(attached)
    return controller.iothread is not None or bool(controller.iothread_vq_mapping)


def list_devices(vm: Vm) -> Iterator[Option]:
    """Yields the virtio-blk and virtio-scsi devices that QEMU's own options make."""
    for option in vm.options:
        if option.name == "device" and option.kind.startswith(("virtio-blk", "virtio-scsi")):
            yield option


def is_off(value: str) -> bool:
    """Returns whether a switch of QEMU's is off."""
    return value in {"off", "no", "false", "n"}


def read_queues(option: Option) -> int | None:
    """Returns the request queues that a device is written with; None if it is not."""
    written = option.properties.get("num-queues", option.properties.get("num_queues", ""))
    return int(written) if re.fullmatch(r"\d{1,9}", written, re.ASCII) else None


def read_mapping(option: Option) -> tuple[VirtqueueMapping, ...]:
    """Returns a device's `iothread-vq-mapping`; empty where it has none or an empty one."""
    threads: dict[int, str] = {}
    queues: dict[int, list[int]] = {}
    for key, value in option.properties.items():
        entry = _ENTRY.fullmatch(key)
        if entry is None:
            continue
        number = int(entry[1])
        if key.endswith(".iothread"):
            threads[number] = value
        elif re.fullmatch(r"\d{1,9}", value, re.ASCII):
            queues.setdefault(number, []).append(int(value))
    return tuple(
        VirtqueueMapping(iothread=threads[number], vqs=tuple(queues.get(number, ())))
        for number in sorted(threads)
    )


def find_property(source: Source, option: Option, key: str) -> Span | None:
    """Returns where an option has a property, or else all of the option.

    What is nested in JSON is found by the innermost name that is written as it is.
    """
    span = option.span
    if span is None:
        return None
    value = option.properties.get(key)
    name = next((part for part in reversed(key.split(".")) if not part.isdigit()), key)
    for text in (f"{key}={value}", f'"{name}":"{value}"', f'"{name}":{value}', f'"{name}"'):
        written = text.encode()
        found = source.data.find(written, span.start, span.end)
        if found >= 0:
            return Span(start=found, end=found + len(written))
    return span
