"""QU005."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.lint.diagnostic import Applicability, Diagnostic, Fix, Severity
from vmio.lint.rule import Context
from vmio.lint.rules.proxmox.rule import ProxmoxRule, guest_of
from vmio.model.controller import QUEUE_PER_VCPU_SINCE
from vmio.model.topology import AttachedDisk, Topology

__all__ = ["MachineTypeWithOneQueue"]


class MachineTypeWithOneQueue(ProxmoxRule):
    """Finds guests whose machine version is too old for a queue per virtual processor.

    ## What it does

    Looks for virtio disks without `queues` in guests with several virtual processors and a machine
    version before 5.2. Proxmox VE gives Windows guests version 5.1 if neither the config nor
    its `meta` names a newer one.

    ## Why is this bad

    Up to version 5.1 a virtio-blk device and a virtio-scsi controller have one request queue
    unless a number is set; from 5.2 on they have one per virtual processor. With one queue all
    processors contend for it.

    ## Example

    ```
    cores: 4
    machine: pc-i440fx-5.1
    virtio0: local-lvm:vm-100-disk-0,iothread=1,size=32G
    ```

    ## Use instead

    ```
    cores: 4
    machine: pc-i440fx-10.0
    virtio0: local-lvm:vm-100-disk-0,iothread=1,size=32G
    ```

    ## Fix safety

    There is no fix to apply: another machine version is another machine to the guest, and Windows
    may detect devices as new; take a snapshot first. With `virtio-scsi-single`, `queues=` on a
    drive does the same for that drive alone.

    ## References

    - QEMU 5.2, release notes and the properties that keep older machines as they were
    - qemu-server 9.2.6: the machine version of Windows guests
    """

    code = "QU005"
    name = "machine-type-with-one-queue"
    severity = Severity.INFO
    elsewhere = "Command lines are checked only for configured numbers of queues (QU004)."
    blanks = (("libvirt", "Domains are checked only for configured numbers of queues (QU004)."),)

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields one finding per guest."""
        vm, guest = context.vm, guest_of(context)
        is_old = (0, 0) < vm.machine_version < QUEUE_PER_VCPU_SINCE
        if not is_old or vm.vcpus == 1:
            return
        slow = [disk for disk in context.topology.disks if _has_one_queue(context.topology, disk)]
        if not slow:
            return
        version = ".".join(map(str, vm.machine_version))
        where = guest.spans.get("machine") or guest.spans.get("ostype") or slow[0].disk.span
        yield self.report(
            context,
            f"virtio disks have one request queue for {vm.vcpus} virtual processors on a machine"
            f" of version {version}",
            subject="machine",
            span=where,
            notes=(f"this applies to {', '.join(attached.disk.id for attached in slow)}",),
            fix=Fix(
                applicability=Applicability.MANUAL,
                message="choose a machine version of 5.2 or later, after a snapshot",
            ),
        )


def _has_one_queue(topology: Topology, attached: AttachedDisk) -> bool:
    """Returns whether a disk's virtio controller has the single queue of an old machine."""
    controller = topology.controller_of(attached)
    is_virtio = controller.takes_iothread and attached.disk.keeps_data
    return is_virtio and controller.num_queues is None
