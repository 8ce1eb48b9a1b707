"""The steps of a plan in words, for libvirt's users.

Source: libvirt 11.3.0, run: what takes effect at once, at the next start, and what brings an old
layout back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, assert_never

from vmio.formats.base import Words
from vmio.formats.libvirt.guest import LibvirtGuest
from vmio.formats.libvirt.obstacles import find_place, find_scsi
from vmio.formats.libvirt.versions import Feature, find_since, has_feature
from vmio.formats.shell import quote
from vmio.formats.words import GAIN, RUN, VIRTIO_BLK_OF_MACOS, are, join
from vmio.model.host import parse_processors
from vmio.model.iothread import MAIN_LOOP
from vmio.model.plan import Plan, Step
from vmio.model.topology import Topology

__all__ = ["describe_step", "list_notes"]

_FORMAT: Final = "libvirt, domain format"
_RUN: Final = "libvirt 11.3.0, run"
_OLD: Final = "a managed save or a snapshot from before it brings the old layout back"
_NAMES: Final = (
    "its SCSI disks are on other controllers: names under /dev/disk/by-path change, those by UUID,"
    " label and id stay, and Linux can give /dev/sdX in another order from boot to boot"
)
_DRIVER: Final = (
    "the driver virtio_scsi (in Linux's initramfs, or vioscsi of virtio-win, which Windows has to"
    " have seen a device of once)"
)
_MAPPINGS: Final[Mapping[Feature, str]] = {
    "blk-mapping": "virtio-blk",
    "scsi-mapping": "virtio-scsi",
}
_SILENT: Final = "an older libvirt drops it without a word"


def describe_step(guest: LibvirtGuest, plan: Plan, step: Step) -> Words:
    """Returns a step, the reason for it, and what a person does if vmio cannot."""
    match step.kind:
        case "give-threads":
            return _give_threads(guest, step)
        case "share-threads" | "drop-threads":
            return _share_threads(guest, plan, step)
        case "separate-controllers":
            return _separate(guest, step)
        case "move-disks":
            return _move_disks(guest, step)
        case "map-queues":
            return _map_queues(guest, step)
        case "choose-queues":
            return Words(
                what=f"Let QEMU choose the queues of {join(step.disks)}",
                why=f"a guest with {guest.vm.vcpus} vCPUs uses no more queues than that",
                source="QEMU since 5.2: one queue for each vCPU; Linux, virtio_scsi",
                effect=f"one queue for each vCPU; {_OLD}",
            )
        case "keep-held":
            return Words(
                what=f"Look through QEMU's own options, which name {join(step.disks)} or a"
                " controller",
                why="what stands there would not fit another layout, so these disks are left as"
                " they are",
                source=f"{_RUN}: a device's alias follows its address",
                how="take out of <qemu:commandline> and <qemu:override> what is about these disks,"
                " or keep it and let them be",
            )
        case "widen-affinity":
            return _widen_affinity(guest, plan, step)
        case _:
            assert_never(step.kind)


def _give_threads(guest: LibvirtGuest, step: Step) -> Words:
    return Words(
        what=f"Give {join(step.disks)} an IOThread{' each' * (len(step.disks) > 1)}",
        why="the main loop does everything else, too, and a shared thread the I/O of other disks",
        source=f"{_FORMAT}, 'IOThreads Allocation'",
        effect=f"{GAIN}; {_OLD}",
        how=_tell_ioeventfd(guest) if step.obstacle else "",
    )


def _share_threads(guest: LibvirtGuest, plan: Plan, step: Step) -> Words:
    if step.obstacle:
        return _tell_polling(guest, step)
    separates = any(change.property == "controllers" for change in step.changes)
    served = _list_served(plan.after)
    return Words(
        what=f"Spread the disks over {len(served)} IOThread{'s' * (len(served) > 1)}",
        why="a thread serves several disks",
        source=f"{_FORMAT}, 'IOThreads Allocation'",
        effect="; ".join((*served, *(() if step.live else (_OLD,)))),
        guest_notices=_NAMES if separates else "",
    )


def _move_disks(guest: LibvirtGuest, step: Step) -> Words:
    if step.obstacle == "macos":
        return _leave_macos(step)
    disks = join(step.disks)
    return Words(
        what=f"Move {disks} to virtio-scsi, if the guest has its driver",
        why="IDE and AHCI are emulated in the main loop, and libvirt gives neither an IOThread",
        source=f"{_RUN}: 'IOThreads not available for bus sata'",
        guest_notices=f"it needs {_DRIVER}; names by path and id change",
        how=f"in {_edit(guest)}: write <controller type='scsi' model='virtio-scsi'/>, give each"
        " disk bus='scsi' and a target such as sda, and remove its <address>; then plan again."
        " Without the driver the guest does not find the disk",
    )


def _leave_macos(step: Step) -> Words:
    disks = join(step.disks)
    return Words(
        what=f"Leave {disks} in place: macOS has no driver for virtio-scsi",
        why=f"{disks} {are(step.disks)} on an emulated controller, which the main loop serves",
        source="<qemu:commandline> has what only macOS needs: Apple's SMC",
        how=f"nothing to do. {VIRTIO_BLK_OF_MACOS}",
    )


def _list_served(topology: Topology) -> tuple[str, ...]:
    """Returns the disks of each thread, in words."""
    served: dict[str, list[str]] = {}
    for attached in topology.disks:
        for thread in topology.served_by(attached):
            if thread != MAIN_LOOP:
                served.setdefault(thread, []).append(attached.disk.id)
    return tuple(f"{thread} serves {join(disks)}" for thread, disks in served.items())


def list_notes(guest: LibvirtGuest) -> tuple[str, ...]:
    """Returns notes about a guest's disks that no step is about."""
    return tuple(_list_notes(guest))


