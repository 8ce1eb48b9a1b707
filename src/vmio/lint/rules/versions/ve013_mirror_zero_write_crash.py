"""VE013."""

from __future__ import annotations

from vmio.lint.defects import DefectRule
from vmio.lint.diagnostic import Severity
from vmio.lint.rule import Context
from vmio.lint.versions import Versions
from vmio.model.topology import AttachedDisk
from vmio.model.vm import Vm

__all__ = ["MirrorZeroWriteCrash"]

_LOCAL = frozenset({"zfspool", "lvmthin", "btrfs"})


class MirrorZeroWriteCrash(DefectRule):
    """Finds local disks that can crash the guest when it is migrated under pve-qemu 10.1.

    ## What it does

    Looks for disks on storage that no other host can reach (ZFS pools, LVM-thin, btrfs) while the
    host has pve-qemu 10.1 without the fix. Storage that can be shared is left out, and so are
    guests that cannot be migrated while they run: those with a PCI or USB device, a port or a bare
    disk of the host.

    ## Why is this bad

    To migrate a running guest with a local disk, QEMU mirrors the disk, and in the end mirrors
    every write at once. A write of zeroes that is shorter than the unit the mirror counts in then
    fails an assertion, and QEMU ends, taking the guest with it.

    ## Example

    ```
    scsi0: tank:vm-100-disk-0,discard=on,iothread=1,size=32G,ssd=1
    scsihw: virtio-scsi-single
    ```

    ```storage
    zfspool: tank
        pool tank
        content images

    nfs: nas
        path /mnt/pve/nas
        server 192.0.2.1
        export /vm
        content images
    ```

    ```host
    qemu_version = "10.1.2"
    pve_qemu_version = "10.1.2-6"
    ```

    ## Use instead

    ```
    scsi0: tank:vm-100-disk-0,discard=on,iothread=1,size=32G,ssd=1
    scsihw: virtio-scsi-single
    ```

    ```storage
    zfspool: tank
        pool tank
        content images

    nfs: nas
        path /mnt/pve/nas
        server 192.0.2.1
        export /vm
        content images
    ```

    ```host
    qemu_version = "10.1.2"
    pve_qemu_version = "10.1.2-7"
    ```

    ## Fix safety

    There is no fix to apply: the configuration is right. Install the newer QEMU, then stop and
    start the guest or migrate it to a host that has it; a guest that runs on keeps the old one.

    ## References

    - bugzilla.proxmox.com bug 7222; forum.proxmox.com thread 177981
    - Changelog of pve-qemu 10.1.2-7; QEMU commit 4a7b1bd18d, which mends one of QEMU 10.1
    """

    code = "VE013"
    name = "mirror-zero-write-crash"
    severity = Severity.INFO
    versions = Versions(since="10.1", pve_before="10.1.2-7", pve_only=True)
    option = "file"

    def concerns(self, context: Context, attached: AttachedDisk) -> bool:
        """Returns whether it lies on storage of this host alone and the guest can be migrated."""
        backing = attached.disk.backing
        is_local = backing is not None and backing.storage_type in _LOCAL
        return is_local and not _is_bound(context.vm)

    def explain(self, disks: str) -> str:
        """Returns what can happen to the disks."""
        return (
            f"migrating the running guest together with {disks} can crash it: QEMU 10.1 fails an"
            " assertion when a short write of zeroes meets the mirror"
        )


def _is_bound(vm: Vm) -> bool:
    """Returns whether a device of the host keeps a guest from being migrated while it runs."""
    return any(disk.volume.startswith("/dev/") for disk in vm.disks) or any(
        key.startswith(("hostpci", "parallel", "virtiofs"))
        or (key.startswith("usb") and "spice" not in value)
        or (key.startswith("serial") and value != "socket")
        for key, value in vm.settings.items()
    )
