"""VE015."""

from __future__ import annotations

from vmio.lint.defects import DefectRule, is_on_iothread
from vmio.lint.diagnostic import Severity
from vmio.lint.rule import Context
from vmio.lint.versions import Versions
from vmio.model.topology import AttachedDisk

__all__ = ["SnapshotResumeCrash"]


class SnapshotResumeCrash(DefectRule):
    """Finds disks on IOThreads with which pve-qemu 8.0.2 cannot resume a guest.

    ## What it does

    Looks for disks that an IOThread serves while the host has pve-qemu 8.0 before 8.0.2-4.

    ## Why is this bad

    A guest that is backed up to a Proxmox Backup Server has dirty bitmaps, and a snapshot with
    memory or a hibernation saves them. These packages cannot load them back when the disk is on an
    IOThread: QEMU fails, and the guest neither resumes nor rolls back.

    ## Example

    ```
    scsi0: local-lvm:vm-100-disk-0,discard=on,iothread=1,size=32G,ssd=1
    scsihw: virtio-scsi-single
    ```

    ```host
    qemu_version = "8.0.2"
    pve_qemu_version = "8.0.2-3"
    ```

    ## Use instead

    ```
    scsi0: local-lvm:vm-100-disk-0,discard=on,iothread=1,size=32G,ssd=1
    scsihw: virtio-scsi-single
    ```

    ```host
    qemu_version = "8.0.2"
    pve_qemu_version = "8.0.2-7"
    ```

    ## Fix safety

    There is no fix to apply: the configuration is right. Install the newer QEMU, then stop and
    start the guest or migrate it to a host that has it; a guest that runs on keeps the old one.

    ## References

    - Changelog of pve-qemu 8.0.2-4; forum.proxmox.com thread 129899
    """

    code = "VE015"
    name = "snapshot-resume-crash"
    severity = Severity.ERROR
    versions = Versions(since="8.0", pve_before="8.0.2-4", pve_only=True)

    def concerns(self, context: Context, attached: AttachedDisk) -> bool:
        """Returns whether an IOThread serves the disk."""
        return is_on_iothread(context, attached)

    def explain(self, disks: str) -> str:
        """Returns what can happen to the disks."""
        return (
            "a snapshot with memory, or a hibernation, may not resume: this QEMU cannot load"
            f" the dirty bitmaps that backups leave on {disks}, on an IOThread"
        )
