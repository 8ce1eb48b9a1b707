"""CA002."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.lint.diagnostic import Diagnostic, Severity
from vmio.lint.drives import list_disks
from vmio.lint.rule import Context, Rule
from vmio.lint.words import instruct
from vmio.model.plan import Change

__all__ = ["IoUringOnThickLvm"]


class IoUringOnThickLvm(Rule):
    """Finds disks on thick LVM that are set to use io_uring.

    ## What it does

    Looks for a written `aio=io_uring` on storage of type `lvm`. `lvmthin` is another type. Disks
    without `aio` are not reported, as Proxmox VE does not choose io_uring for them there.

    ## Why is this bad

    Guests hung and hosts crashed with io_uring on thick logical volumes. Proxmox VE has used
    another engine there since: native AIO, or threads if the host's page cache is used. Not every
    kernel is affected. If io_uring works on yours, ignore the rule.

    ## Example

    ```
    scsi0: san:vm-100-disk-0,aio=io_uring,size=32G
    scsihw: virtio-scsi-single
    ```

    ```storage
    lvm: san
        vgname san
    ```

    ## Use instead

    ```
    scsi0: san:vm-100-disk-0,size=32G
    scsihw: virtio-scsi-single
    ```

    ```storage
    lvm: san
        vgname san
    ```

    ## Fix safety

    The fix removes `aio=io_uring` and is safe: the guest sees the same device, and Proxmox VE
    chooses the engine.

    ## References

    - qemu-server, commits 78a3ada7 (LVM with a write cache), ec5d198e (all of LVM) and 8fbae1dc
      (a crash with Linux 6.1); version 9.2.6 still leaves LVM out
    """

    code = "CA002"
    name = "io-uring-on-thick-lvm"
    severity = Severity.WARNING
    blanks = (
        ("qemu", "A path does not show whether a logical volume is thick or thin."),
        ("libvirt", "A path does not show whether a logical volume is thick or thin."),
    )

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per disk."""
        for attached in list_disks(context):
            disk, backing = attached.disk, attached.disk.backing
            if disk.aio != "io_uring" or backing is None or backing.kind != "thick-lvm":
                continue
            change = Change(subject=disk.id, property="aio", old=disk.aio)
            yield self.report(
                context,
                f"aio=io_uring of {disk.id} is on thick LVM, where Proxmox VE avoids it because"
                " guests hung and hosts crashed",
                subject=disk.id,
                span=disk.spans.get("aio", disk.span),
                fix=context.make_fix(instruct(context, change), change),
            )
