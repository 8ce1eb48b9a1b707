"""CA007."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.lint.diagnostic import Diagnostic, Severity
from vmio.lint.drives import list_disks
from vmio.lint.rule import Context, Rule
from vmio.lint.words import instruct, name_setting
from vmio.model.disk import Backing, CacheMode, Disk
from vmio.model.plan import Change

__all__ = ["PageCacheOverZfs"]

_SAME_PROMISE = {"writeback": "none", "writethrough": "directsync"}


class PageCacheOverZfs(Rule):
    """Finds disks on a ZFS volume that also go through the host's page cache.

    ## What it does

    Looks for disks that go through the host's page cache on storage of type `zfspool`, or at a
    path of a ZFS volume: `/dev/zvol/…` or `/dev/zd0`. These are `cache=writeback` and
    `cache=writethrough`, and on a QEMU command line also the default. SA001 is about
    `cache=unsafe`.

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

    The fix is safe: in a Proxmox config it removes `cache=writeback`, which leaves `none`, and
    makes `directsync` of `writethrough`. Both keep the guarantees for the guest's flushes. On a
    command line there is no fix to apply. If measurements show that writeback is worth its
    memory, ignore the rule.

    ## References

    - Proxmox forum, thread 166098: the ARC and Linux's page cache compared
    - qemu-server 9.2.6, the default of the cache mode: `none` on a ZFS volume
    - QEMU's manual page, `cache` under `-drive`: the default is `writeback`
    """

    code = "CA007"
    name = "page-cache-over-zfs"
    severity = Severity.WARNING

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per disk."""
        for attached in list_disks(context):
            disk, backing = attached.disk, attached.disk.backing
            if attached.cache not in _SAME_PROMISE or backing is None or backing.kind != "zvol":
                continue
            change = Change(
                subject=disk.id,
                property="cache",
                old=disk.cache,
                new=_choose_instead(attached.cache, backing),
            )
            yield self.report(
                context,
                f"{_name_cause(context, disk)} of {disk.id} keeps data in memory twice:"
                " in the host's page cache and in the ARC of ZFS",
                subject=disk.id,
                span=disk.spans.get("cache", disk.span),
                fix=context.make_fix(instruct(context, change), change),
            )


def _choose_instead(cache: CacheMode, backing: Backing) -> str | None:
    """Returns the cache mode with the same guarantees; None if it is the default."""
    instead = _SAME_PROMISE[cache]
    return None if instead == "none" and backing.direct_by_default else instead


def _name_cause(context: Context, disk: Disk) -> str:
    if disk.cache is None:
        return "the default cache mode"
    return name_setting(context, disk.id, "cache", disk.cache)
