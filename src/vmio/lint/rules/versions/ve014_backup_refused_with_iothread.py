"""VE014."""

from __future__ import annotations

from vmio.lint.defects import DefectRule, is_on_iothread
from vmio.lint.diagnostic import Severity
from vmio.lint.rule import Context
from vmio.lint.versions import Versions
from vmio.model.topology import AttachedDisk

__all__ = ["BackupRefusedWithIothread"]


class BackupRefusedWithIothread(DefectRule):
    """Finds disks on IOThreads that Proxmox VE 5 could not back up.

    ## What it does

    Looks for disks that an IOThread serves while the host has pve-qemu before 4.0.1, of 2019.

    ## Why is this bad

    Backups of a running guest fail or are refused as soon as one of its disks is on an IOThread.
    It is the origin of the advice to leave IOThreads off for the sake of backups, which has had no
    reason since then.

    ## Example

    ```
    scsi0: local-lvm:vm-100-disk-0,discard=on,iothread=1,size=32G,ssd=1
    scsihw: virtio-scsi-single
    ```

    ```host
    qemu_version = "4.0.0"
    pve_qemu_version = "4.0.0-7"
    ```

    ## Use instead

    ```
    scsi0: local-lvm:vm-100-disk-0,discard=on,iothread=1,size=32G,ssd=1
    scsihw: virtio-scsi-single
    ```

    ```host
    qemu_version = "9.2.0"
    pve_qemu_version = "9.2.0-5"
    ```

    ## Fix safety

    There is no fix to apply: the configuration is right. Install the newer QEMU, then stop and
    start the guest or migrate it to a host that has it; a guest that runs on keeps the old one.

    ## References

    - Changelog of pve-qemu 4.0.1; bugzilla.proxmox.com bug 1071
    """

    code = "VE014"
    name = "backup-refused-with-iothread"
    severity = Severity.WARNING
    versions = Versions(before="4.0.1", pve_only=True)

    def concerns(self, context: Context, attached: AttachedDisk) -> bool:
        """Returns whether an IOThread serves the disk."""
        return is_on_iothread(context, attached)

    def explain(self, disks: str) -> str:
        """Returns what can happen to the disks."""
        return (
            f"backups of the running guest fail: pve-qemu before 4.0.1 cannot back up {disks} on"
            " an IOThread"
        )
