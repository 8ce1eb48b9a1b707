"""VE001."""

from __future__ import annotations

from vmio.lint.defects import DefectRule, is_on_iothread
from vmio.lint.diagnostic import Severity
from vmio.lint.rule import Context
from vmio.lint.versions import Versions
from vmio.model.topology import AttachedDisk

__all__ = ["StuckIoAfterDrain"]


class StuckIoAfterDrain(DefectRule):
    """Finds disks on IOThreads whose I/O QEMU 8.1 can lose for good after a pause in it.

    ## What it does

    Looks for disks that an IOThread serves while the host has QEMU 8.1.

    ## Why is this bad

    Backups, mirrors and hotplugs stop a disk's I/O for a moment (QEMU calls it draining). QEMU 8.1
    can come out of that with the guest's notifications switched off: the guest goes on queueing
    requests and QEMU never looks at them. The guest's disk hangs until the guest is paused and
    resumed, or stopped.

    ## Example

    ```
    scsi0: local-lvm:vm-100-disk-0,discard=on,iothread=1,size=32G,ssd=1
    scsihw: virtio-scsi-single
    ```

    ```host
    qemu_version = "8.1.5"
    pve_qemu_version = "8.1.5-1"
    ```

    ## Use instead

    ```
    scsi0: local-lvm:vm-100-disk-0,discard=on,iothread=1,size=32G,ssd=1
    scsihw: virtio-scsi-single
    ```

    ```host
    qemu_version = "8.1.5"
    pve_qemu_version = "8.1.5-2"
    ```

    ## Fix safety

    There is no fix to apply: the configuration is right. Install the newer QEMU, then stop and
    start the guest or migrate it to a host that has it; a guest that runs on keeps the old one.

    ## References

    - Changelog of pve-qemu: a first work-around in 8.1.2-5 made IOThreads use too much processor
      time and was taken back in 8.1.2-6; the one of 8.1.5-2 stayed
    - RHEL-3934; forum.proxmox.com threads 137286 and 138140
    """

    code = "VE001"
    name = "stuck-io-after-drain"
    severity = Severity.ERROR
    versions = Versions(since="8.1", before="8.2", pve_before="8.1.5-2")

    def concerns(self, context: Context, attached: AttachedDisk) -> bool:
        """Returns whether an IOThread serves the disk."""
        return is_on_iothread(context, attached)

    def explain(self, disks: str) -> str:
        """Returns what can happen to the disks."""
        return (
            f"I/O of {disks} can hang for good after a backup, a mirror or a hotplug: QEMU 8.1"
            " loses the guest's notifications when it drains an IOThread's queues"
        )
