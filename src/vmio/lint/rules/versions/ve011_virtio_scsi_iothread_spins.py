"""VE011."""

from __future__ import annotations

from vmio.lint.defects import DefectRule, is_on_iothread
from vmio.lint.diagnostic import Severity
from vmio.lint.rule import Context
from vmio.lint.versions import Versions
from vmio.model.topology import AttachedDisk

__all__ = ["VirtioScsiIothreadSpins"]


class VirtioScsiIothreadSpins(DefectRule):
    """Finds virtio-scsi controllers on IOThreads that use a whole processor under QEMU 7.0.

    ## What it does

    Looks for disks on a virtio-scsi controller that an IOThread serves while the host has QEMU
    7.0.

    ## Why is this bad

    QEMU 7.0 polls the controller's event queue, on which a guest leaves empty buffers that nobody
    takes. There always seems to be something to do, so the IOThread never sleeps and uses 100 % of
    a processor for an idle guest.

    ## Example

    ```
    scsi0: local-lvm:vm-100-disk-0,discard=on,iothread=1,size=32G,ssd=1
    scsihw: virtio-scsi-single
    ```

    ```host
    qemu_version = "7.0.0"
    pve_qemu_version = "7.0.0-4"
    ```

    ## Use instead

    ```
    scsi0: local-lvm:vm-100-disk-0,discard=on,iothread=1,size=32G,ssd=1
    scsihw: virtio-scsi-single
    ```

    ```host
    qemu_version = "7.1.0"
    pve_qemu_version = "7.1.0-4"
    ```

    ## Fix safety

    There is no fix to apply: the configuration is right. Install the newer QEMU, then stop and
    start the guest or migrate it to a host that has it; a guest that runs on keeps the old one.

    ## References

    - qemu-devel, Stefan Hajnoczi, 27 April 2022: the series that ends the polling of the event
      queue, in QEMU 7.1
    """

    code = "VE011"
    name = "virtio-scsi-iothread-spins"
    severity = Severity.WARNING
    versions = Versions(since="7.0", before="7.1")

    def concerns(self, context: Context, attached: AttachedDisk) -> bool:
        """Returns whether it hangs on a virtio-scsi controller that an IOThread serves."""
        return attached.disk.bus == "scsi" and is_on_iothread(context, attached)

    def explain(self, disks: str) -> str:
        """Returns what can happen to the disks."""
        return (
            f"the IOThread of {disks} uses a whole processor even when idle: QEMU 7.0 polls the"
            " event queue of a virtio-scsi controller without end"
        )
