"""CA003."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.lint.diagnostic import Diagnostic, Severity
from vmio.lint.drives import list_disks
from vmio.lint.rule import Context, Rule
from vmio.lint.words import instruct, name_setting
from vmio.model.plan import Change

__all__ = ["IoUringOnBufferedKrbd"]


class IoUringOnBufferedKrbd(Rule):
    """Finds disks on Ceph's kernel client that use io_uring through the host's page cache.

    ## What it does

    Looks for a written `aio=io_uring` on a disk that does not bypass the host's page cache, whose
    storage is of type `rbd` with `krbd`, or whose path is one of krbd's: `/dev/rbd0`,
    `/dev/rbd/POOL/IMAGE`, `/dev/rbd-pve/…`. Without `krbd` QEMU talks to Ceph itself, and `aio`
    does nothing.

    ## Why is this bad

    Guests were seen to hang with this combination. Without `aio` Proxmox VE picks threads here,
    and so does QEMU itself.

    ## Example

    ```
    scsi0: ceph:vm-100-disk-0,aio=io_uring,cache=writeback,size=32G
    scsihw: virtio-scsi-single
    ```

    ```storage
    rbd: ceph
        pool vms
        krbd 1
    ```

    ## Use instead

    ```
    scsi0: ceph:vm-100-disk-0,cache=writeback,discard=on,size=32G
    scsihw: virtio-scsi-single
    ```

    ```storage
    rbd: ceph
        pool vms
        krbd 1
    ```

    ## Fix safety

    The fix removes `aio=io_uring` and is safe: the guest sees the same device with the same cache
    mode. With `cache=none` instead, io_uring may stay.

    ## References

    - qemu-server, commit 628937f5 and the default engine in version 9.2.6
    - Proxmox forum, thread 91629
    """

    code = "CA003"
    name = "io-uring-on-buffered-krbd"
    severity = Severity.ERROR

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per disk."""
        for attached in list_disks(context):
            disk, backing = attached.disk, attached.disk.backing
            if disk.aio != "io_uring" or attached.cache_direct is not False or backing is None:
                continue
            if backing.kind != "krbd":
                continue
            change = Change(subject=disk.id, property="aio", old=disk.aio)
            engine = name_setting(context, disk.id, "aio", "io_uring")
            mode = name_setting(context, disk.id, "cache", attached.cache)
            direct = name_setting(context, disk.id, "cache", "none")
            yield self.report(
                context,
                f"{engine} of {disk.id} can hang the guest: with {mode} the Ceph kernel client is"
                " used through the host's page cache",
                subject=disk.id,
                span=disk.spans.get("aio", disk.span),
                fix=context.make_fix(f"{instruct(context, change)}, or write {direct}", change),
            )
