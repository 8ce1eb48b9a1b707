"""VE002."""

from __future__ import annotations

from vmio.lint.defects import DefectRule, is_on_iothread
from vmio.lint.diagnostic import Severity
from vmio.lint.rule import Context
from vmio.lint.versions import Versions
from vmio.model.topology import AttachedDisk

__all__ = ["ResizeDeadlock"]


class ResizeDeadlock(DefectRule):
    """Finds disks on IOThreads that hang the guest when they are resized under QEMU 8.1.

    ## What it does

    Looks for disks that an IOThread serves while the host has one of the first releases of QEMU
    8.1.

    ## Why is this bad

    To resize a disk, QEMU takes the lock of the disk's event loop, and these releases can take it
    twice. The main loop then waits for itself: the guest stops and its monitor answers no more.

    ## Example

    ```
    scsi0: local-lvm:vm-100-disk-0,discard=on,iothread=1,size=32G,ssd=1
    scsihw: virtio-scsi-single
    ```

    ```host
    qemu_version = "8.1.2"
    pve_qemu_version = "8.1.2-4"
    ```

    ## Use instead

    ```
    scsi0: local-lvm:vm-100-disk-0,discard=on,iothread=1,size=32G,ssd=1
    scsihw: virtio-scsi-single
    ```

    ```host
    qemu_version = "8.1.5"
    pve_qemu_version = "8.1.5-3"
    ```

    ## Fix safety

    There is no fix to apply: the configuration is right. Install the newer QEMU, then stop and
    start the guest or migrate it to a host that has it; a guest that runs on keeps the old one.

    ## References

    - Changelog of pve-qemu 8.1.2-5: a potential deadlock of the QMP command that resizes a disk
      which uses an IOThread
    """

    code = "VE002"
    name = "resize-deadlock"
    severity = Severity.ERROR
    versions = Versions(since="8.1", before="8.1.4", pve_before="8.1.2-5")

    def concerns(self, context: Context, attached: AttachedDisk) -> bool:
        """Returns whether an IOThread serves the disk."""
        return is_on_iothread(context, attached)

    def explain(self, disks: str) -> str:
        """Returns what can happen to the disks."""
        return (
            f"resizing {disks} while the guest runs can hang it for good: this QEMU may wait for"
            " itself when it resizes a disk on an IOThread"
        )
