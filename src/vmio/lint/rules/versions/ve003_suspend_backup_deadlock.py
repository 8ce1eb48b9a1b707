"""VE003."""

from __future__ import annotations

from vmio.lint.defects import DefectRule, is_on_iothread
from vmio.lint.diagnostic import Severity
from vmio.lint.rule import Context
from vmio.lint.versions import Versions
from vmio.model.topology import AttachedDisk

__all__ = ["SuspendBackupDeadlock"]


class SuspendBackupDeadlock(DefectRule):
    """Finds virtio-blk disks on IOThreads that can hang QEMU 8.1 when the guest is paused.

    ## What it does

    Looks for `virtioN` disks that an IOThread serves while the host has QEMU 8.1.

    ## Why is this bad

    Backups in the mode "suspend" pause the guest first. With a virtio-blk disk on an IOThread the
    QMP command `stop` can wait for ever, so the guest stays paused and its monitor answers no
    more.

    ## Example

    ```
    virtio0: local-lvm:vm-100-disk-0,discard=on,iothread=1,size=32G
    ```

    ```host
    qemu_version = "8.1.5"
    pve_qemu_version = "8.1.5-2"
    ```

    ## Use instead

    ```
    virtio0: local-lvm:vm-100-disk-0,discard=on,iothread=1,size=32G
    ```

    ```host
    qemu_version = "8.1.5"
    pve_qemu_version = "8.1.5-3"
    ```

    ## Fix safety

    There is no fix to apply: the configuration is right. Install the newer QEMU, then stop and
    start the guest or migrate it to a host that has it; a guest that runs on keeps the old one.

    ## References

    - Changelog of pve-qemu 8.1.5-3: a potential deadlock of the QMP command `stop` with VirtIO
      block and IO Thread
    - forum.proxmox.com thread 141320
    """

    code = "VE003"
    name = "suspend-backup-deadlock"
    severity = Severity.ERROR
    versions = Versions(since="8.1", before="8.2", pve_before="8.1.5-3")

    def concerns(self, context: Context, attached: AttachedDisk) -> bool:
        """Returns whether it is a virtio-blk disk that an IOThread serves."""
        return attached.disk.bus == "virtio" and is_on_iothread(context, attached)

    def explain(self, disks: str) -> str:
        """Returns what can happen to the disks."""
        return (
            'pausing the guest, as a backup in mode "suspend" does, can hang it for good:'
            f" QEMU 8.1 may deadlock with {disks} on an IOThread"
        )
