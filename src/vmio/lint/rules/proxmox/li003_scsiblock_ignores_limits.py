"""LI003."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.formats.proxmox.machine import BLOCKDEV_SINCE
from vmio.lint.diagnostic import Applicability, Diagnostic, Fix, Severity
from vmio.lint.rule import Context
from vmio.lint.rules.proxmox.rule import ProxmoxRule

__all__ = ["ScsiblockIgnoresLimits"]


class ScsiblockIgnoresLimits(ProxmoxRule):
    """Finds limits on disks with `scsiblock=1`, which have no throttle.

    ## What it does

    Looks for disks with `scsiblock=1` and a limit (`mbps`, `iops` and the like), on machine
    versions from 10.0 on. Older machines are not checked.

    ## Why is this bad

    The limits end up in a throttle group that no disk uses: for `scsiblock=1` Proxmox VE leaves
    out the filter that would hold requests back. The disk runs unlimited.

    ## Example

    ```
    scsi0: /dev/disk/by-id/ata-EXAMPLE_1,iothread=1,mbps=100,scsiblock=1
    scsihw: virtio-scsi-single
    ```

    ## Use instead

    ```
    scsi0: /dev/disk/by-id/ata-EXAMPLE_1,iothread=1,mbps=100
    scsihw: virtio-scsi-single
    ```

    ## Fix safety

    There is no fix to apply: without `scsiblock=1` the guest sees another device, which passes no
    SCSI commands to the real disk. A limit on the host (`io.max` of the guest's cgroup) works
    with both.

    ## References

    - qemu-server 9.2.6, the part that builds a drive's `-blockdev`, run: there is no throttle node
    """

    code = "LI003"
    name = "scsiblock-ignores-limits"
    severity = Severity.WARNING
    elsewhere = "Only Proxmox VE accepts limits for `scsiblock=1` without applying them."
    blanks = (("libvirt", "Limits of a passed-through disk are not known to be ignored."),)

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per disk whose limits do nothing."""
        vm = context.vm
        if vm.template or vm.machine_version < BLOCKDEV_SINCE:
            return
        for disk in vm.disks:
            if disk.limits and disk.media == "disk" and disk.scsiblock:
                yield self.report(
                    context,
                    f"limits of {disk.id} do nothing: a disk with scsiblock=1 has no throttle",
                    subject=disk.id,
                    span=disk.spans.get("scsiblock", disk.span),
                    fix=Fix(
                        applicability=Applicability.MANUAL,
                        message="remove scsiblock=1, or limit the guest's cgroup (io.max)",
                    ),
                )
