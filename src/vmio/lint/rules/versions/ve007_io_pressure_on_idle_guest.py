"""VE007."""

from __future__ import annotations

from vmio.lint.defects import DefectRule, is_on_iothread
from vmio.lint.diagnostic import Severity
from vmio.lint.rule import Context
from vmio.lint.versions import Versions
from vmio.model.topology import AttachedDisk

__all__ = ["IoPressureOnIdleGuest"]


class IoPressureOnIdleGuest(DefectRule):
    """Finds IOThreads that make an idle guest look busy under QEMU 10.2.

    ## What it does

    Looks for disks that an IOThread serves while the host has QEMU 10.2.0 or 10.2.1 without
    Proxmox VE's patch.

    ## Why is this bad

    QEMU 10.2 waits for events with io_uring, and Linux counts a thread that waits there as waiting
    for I/O. Every idle IOThread then shows up as I/O pressure and iowait of nearly 100 %. Nothing
    is slower for it, but graphs and alarms mislead, and so may tools that place guests by
    pressure.

    ## Example

    ```
    scsi0: local-lvm:vm-100-disk-0,discard=on,iothread=1,size=32G,ssd=1
    scsihw: virtio-scsi-single
    ```

    ```host
    qemu_version = "10.2.1"
    pve_qemu_version = "10.2.1-1"
    ```

    ## Use instead

    ```
    scsi0: local-lvm:vm-100-disk-0,discard=on,iothread=1,size=32G,ssd=1
    scsihw: virtio-scsi-single
    ```

    ```host
    qemu_version = "10.2.1"
    pve_qemu_version = "10.2.1-2"
    ```

    ## Fix safety

    There is no fix to apply: the configuration is right. Install the newer QEMU, then stop and
    start the guest or migrate it to a host that has it; a guest that runs on keeps the old one.

    ## References

    - pve-qemu 10.2.1-2, whose patch tells the kernel not to count such waits
    """

    code = "VE007"
    name = "io-pressure-on-idle-guest"
    severity = Severity.INFO
    versions = Versions(since="10.2", before="10.2.2", pve_before="10.2.1-2")

    def concerns(self, context: Context, attached: AttachedDisk) -> bool:
        """Returns whether an IOThread serves the disk."""
        return is_on_iothread(context, attached)

    def explain(self, disks: str) -> str:
        """Returns what can happen to the disks."""
        return (
            "I/O pressure and iowait of this guest mean nothing: QEMU 10.2 makes the idle"
            f" IOThreads of {disks} count as waiting for I/O"
        )
