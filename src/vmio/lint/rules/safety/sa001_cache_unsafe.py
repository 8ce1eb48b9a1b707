"""SA001."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.lint.diagnostic import Diagnostic, Severity
from vmio.lint.rule import Context, Rule
from vmio.lint.words import instruct, name_setting
from vmio.model.disk import Disk
from vmio.model.plan import Change

__all__ = ["CacheUnsafe"]


class CacheUnsafe(Rule):
    """Finds disks with `cache=unsafe`.

    ## What it does

    Looks for `cache=unsafe` on drives that keep what the guest writes. Cd-roms, read-only disks
    and those with `snapshot=1` have nothing to lose and are left out.

    ## Why is this bad

    QEMU completes the guest's flushes without executing them. Data that the guest's file system
    and databases believe to be on disk is in the host's memory, possibly for minutes. When the
    host crashes or loses power, not only the last writes are lost, but also their order, and the
    file system may be beyond repair.

    ## Example

    ```
    virtio0: local-lvm:vm-100-disk-0,cache=unsafe,size=32G
    ```

    ## Use instead

    ```
    virtio0: local-lvm:vm-100-disk-0,cache=writeback,size=32G
    ```

    ## Fix safety

    The fix writes `cache=writeback`, which keeps the host's page cache and executes flushes. On a
    ZFS volume, which has a cache of its own, it writes `cache=none`. It is safe: the guest sees
    the same device. Flushes take time again. For a guest that may be thrown away at any moment,
    ignore the rule.

    ## References

    - QEMU's manual page, the table of cache modes under `-drive`
    """

    code = "SA001"
    name = "cache-unsafe"
    severity = Severity.ERROR

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per disk whose flushes are dropped."""
        for attached in context.topology.disks:
            disk = attached.disk
            keeps = disk.media == "disk" and not disk.read_only and not disk.snapshot
            if disk.cache != "unsafe" or not keeps or attached.passes_through:
                continue
            span = disk.spans.get("cache")
            on_zfs = disk.backing is not None and disk.backing.kind == "zvol"
            instead = "none" if on_zfs else "writeback"
            change = Change(subject=disk.id, property="cache", old=disk.cache, new=instead)
            yield self.report(
                context,
                f"{_name_cause(context, disk)} of {disk.id} drops the guest's flushes:"
                " a crash of the host can ruin its file systems",
                subject=disk.id,
                span=span or disk.span,
                fix=context.make_fix(instruct(context, change), change),
            )


def _name_cause(context: Context, disk: Disk) -> str:
    span = disk.spans.get("cache")
    if span is not None and "no-flush" in context.vm.source.read_span(span):
        return "cache.no-flush"
    return name_setting(context, disk.id, "cache", "unsafe")
