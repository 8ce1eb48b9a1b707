"""CA007."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.lint.diagnostic import Diagnostic, Severity
from vmio.lint.drives import list_disks
from vmio.lint.rule import Context, Rule
from vmio.model.plan import Change

__all__ = ["PageCacheOverZfs"]

_SAME_PROMISE = {"writethrough": "directsync"}


class PageCacheOverZfs(Rule):
    """Finds disks on a ZFS volume that also go through the host's page cache.

    ## What it does

    Looks for `cache=writeback` and `cache=writethrough` on storage of type `zfspool`. Of
    `cache=unsafe` another rule tells, SA001.

    ## Why is this bad

    ZFS has a cache of its own, the ARC. With the page cache before it, the same blocks lie in the
    host's memory twice and are copied once more, and the two caches compete for memory.

    ## Example

    ```
    scsi0: tank:vm-100-disk-0,cache=writeback,size=32G
    scsihw: virtio-scsi-single
    ```

    ```storage
    zfspool: tank
        pool tank
    ```

    ## Use instead

    ```
    scsi0: tank:vm-100-disk-0,size=32G
    scsihw: virtio-scsi-single
    ```

    ```storage
    zfspool: tank
        pool tank
    ```

    ## Fix safety

    The fix is safe: it removes `cache=writeback`, which leaves `none`, and makes `directsync` of
    `writethrough`. Both keep what the guest is promised of its flushes. Where writeback was
    measured to be worth its memory, ignore the rule.

    ## References

    - Proxmox forum, thread 166098: the ARC and Linux's page cache compared
    - qemu-server 9.2.6, the default of the cache mode
    """

    code = "CA007"
    name = "page-cache-over-zfs"
    severity = Severity.WARNING

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per disk."""
        for attached in list_disks(context):
            disk, backing = attached.disk, attached.disk.backing
            if disk.cache not in {"writeback", "writethrough"} or backing is None:
                continue
            if backing.storage_type != "zfspool":
                continue
            instead = _SAME_PROMISE.get(disk.cache)
            yield self.report(
                context,
                f"cache={disk.cache} of {disk.id} keeps data in memory twice:"
                " in the host's page cache and in the ARC of ZFS",
                subject=disk.id,
                span=disk.spans.get("cache", disk.span),
                fix=context.make_fix(
                    f"write cache={instead}" if instead else f"remove cache={disk.cache}",
                    Change(subject=disk.id, property="cache", old=disk.cache, new=instead),
                ),
            )
