"""VE004."""

from __future__ import annotations

from vmio.lint.defects import DefectRule, is_on_iothread
from vmio.lint.diagnostic import Severity
from vmio.lint.rule import Context
from vmio.lint.versions import Versions
from vmio.model.topology import AttachedDisk

__all__ = ["SnapshotCrash"]


class SnapshotCrash(DefectRule):
    """Finds virtio-blk disks on IOThreads that crash pve-qemu 9.0.0 after a snapshot.

    ## What it does

    Looks for `virtioN` disks that an IOThread serves while the host has pve-qemu 9.0.0 before
    9.0.0-4.

    ## Why is this bad

    After a snapshot that leaves the guest's memory out, QEMU crashes, and with it the guest.

    ## Example

    ```
    virtio0: local-lvm:vm-100-disk-0,discard=on,iothread=1,size=32G
    ```

    ```host
    qemu_version = "9.0.0"
    pve_qemu_version = "9.0.0-3"
    ```

    ## Use instead

    ```
    virtio0: local-lvm:vm-100-disk-0,discard=on,iothread=1,size=32G
    ```

    ```host
    qemu_version = "9.0.2"
    pve_qemu_version = "9.0.2-4"
    ```

    ## Fix safety

    There is no fix to apply: the configuration is right. Install the newer QEMU, then stop and
    start the guest or migrate it to a host that has it; a guest that runs on keeps the old one.

    ## References

    - Changelog of pve-qemu 9.0.0-4; forum.proxmox.com thread 149883
    """

    code = "VE004"
    name = "snapshot-crash"
    severity = Severity.ERROR
    versions = Versions(since="9.0", pve_before="9.0.0-4", pve_only=True)

    def concerns(self, context: Context, attached: AttachedDisk) -> bool:
        """Returns whether it is a virtio-blk disk that an IOThread serves."""
        return attached.disk.bus == "virtio" and is_on_iothread(context, attached)

    def explain(self, disks: str) -> str:
        """Returns what can happen to the disks."""
        return (
            "a snapshot without memory can crash the guest: this QEMU does not get over it with"
            f" {disks} on an IOThread"
        )
