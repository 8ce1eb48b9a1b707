"""SA003."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.formats.proxmox.perl import parse_boolean
from vmio.lint.diagnostic import Applicability, Diagnostic, Fix, Severity
from vmio.lint.drives import list_writable_disks
from vmio.lint.rule import Context
from vmio.lint.rules.proxmox.rule import ProxmoxRule

__all__ = ["DiskLeftOutOfBackup"]


class DiskLeftOutOfBackup(ProxmoxRule):
    """Finds disks that Proxmox VE's backups leave out.

    ## What it does

    Looks for `backup=0` on disks that keep what the guest writes. A device of the host that is
    passed through whole is not reported: Proxmox VE's backups are rarely meant for it.

    ## Why is this bad

    Backup jobs succeed and have the guest in their lists, but not this disk. The option is often
    set for a disk of scratch data and stays when the disk is later used for something else.

    ## Example

    ```
    virtio0: local-lvm:vm-100-disk-0,size=32G
    virtio1: local-lvm:vm-100-disk-1,backup=0,size=500G
    ```

    ## Use instead

    ```
    virtio0: local-lvm:vm-100-disk-0,size=32G
    virtio1: local-lvm:vm-100-disk-1,size=500G
    ```

    ## Fix safety

    There is no fix to apply: only a person knows whether the disk is worth a backup.

    ## References

    - Proxmox VE's manual page qm.conf(5), the option `backup` of a drive
    - cv4pve-diag, check CG0002
    """

    code = "SA003"
    name = "disk-left-out-of-backup"
    severity = Severity.INFO
    elsewhere = "A command line does not show what is backed up."
    blanks = (("libvirt", "A domain does not show what is backed up."),)

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per disk."""
        vm = context.vm
        for attached in list_writable_disks(context, unresolved=True):
            disk = attached.disk
            span = disk.spans.get("backup")
            if (
                span is None
                or disk.volume.startswith("/dev/")
                or parse_boolean(vm.source.read_span(span).partition("=")[2]) is not False
            ):
                continue
            yield self.report(
                context,
                f"backups leave {disk.id} out",
                subject=disk.id,
                span=span,
                fix=Fix(
                    applicability=Applicability.MANUAL,
                    message="remove the option if the disk holds data that cannot be recreated",
                ),
            )