def _list_notes(guest: LibvirtGuest) -> Iterator[str]:
    if guest.remark:
        yield guest.remark
    if not any(disk.keeps_data for disk in guest.vm.disks):
        yield "the guest has no disk, so there is nothing to serve"
    yield from (message for message, _ in guest.domain.unreadable)


def _edit(guest: LibvirtGuest) -> str:
    """Returns the command by which a person changes a domain."""
    # Anybody can have written the domain, and a person may paste this into a shell.
    return f"virsh edit {quote(guest.vm.id)}"


def _separate(guest: LibvirtGuest, step: Step) -> Words:
    if step.obstacle == "macos":
        return _leave_macos(step)
    disks = join(step.disks)
    if not step.obstacle:
        return Words(
            what="Give each SCSI disk a virtio-scsi controller of its own",
            why="libvirt gives an IOThread to a controller and not to a SCSI disk, and a drive"
            " beside a disk shares its controller",
            source=f"{_FORMAT}, 'Controllers'; {_RUN}",
            effect="each SCSI disk has a controller to itself, and can have a thread to itself;"
            f" {_OLD}",
            guest_notices=_NAMES,
        )
    models = {
        controller.model
        for name in step.disks
        if (place := find_place(guest, name)) is not None
        and find_scsi(guest, place) is None
        and place.drive is not None
        and (controller := guest.placed.find_controller("scsi", place.drive.controller))
        is not None
    }
    named = f" (model='{join(sorted(models))}')" if models else ""
    return Words(
        what=f"Put {disks} on virtio-scsi, if the guest has its driver",
        why=f"{disks} {are(step.disks)} on an emulated controller{named}, which the main loop"
        " serves",
        source=f"{_RUN}: 'iothread' attribute only supported for virtio scsi controllers",
        guest_notices=f"it needs {_DRIVER}; {_NAMES}",
        how=f"in {_edit(guest)}: give the controller model='virtio-scsi', or write one"
        " where libvirt adds it by itself (<controller type='scsi' model='virtio-scsi'/>); then"
        " plan again. Without the driver the guest does not find its disks",
    )


def _tell_ioeventfd(guest: LibvirtGuest) -> str:
    return (
        f"in {_edit(guest)}: remove ioeventfd='off', with which QEMU does not start a device that"
        " has an IOThread; a device of virtio-mmio can have none. Then plan again"
    )


def _tell_polling(guest: LibvirtGuest, step: Step) -> Words:
    poll = next((change.new for change in step.changes), None) or "0"
    return Words(
        what=f"Set the polling of their IOThreads to {poll} ns at each start",
        why="a libvirt before 9.4 keeps no polling in a domain, and drops <poll> without a word",
        source="libvirt 9.0.0, run",
        effect="at once, until the guest stops",
        how=f"after each start, for each ID: virsh iothreadset {quote(guest.vm.id)} ID"
        f" --poll-max-ns {poll} --live",
    )


def _map_queues(guest: LibvirtGuest, step: Step) -> Words:
    number = len((step.changes[0].new or "").split(","))
    how = ""
    if step.obstacle == "unsayable":
        since = " and ".join(
            f"{find_since(feature)} for {device}"
            for feature, device in _MAPPINGS.items()
            if not has_feature(guest.version, feature)
        )
        how = (
            f"libvirt has it since {since}, and {_SILENT}: upgrade libvirt, or choose per-disk"
            if since
            else _tell_ioeventfd(guest)
        )
    elif step.obstacle:
        how = "QEMU's own options in the domain name these disks: take that out, or let them be"
    return Words(
        what=f"Map the queues of {join(step.disks)} to {number} IOThreads",
        why="one IOThread for a fast disk of a guest with many vCPUs is soon busy",
        source=f"{_FORMAT}, <iothreads> of a disk's or a controller's driver; {RUN}",
        effect="on a local Optane disk 4 threads made 1.8 times to 2.1 times the requests of one"
        f" (KVM Forum 2024; qemu-devel, 2025-03-11); {_OLD}",
        how=how,
    )


def _widen_affinity(guest: LibvirtGuest, plan: Plan, step: Step) -> Words:
    (change,) = step.changes
    written = change.old or ""
    added = (change.new or "").rpartition(",")[2]
    place = f", such as {added} of the same NUMA node," if added else ""
    threads = len({thread.id for thread in plan.after.iothreads})
    name = quote(guest.vm.id)
    return Words(
        what="Pin the IOThreads beside the vCPUs",
        why=f"the domain leaves {parse_processors(written).bit_count()} processors to"
        f" {guest.vm.vcpus} vCPUs and {threads} IOThreads, which take time from each other",
        source="KubeVirt user guide, 'IOThreads with Dedicated CPUs'; libvirt's <iothreadpin>",
        how=f"choose processors{place} that no other guest is bound to, and run for each ID: virsh"
        f" iothreadpin {name} ID CPUS --config, and with --live for the running guest",
    )
