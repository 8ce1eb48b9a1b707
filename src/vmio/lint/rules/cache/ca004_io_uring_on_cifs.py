"""CA004."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.lint.diagnostic import Diagnostic, Severity
from vmio.lint.drives import list_disks
from vmio.lint.rule import Context, Rule
from vmio.lint.words import instruct
from vmio.model.plan import Change

__all__ = ["IoUringOnCifs"]


class IoUringOnCifs(Rule):
    """Finds disks on CIFS storage that are set to use io_uring.

    ## What it does

    Looks for a written `aio=io_uring` on storage of type `cifs`. Without `aio` Proxmox VE picks
    native AIO there, or threads if the host's page cache is used.

    ## Why is this bad

    With Linux 5.15 and later, guests whose images lie on CIFS got I/O errors and hung with
    io_uring.

    ## Example

    ```
    scsi0: share:100/vm-100-disk-0.raw,aio=io_uring,size=32G
    scsihw: virtio-scsi-single
    ```

    ```storage
    cifs: share
        path /mnt/pve/share
        server 10.0.0.1
        share vms
    ```

    ## Use instead

    ```
    scsi0: share:100/vm-100-disk-0.raw,size=32G
    scsihw: virtio-scsi-single
    ```

    ```storage
    cifs: share
        path /mnt/pve/share
        server 10.0.0.1
        share vms
    ```

    ## Fix safety

    The fix removes `aio=io_uring` and is safe: the guest sees the same device.

    ## References

    - qemu-server, commit e31762f2 and the default engine in version 9.2.6
    - Proxmox forum, threads 109848, 110464 and 111382
    """

    code = "CA004"
    name = "io-uring-on-cifs"
    severity = Severity.ERROR
    blanks = (
        ("qemu", "A path does not show which file system it is on."),
        ("libvirt", "A path does not show which file system it is on."),
    )

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per disk."""
        for attached in list_disks(context):
            disk, backing = attached.disk, attached.disk.backing
            if disk.aio != "io_uring" or backing is None or backing.kind != "cifs":
                continue
            change = Change(subject=disk.id, property="aio", old=disk.aio)
            yield self.report(
                context,
                f"aio=io_uring of {disk.id} can hang the guest: its image is on CIFS, where"
                " Proxmox VE avoids io_uring",
                subject=disk.id,
                span=disk.spans.get("aio", disk.span),
                fix=context.make_fix(instruct(context, change), change),
            )
