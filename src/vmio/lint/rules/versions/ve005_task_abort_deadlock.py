"""VE005."""

from __future__ import annotations

from vmio.lint.defects import DefectRule
from vmio.lint.diagnostic import Severity
from vmio.lint.rule import Context
from vmio.lint.versions import Versions
from vmio.model.topology import AttachedDisk

__all__ = ["TaskAbortDeadlock"]


class TaskAbortDeadlock(DefectRule):
    """Finds virtio-scsi disks of FreeBSD guests that hang QEMU when the guest aborts a request.

    ## What it does

    Looks for disks on a virtio-scsi controller, with an IOThread or without, of guests with
    `ostype: other`, which is what FreeBSD and what is built on it (OPNsense, pfSense, TrueNAS
    CORE) have. Guests whose system is Linux or Windows, or is not said, are left out.

    ## Why is this bad

    A FreeBSD guest aborts a request that takes too long, as on a busy or failing storage. QEMU
    10.0 then takes a lock that it already holds, and the whole guest stops for good.

    ## Example

    ```
    ostype: other
    scsi0: local-lvm:vm-100-disk-0,discard=on,iothread=1,size=32G,ssd=1
    scsihw: virtio-scsi-single
    ```

    ```host
    qemu_version = "10.1.0"
    pve_qemu_version = "10.1.0-1"
    ```

    ## Use instead

    ```
    ostype: other
    scsi0: local-lvm:vm-100-disk-0,discard=on,iothread=1,size=32G,ssd=1
    scsihw: virtio-scsi-single
    ```

    ```host
    qemu_version = "10.1.2"
    pve_qemu_version = "10.1.2-1"
    ```

    ## Fix safety

    There is no fix to apply: the configuration is right. Install the newer QEMU, then stop and
    start the guest or migrate it to a host that has it; a guest that runs on keeps the old one.

    ## References

    - bugzilla.proxmox.com bug 6810; forum.proxmox.com threads 171557 and 173914
    - QEMU commit 7d80d6d82d, which mends da6eebb33b of QEMU 10.0: seen with FreeBSD 13, 14 and 15;
      changelog of pve-qemu 10.1.2-1
    """

    code = "VE005"
    name = "task-abort-deadlock"
    severity = Severity.ERROR
    versions = Versions(since="10.0", pve_before="10.1.2-1", pve_only=True)
    option = "file"

    def concerns(self, context: Context, attached: AttachedDisk) -> bool:
        """Returns whether it hangs on a virtio-scsi controller of a guest that may be FreeBSD."""
        controller = context.topology.controller_of(attached)
        is_virtio_scsi = controller.bus == "scsi" and controller.takes_iothread
        return is_virtio_scsi and context.vm.settings.get("ostype") == "other"

    def explain(self, disks: str) -> str:
        """Returns what can happen to the disks."""
        return (
            f"the guest stops for good when it aborts a request to {disks}, as FreeBSD does with"
            " slow ones: this QEMU deadlocks in virtio-scsi"
        )
