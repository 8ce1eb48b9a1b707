"""What rules about IOThreads and queues need to know of devices and of QEMU's own options."""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import Struct

from vmio.formats.qemu.argv import read_mapping
from vmio.formats.registry import name_setting
from vmio.lint.rule import Context
from vmio.model.controller import IOTHREAD_DEVICES, Controller
from vmio.model.disk import Disk
from vmio.model.iothread import HOST_KERNEL, MAIN_LOOP, OTHER_PROCESS, IOThread, VirtqueueMapping
from vmio.model.option import Option
from vmio.model.source import Source, Span
from vmio.model.topology import AttachedDisk, Topology, choose_default_queues
from vmio.model.vm import Vm

__all__ = [
    "Device",
    "asks_iothread",
    "can_have_iothread",
    "count_queues",
    "find_parameter",
    "find_property",
    "is_off",
    "list_described",
    "list_devices",
    "list_made_disks",
    "list_written_controllers",
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


def list_written_controllers(context: Context) -> Iterator[Controller]:
    """Yields the virtio-blk and virtio-scsi devices that the text has, in no option of QEMU's."""
    for controller in context.topology.controllers:
        if controller.where.span is not None and controller.takes_iothread:
            yield controller


class Device(Struct, frozen=True, kw_only=True):
    """A virtio-blk or virtio-scsi device that the text itself describes, and its queues."""

    id: str
    kind: str
    """QEMU's name for it, such as virtio-blk-pci."""
    queues: int | None
    """The configured number of request queues; None if none is configured."""
    mapping: tuple[VirtqueueMapping, ...]
    setting: str
    """What the text calls the number of queues."""
    queues_span: Span | None
    mapping_span: Span | None

    @property
    def is_scsi(self) -> bool:
        """Whether it is a controller for SCSI disks."""
        return self.kind.startswith("virtio-scsi")


def list_described(context: Context) -> Iterator[Device]:
    """Yields the virtio-blk and virtio-scsi devices of QEMU's own options and of the text."""
    source = context.vm.source
    for option in list_devices(context.vm):
        key = "num-queues" if "num-queues" in option.properties else "num_queues"
        yield Device(
            id=option.id or option.kind,
            kind=option.kind,
            queues=read_queues(option),
            mapping=read_mapping(option),
            setting=key,
            queues_span=find_property(source, option, key),
            mapping_span=find_property(source, option, "iothread-vq-mapping"),
        )
    disks = context.topology.disks
    own = {each.controller: each.disk.id for each in disks if each.disk.bus == "virtio"}
    for controller in list_written_controllers(context):
        spans, span = controller.where.spans, controller.where.span
        yield Device(
            id=own.get(controller.id, controller.id),
            kind=controller.model,
            queues=controller.num_queues,
            mapping=controller.iothread_vq_mapping,
            setting=name_setting(context.guest, controller.id, "queues"),
            queues_span=spans.get("queues", span),
            mapping_span=spans.get("iothread", span),
        )


def find_parameter(vm: Vm, iothread: IOThread, name: str) -> Span | None:
    """Returns the span of an IOThread's parameter, given as its field, or of the whole thread."""
    for option in vm.options:
        if option.name == "object" and option.id == iothread.id:
            return find_property(vm.source, option, name.replace("_", "-"))
    return iothread.where.spans.get(name, iothread.span)


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


def count_queues(vm: Vm, kind: str, written: int | None) -> int | None:
    """Returns the number of a device's request queues; None if it is not known.

    By default a PCI device has one per virtual processor on new enough machine versions, and one
    on older versions.

    Args:
        vm: The guest.
        kind: QEMU's name for the device.
        written: The configured number.
    """
    if written is not None:
        return written
    is_pci = "-pci" in kind or kind in {"virtio-blk", "virtio-scsi"}
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
