"""What rules about IOThreads and queues need to know of devices and of QEMU's own options."""

from __future__ import annotations

import re
from collections.abc import Iterator

from vmio.lint.rule import Context
from vmio.model.controller import IOTHREAD_DEVICES
from vmio.model.disk import Disk
from vmio.model.iothread import HOST_KERNEL, MAIN_LOOP, OTHER_PROCESS
from vmio.model.option import Option
from vmio.model.source import Source, Span
from vmio.model.topology import AttachedDisk, Topology, choose_default_queues
from vmio.model.vm import Vm

__all__ = [
    "asks_iothread",
    "can_have_iothread",
    "default_queues",
    "find_property",
    "is_off",
    "list_devices",
    "list_made_disks",
    "may_add_vcpus",
    "read_queues",
    "runs_in_iothread",
]


def asks_iothread(disk: Disk) -> bool:
    """Returns whether a disk asks for an IOThread, whether or not it gets one."""
    return bool(disk.iothread or disk.iothread_id is not None or disk.iothread_vq_mapping)


def runs_in_iothread(topology: Topology, attached: AttachedDisk) -> bool:
    """Returns whether an IOThread serves at least one of a disk's queues."""
    return not {MAIN_LOOP, OTHER_PROCESS, HOST_KERNEL}.issuperset(topology.served_by(attached))


def can_have_iothread(topology: Topology, attached: AttachedDisk) -> bool:
    """Returns whether an IOThread serves a disk, or could: it asks, and its controller is virtio.

    TH001 reports a virtio-scsi disk that asks and gets none; its fix changes what serves the disk.
    """
    if runs_in_iothread(topology, attached):
        return True
    return asks_iothread(attached.disk) and topology.controller_of(attached).takes_iothread


def list_devices(vm: Vm) -> Iterator[Option]:
    """Yields the virtio-blk and virtio-scsi devices that QEMU's own options make."""
    for option in vm.options:
        if option.name == "device" and option.kind.startswith(IOTHREAD_DEVICES):
            yield option


def list_made_disks(context: Context) -> Iterator[AttachedDisk]:
    """Yields the disks whose devices the manager creates, not one of QEMU's own options."""
    written = {option.span for option in context.vm.options}
    for attached in context.topology.disks:
        if not written or attached.disk.span is None or attached.disk.span not in written:
            yield attached


def may_add_vcpus(vm: Vm) -> bool:
    """Returns whether the guest can get more virtual processors while it runs."""
    return vm.adds_vcpus or any(
        option.name == "smp" and "maxcpus" in option.properties for option in vm.options
    )


def is_off(value: str) -> bool:
    """Returns whether a switch of QEMU's is off."""
    return value in {"off", "no", "false", "n"}


def read_queues(option: Option) -> int | None:
    """Returns the configured number of a device's request queues; None if none is configured."""
    written = option.properties.get("num-queues", option.properties.get("num_queues", ""))
    return int(written) if re.fullmatch(r"\d{1,18}", written, re.ASCII) else None


def default_queues(vm: Vm, option: Option) -> int | None:
    """Returns the number of a device's request queues; None if it is not known.

    By default a PCI device has one per virtual processor on new enough machine versions, and one
    on older versions.
    """
    written = read_queues(option)
    if written is not None:
        return written
    is_pci = "-pci" in option.kind or option.kind in {"virtio-blk", "virtio-scsi"}
    if not is_pci or vm.machine_version == (0, 0):
        return None
    return choose_default_queues(vm.machine_version) or vm.vcpus


def find_property(source: Source, option: Option, key: str) -> Span | None:
    """Returns the span of a property in an option, or of the whole option if it is not found.

    A property inside JSON is found by its innermost name.
    """
    span = option.spans.get(key, option.span)
    if span is None or key in option.spans:
        return span
    value = option.properties.get(key)
    name = next((part for part in reversed(key.split(".")) if not part.isdigit()), key)
    for text in (f"{key}={value}", f'"{name}":"{value}"', f'"{name}":{value}', f'"{name}"'):
        written = text.encode()
        found = source.data.find(written, span.start, span.end)
        if found >= 0:
            return Span(start=found, end=found + len(written))
    return span
