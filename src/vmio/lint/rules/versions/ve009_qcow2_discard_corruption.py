"""VE009."""

from __future__ import annotations

from vmio.lint.defects import DefectRule
from vmio.lint.diagnostic import Severity
from vmio.lint.rule import Context
from vmio.lint.versions import Versions
from vmio.model.topology import AttachedDisk

__all__ = ["Qcow2DiscardCorruption"]


class Qcow2DiscardCorruption(DefectRule):
    """Finds qcow2 images that a discard at the wrong moment can corrupt before pve-qemu 11.0.0.

    ## What it does

    Looks for disks with `discard=on` whose image is qcow2 while the host has pve-qemu 10 without
    the fix. Older packages are left out, as nothing is known of them.

    ## Why is this bad

    A discard that meets a write to the same cluster, while that write still copies old data into a
    new cluster, can leave wrong reference counts behind. The image is then inconsistent, and later
    writes may land on each other.

    ## Example

    ```
    scsi0: nas:100/vm-100-disk-0.qcow2,discard=on,iothread=1,size=32G,ssd=1
    scsihw: virtio-scsi-single
    ```

    ```storage
    nfs: nas
        path /mnt/pve/nas
        server 192.0.2.1
        export /vm
        content images

    lvmthin: local-lvm
        thinpool data
        vgname pve
        content images
    ```

    ```host
    qemu_version = "10.1.2"
    pve_qemu_version = "10.1.2-7"
    ```

    ## Use instead

    ```
    scsi0: nas:100/vm-100-disk-0.qcow2,discard=on,iothread=1,size=32G,ssd=1
    scsihw: virtio-scsi-single
    ```

    ```storage
    nfs: nas
        path /mnt/pve/nas
        server 192.0.2.1
        export /vm
        content images

    lvmthin: local-lvm
        thinpool data
        vgname pve
        content images
    ```

    ```host
    qemu_version = "11.0.0"
    pve_qemu_version = "11.0.0-1"
    ```

    ## Fix safety

    There is no fix to apply: turning discards off would make the image grow. Install the newer
    QEMU, then stop and start the guest. `qemu-img check` tells of a stopped guest's image whether
    it is consistent.

    ## References

    - A patch that pve-qemu carries on top of QEMU 11.0.0 since 11.0.0-1; the patches of 10.2.1-1
      do not have it
    """

    code = "VE009"
    name = "qcow2-discard-corruption"
    severity = Severity.ERROR
    versions = Versions(since="10.0", pve_before="11.0.0-1", pve_only=True)
    option = "discard"

    def concerns(self, context: Context, attached: AttachedDisk) -> bool:  # noqa: ARG002 - the disk decides
        """Returns whether its image is qcow2 and takes discards."""
        backing = attached.disk.backing
        return (
            attached.disk.discard == "unmap"
            and backing is not None
            and backing.format == "qcow2"
            and not backing.error
        )

    def explain(self, disks: str) -> str:
        """Returns what can happen to the disks."""
        return (
            f"a discard can corrupt the qcow2 image of {disks} when it meets a write to the same"
            " cluster"
        )
