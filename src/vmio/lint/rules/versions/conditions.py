"""The conditions under which a defect affects a guest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from vmio.lint.defects import Hit
from vmio.lint.devices import runs_in_iothread
from vmio.lint.rule import Context
from vmio.model.topology import AttachedDisk
from vmio.model.vm import Vm

__all__ = [
    "find_disks",
    "find_shared_throttle_groups",
    "find_tpm",
    "is_ide_or_sata_with_io_uring",
    "is_local_and_migrates",
    "is_on_iothread",
    "is_on_iothread_with_io_uring",
    "is_qcow2_with_discard",
    "is_virtio_blk_on_iothread",
    "is_virtio_scsi_of_other_system",
    "is_virtio_scsi_on_iothread",
    "is_writable_sata",
]

_LOCAL = frozenset({"btrfs", "thin-lvm", "zvol"})
_LIMITS = tuple(f"{kind}{way}" for kind in ("mbps", "iops") for way in ("", "_rd", "_wr"))
"""Proxmox's names of the options to point at."""


def find_disks(
    concerns: Callable[[Context, AttachedDisk], bool], *, option: str = "iothread"
) -> Callable[[Context], Iterable[Hit]]:
    """Returns a function that finds all affected disks of a guest and reports them together.

    Args:
        concerns: Whether the defect affects a disk.
        option: The drive's option that the finding points at, by Proxmox's name.
    """

    def find(context: Context) -> Iterator[Hit]:
        disks = [
            attached.disk
            for attached in context.topology.disks
            if attached.disk.media == "disk"
            and not attached.disk.cloudinit
            and concerns(context, attached)
        ]
        if disks:
            first, names = disks[0], ", ".join(disk.id for disk in disks)
            yield Hit(first.id, first.spans.get(option, first.span), disks=names)

    return find


def is_on_iothread(context: Context, attached: AttachedDisk) -> bool:
    """Returns whether an IOThread serves at least one of a disk's queues."""
    return runs_in_iothread(context.topology, attached)


def is_virtio_blk_on_iothread(context: Context, attached: AttachedDisk) -> bool:
    """Returns whether it is a virtio-blk disk that an IOThread serves."""
    return attached.disk.bus == "virtio" and is_on_iothread(context, attached)


def is_virtio_scsi_on_iothread(context: Context, attached: AttachedDisk) -> bool:
    """Returns whether it is on a virtio-scsi controller that an IOThread serves."""
    return attached.disk.bus == "scsi" and is_on_iothread(context, attached)


def is_virtio_scsi_of_other_system(context: Context, attached: AttachedDisk) -> bool:
    """Returns whether it is on a virtio-scsi controller of a guest that may be FreeBSD."""
    controller = context.topology.controller_of(attached)
    is_virtio_scsi = controller.bus == "scsi" and controller.takes_iothread
    return is_virtio_scsi and context.vm.os == "other" and not context.vm.system


def is_on_iothread_with_io_uring(context: Context, attached: AttachedDisk) -> bool:
    """Returns whether an IOThread serves it with io_uring."""
    return attached.aio == "io_uring" and is_on_iothread(context, attached)


def is_ide_or_sata_with_io_uring(_: Context, attached: AttachedDisk) -> bool:
    """Returns whether it is an IDE or SATA disk on io_uring."""
    return attached.disk.bus in {"ide", "sata"} and attached.aio == "io_uring"


def is_writable_sata(context: Context, attached: AttachedDisk) -> bool:
    """Returns whether it is a disk on AHCI that can be written."""
    disk, controller = attached.disk, context.topology.controller_of(attached)
    is_ahci = disk.bus == "sata" or controller.model.endswith("ahci")
    return is_ahci and not disk.read_only and not disk.snapshot


def is_qcow2_with_discard(_: Context, attached: AttachedDisk) -> bool:
    """Returns whether its image is qcow2 and takes discards."""
    backing = attached.disk.backing
    return (
        attached.disk.discard == "unmap"
        and backing is not None
        and backing.format == "qcow2"
        and not backing.error
    )


def is_local_and_migrates(context: Context, attached: AttachedDisk) -> bool:
    """Returns whether its storage belongs to this host alone and the guest can be migrated."""
    backing = attached.disk.backing
    is_local = backing is not None and backing.kind in _LOCAL
    return is_local and not _is_bound(context.vm)


def _is_bound(vm: Vm) -> bool:
    """Returns whether a device of the host prevents the migration of a running guest."""
    return vm.uses_host_devices or any(disk.volume.startswith("/dev/") for disk in vm.disks)


def find_tpm(context: Context) -> Iterator[Hit]:
    """Yields a guest's TPM, unless its storage is known to be used without io_uring."""
    vm = context.vm
    if vm.tpm_storage is None:
        return
    on_same = (
        disk.backing
        for disk in vm.disks
        if disk.backing is not None and disk.backing.storage == vm.tpm_storage
    )
    if not any(backing.io_uring == "no" and not backing.error for backing in on_same):
        yield Hit("tpmstate0", vm.spans.get("tpm"))


def find_shared_throttle_groups(context: Context) -> Iterator[Hit]:
    """Yields each throttle group that more than one thread serves."""
    for disks in _group_disks(context):
        threads = {thread for one in disks for thread in context.topology.served_by(one)}
        if len(threads) > 1:
            first = disks[0].disk
            yield Hit(
                first.id,
                next(filter(None, map(first.spans.get, _LIMITS)), first.span),
                disks=", ".join(sorted(attached.disk.id for attached in disks)),
                threads=", ".join(sorted(threads)),
            )


def _group_disks(context: Context) -> list[list[AttachedDisk]]:
    """Returns the limited disks, grouped by throttle group."""
    drives = _find_groups(context.vm)
    devices = {
        option.id: drives.get(option.properties.get("drive", ""), "")
        for option in context.vm.options
        if option.name == "device" and option.id
    }
    groups: dict[tuple[str, str], list[AttachedDisk]] = {}
    for attached in context.topology.disks:
        disk = attached.disk
        if disk.limits and disk.media == "disk":
            group = devices.get(disk.id) or disk.throttle_group
            key = ("group", group) if group else ("disk", disk.id)
            groups.setdefault(key, []).append(attached)
    return list(groups.values())


def _find_groups(vm: Vm) -> dict[str, str]:
    """Returns the throttle group by node or drive; by default a drive has its own."""
    groups = {}
    for option in vm.options:
        if option.name == "blockdev" and option.kind == "throttle":
            node = option.properties.get("node-name", "")
            groups[node] = option.properties.get("throttle-group", "")
        elif option.name == "drive":
            groups[option.id] = option.properties.get("throttling.group", option.id)
    return groups
