"""VE010."""

from __future__ import annotations

from vmio.lint.defects import DefectRule, is_on_iothread
from vmio.lint.diagnostic import Severity
from vmio.lint.rule import Context
from vmio.lint.versions import Versions
from vmio.model.topology import AttachedDisk

__all__ = ["IoUringIothreadHang"]


class IoUringIothreadHang(DefectRule):
    """Finds disks on IOThreads whose io_uring requests QEMU 7.1.0 can lose.

    ## What it does

    Looks for disks that an IOThread serves and for which io_uring is the engine in force, written
    or by default, while the host has QEMU 7.1.0.

    ## Why is this bad

    QEMU 7.1.0 registers the ring with the kernel for one thread and then uses it from another.
    Requests of a disk on an IOThread can fail or never end, and the guest hangs.

    ## Example

    ```
    virtio0: local-lvm:vm-100-disk-0,discard=on,iothread=1,size=32G
    ```

    ```storage
    lvmthin: local-lvm
        thinpool data
        vgname pve
        content images
    ```

    ```host
    qemu_version = "7.1.0"
    ```

    ## Use instead

    ```
    virtio0: local-lvm:vm-100-disk-0,discard=on,iothread=1,size=32G
    ```

    ```storage
    lvmthin: local-lvm
        thinpool data
        vgname pve
        content images
    ```

    ```host
    qemu_version = "7.1.0"
    pve_qemu_version = "7.1.0-4"
    ```

    ## Fix safety

    There is no fix to apply: the configuration is right. Install the newer QEMU, then stop and
    start the guest or migrate it to a host that has it; a guest that runs on keeps the old one.

    ## References

    - gitlab.com/qemu-project/qemu issue 1193, a regression of 7.1.0
    - Changelog of pve-qemu 7.1.0-1, the first package of that release, which has the fix
    """

    code = "VE010"
    name = "io-uring-iothread-hang"
    severity = Severity.ERROR
    versions = Versions(since="7.1", before="7.1.1", pve_before="7.1.0-1")
    option = "aio"

    def concerns(self, context: Context, attached: AttachedDisk) -> bool:
        """Returns whether an IOThread serves it with io_uring."""
        return attached.aio == "io_uring" and is_on_iothread(context, attached)

    def explain(self, disks: str) -> str:
        """Returns what can happen to the disks."""
        return f"I/O of {disks} can hang: QEMU 7.1.0 loses io_uring requests of IOThreads"
