"""The steps of a plan in words, for people who write QEMU's command line."""

from __future__ import annotations

from typing import assert_never

from vmio.formats.base import Guest, Words
from vmio.formats.words import (
    GAIN,
    RUN,
    VIRTIO_BLK_OF_MACOS,
    are,
    join,
    list_served,
    tell_map_queues,
)
from vmio.model.plan import Plan, Step

__all__ = ["describe_step", "list_notes"]

_ONLY_VIRTIO = f"{RUN}: only virtio-blk and virtio-scsi have the property iothread"

_BY_HAND = (
    "write iothread=NAME into the device and add -object iothread,id=NAME; vmio changes no device"
    " that is written in JSON or in another file, that has no id, or whose ioeventfd is off, which"
    " QEMU requires to be on"
)


def describe_step(guest: Guest, plan: Plan, step: Step) -> Words:
    """Returns a step, the reason for it, and what a person does if vmio cannot."""
    disks = join(step.disks) if step.disks else ""
    match step.kind:
        case "give-threads":
            return Words(
                what=f"Give {disks} an IOThread{' each' * (len(step.disks) > 1)}",
                why="without one QEMU's main loop does their I/O, between everything else that it"
                " does",
                source=RUN,
                effect=GAIN,
                how=_BY_HAND if step.obstacle else "",
            )
        case "share-threads" | "drop-threads":
            count, spread = list_served(plan.after)
            return Words(
                what=f"Spread the disks over {count} IOThread{'s' * (count > 1)}",
                why="a thread serves several disks",
                source=RUN,
                effect=spread,
            )
        case "separate-controllers" | "move-disks" if step.obstacle == "macos":
            return Words(
                what=f"Leave {disks} in place: macOS has no driver for virtio-scsi",
                why=f"{disks} {are(step.disks)} on an emulated controller, which the main loop"
                " serves",
                source="the device isa-applesmc, which only macOS needs",
                how=f"nothing to do. {VIRTIO_BLK_OF_MACOS}",
            )
        case "separate-controllers" | "move-disks":
            return Words(
                what=f"Put {disks} on virtio-scsi or virtio-blk, if the guest has its driver",
                why=f"{disks} {are(step.disks)} on an emulated controller, which the main loop"
                " serves",
                source=_ONLY_VIRTIO,
                how="write another device for each, with the guest's boot order and its driver in"
                " mind; without the driver the guest does not find the disk, and ESXi, for one,"
                " has none",
            )
        case "map-queues":
            return tell_map_queues(
                plan, step, source=RUN, how="write it into the command line yourself: "
            )
        case "choose-queues":
            return Words(
                what=f"Let QEMU choose the queues of {disks}",
                why=f"a guest with {guest.vm.vcpus} vCPUs uses no more queues than that",
                source="QEMU since 5.2: one queue for each vCPU; Linux, virtio_scsi",
                how="remove num_queues from the controller's device",
            )
        case "keep-held":
            return Words(
                what=f"Leave {disks} in place",
                why="other options name them",
                source=RUN,
                how="nothing to do",
            )
        case "widen-affinity":
            return Words(
                what="Widen the processors that the guest is bound to",
                why="its vCPUs and IOThreads take time from each other",
                source="KubeVirt user guide, 'IOThreads with Dedicated CPUs'",
                how="choose processors that no other guest is bound to",
            )
        case _:
            assert_never(step.kind)


def list_notes(guest: Guest) -> tuple[str, ...]:
    """Returns notes about a guest's disks that no step is about."""
    if any(disk.keeps_data for disk in guest.vm.disks):
        return ()
    return ("the guest has no disk, so there is nothing to serve",)
