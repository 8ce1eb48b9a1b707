"""VE006."""

from __future__ import annotations

from vmio.lint.defects import DefectRule
from vmio.lint.diagnostic import Severity
from vmio.lint.rule import Context
from vmio.lint.versions import Versions
from vmio.model.topology import AttachedDisk

__all__ = ["IoUringStallOnIde"]


class IoUringStallOnIde(DefectRule):
    """Finds IDE and SATA disks with `aio=io_uring` on QEMU 10.2, whose requests wait for nothing.

    ## What it does

    Looks for `ideN` and `sataN` disks for which io_uring is the engine in force, written or by
    default, while the host has QEMU 10.2.0 or 10.2.1.

    ## Why is this bad

    In these releases a request that a vCPU's thread hands to io_uring does not wake the main loop,
    so it waits for the next event there, up to half a second. A test that took 1.25 s on a virtio
    disk took 25.8 s on AHCI, and 1.30 s with the fix.

    ## Example

    ```
    sata0: local-lvm:vm-100-disk-0,discard=on,size=32G,ssd=1
    ```

    ```storage
    lvmthin: local-lvm
        thinpool data
        vgname pve
        content images
    ```

    ```host
    qemu_version = "10.2.0"
    pve_qemu_version = "10.2.0-1"
    ```

    ## Use instead

    ```
    sata0: local-lvm:vm-100-disk-0,discard=on,size=32G,ssd=1
    ```

    ```storage
    lvmthin: local-lvm
        thinpool data
        vgname pve
        content images
    ```

    ```host
    qemu_version = "10.2.1"
    pve_qemu_version = "10.2.1-1"
    ```

    ## Fix safety

    There is no fix to apply: the configuration is right. Install the newer QEMU, then stop and
    start the guest or migrate it to a host that has it; a guest that runs on keeps the old one.

    ## References

    - Two patches by Jens Axboe that pve-qemu carries since 10.2.1-1, with the measurements above
    """

    code = "VE006"
    name = "io-uring-stall-on-ide"
    severity = Severity.WARNING
    versions = Versions(since="10.2", before="10.2.2", pve_before="10.2.1-1")
    option = "aio"

    def concerns(self, context: Context, attached: AttachedDisk) -> bool:  # noqa: ARG002 - the disk decides
        """Returns whether it is an IDE or SATA disk on io_uring."""
        return attached.disk.bus in {"ide", "sata"} and attached.aio == "io_uring"

    def explain(self, disks: str) -> str:
        """Returns what can happen to the disks."""
        return (
            f"requests to {disks} can wait up to half a second each: QEMU 10.2 does not wake its"
            " main loop for io_uring requests of IDE and SATA disks"
        )
