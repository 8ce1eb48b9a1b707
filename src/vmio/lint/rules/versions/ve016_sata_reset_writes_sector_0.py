"""VE016."""

from __future__ import annotations

from vmio.lint.defects import DefectRule
from vmio.lint.diagnostic import Severity
from vmio.lint.rule import Context
from vmio.lint.versions import Versions
from vmio.model.topology import AttachedDisk

__all__ = ["SataResetWritesSector0"]


class SataResetWritesSector0(DefectRule):
    """Finds SATA disks whose first sector a reset at the wrong moment can overwrite.

    ## What it does

    Looks for `sataN` disks while the host has QEMU 8.1.0 to 8.1.2, or pve-qemu from 5.0 on before
    8.0.2-7. Other releases before 8.1.3 may have the defect too and are left out, as distributions
    mended many of them.

    ## Why is this bad

    When the guest or a user resets a SATA disk while a write of it has begun, QEMU can carry the
    write out without its address and put it on sector 0. The partition table is gone, and the
    guest does not boot.

    ## Example

    ```
    sata0: local-lvm:vm-100-disk-0,discard=on,size=32G,ssd=1
    ```

    ```host
    qemu_version = "8.0.2"
    pve_qemu_version = "8.0.2-6"
    ```

    ## Use instead

    ```
    sata0: local-lvm:vm-100-disk-0,discard=on,size=32G,ssd=1
    ```

    ```host
    qemu_version = "8.0.2"
    pve_qemu_version = "8.0.2-7"
    ```

    ## Fix safety

    There is no fix to apply: the configuration is right. Install the newer QEMU, then stop and
    start the guest or migrate it to a host that has it; a guest that runs on keeps the old one.

    ## References

    - Changelog of pve-qemu 8.0.2-7; bugzilla.proxmox.com bug 2874, filed in the days of QEMU 5.0
    - CVE-2023-5088; QEMU commit 7d7512019f, in 8.2.0 and 8.1.3
    """

    code = "VE016"
    name = "sata-reset-writes-sector-0"
    severity = Severity.ERROR
    versions = Versions(since="8.1", before="8.1.3", pve_since="5.0", pve_before="8.0.2-7")
    option = "file"

    def concerns(self, context: Context, attached: AttachedDisk) -> bool:  # noqa: ARG002 - the disk decides
        """Returns whether it is a SATA disk that can be written."""
        disk = attached.disk
        return disk.bus == "sata" and not disk.read_only and not disk.snapshot

    def explain(self, disks: str) -> str:
        """Returns what can happen to the disks."""
        return (
            f"a reset while {disks} is being written can overwrite its first sector, the"
            " partition table"
        )
