"""SA004."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.formats.proxmox.machine import BLOCKDEV_SINCE
from vmio.lint.diagnostic import Applicability, Diagnostic, Fix, Severity
from vmio.lint.drives import list_disks
from vmio.lint.rule import Context
from vmio.lint.rules.proxmox.rule import ProxmoxRule

__all__ = ["SnapshotFlagWithNewMachine"]


class SnapshotFlagWithNewMachine(ProxmoxRule):
    """Finds disks with `snapshot=1` on a machine for which Proxmox VE does not support it.

    ## What it does

    Looks for `snapshot=1` when the guest's machine is of version 10.0 or later, configured or by
    the host's QEMU. If the QEMU is not known and no version is configured, it reports nothing.

    ## Why is this bad

    The guest does not start. Up to machine version 9.2 the option makes QEMU discard the disk's
    changes when it exits; from 10.0 on Proxmox VE describes disks to QEMU in another way,
    which has no such option yet.

    ## Example

    ```
    machine: pc-i440fx-10.0
    virtio0: local-lvm:vm-100-disk-0,size=32G,snapshot=1
    ```

    ## Use instead

    ```
    machine: pc-i440fx-9.2
    virtio0: local-lvm:vm-100-disk-0,size=32G,snapshot=1
    ```

    ## Fix safety

    There is no fix to apply: without the option the guest's changes stay, and an older machine has
    other devices.

    ## References

    - qemu-server 9.2.6, run: `'snapshot' option is not yet supported for '-blockdev'`
    """

    code = "SA004"
    name = "snapshot-flag-with-new-machine"
    severity = Severity.ERROR
    elsewhere = "QEMU itself takes `snapshot=on` with every machine version."
    blanks = (
        ("libvirt", "A `<transient>` disk is an overlay of libvirt's, with any machine type."),
    )

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per disk."""
        if context.vm.machine_version < BLOCKDEV_SINCE:
            return
        for attached in list_disks(context, unresolved=True):
            disk = attached.disk
            if not disk.snapshot:
                continue
            yield self.report(
                context,
                f"Proxmox VE refuses to start the guest: snapshot=1 of {disk.id} is not supported"
                " from machine version 10.0 on",
                subject=disk.id,
                span=disk.spans.get("snapshot", disk.span),
                fix=Fix(
                    applicability=Applicability.MANUAL,
                    message="set a machine of version 9.2, or remove snapshot=1 and roll back to a"
                    " snapshot of the guest instead",
                ),
            )
