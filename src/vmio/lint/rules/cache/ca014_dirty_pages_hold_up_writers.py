"""CA014."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.lint.diagnostic import Applicability, Diagnostic, Fix, Severity
from vmio.lint.drives import list_writable_disks
from vmio.lint.rule import Context, Rule
from vmio.lint.words import name_setting
from vmio.model.disk import FILE_DRIVERS

__all__ = ["DirtyPagesHoldUpWriters"]

_LARGE_PERCENT = 20
"""The kernel's default, from times when hosts had little memory."""


class DirtyPagesHoldUpWriters(Rule):
    """Finds guests that write to a page cache that may hold a lot of unwritten data.

    ## What it does

    Looks for a disk that is written to through the host's page cache, by `cache=writeback` or
    `cache=unsafe` or because its storage has no other way, when the host's `vm.dirty_ratio` is 20
    percent of memory or more. Where `vm.dirty_bytes` is set instead, the ratio is 0 and the rule
    silent. Network disks that QEMU reaches itself do not use the page cache. CA007 reports the
    page cache over ZFS, and its fix settles this too.

    ## Why is this bad

    Writes are fast until that much of the host's memory waits to be written; then every writer
    waits until the storage has caught up. With 256 GiB of memory, 20 percent are 51 GiB, which
    takes a disk of 500 MB/s over a minute and a half. The guest sees its disk freeze, and so may
    its neighbours.

    ## Example

    ```
    virtio0: /dev/vg/vm-100-disk-0,cache=writeback,size=32G
    ```

    ```host
    qemu_version = "10.0.2"
    kernel = {dirty_ratio = 20}
    ```

    ## Use instead

    ```
    virtio0: /dev/vg/vm-100-disk-0,cache=none,size=32G
    ```

    ```host
    qemu_version = "10.0.2"
    kernel = {dirty_ratio = 20}
    ```

    ## Fix safety

    There is no fix to apply: the limit is the host's, and the cache mode may be intended.

    ## References

    - Linux, Documentation/admin-guide/sysctl/vm.rst, dirty_ratio and dirty_bytes
    - cr0x.net, a report of guests that froze until `vm.dirty_ratio` was lowered
    """

    code = "CA014"
    name = "dirty-pages-hold-up-writers"
    severity = Severity.INFO

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields one finding for the guest, at its first disk with such writes."""
        ratio = context.host.kernel.dirty_ratio
        if ratio < _LARGE_PERCENT:
            return
        for attached in list_writable_disks(context):
            disk, backing = attached.disk, attached.disk.backing
            if attached.cache_direct is not False or attached.write_cache is not True:
                continue
            if backing is None or backing.driver not in FILE_DRIVERS:
                continue
            if backing.kind == "zvol":
                continue
            direct = name_setting(context, disk.id, "cache", "none")
            yield self.report(
                context,
                f"writes of {disk.id} go to the host's page cache, and may all stall once"
                f" {ratio} percent of its memory waits to be written",
                subject=disk.id,
                span=disk.spans.get("cache", disk.span),
                fix=Fix(
                    applicability=Applicability.MANUAL,
                    message=f"set vm.dirty_bytes on the host, or write {direct}",
                ),
            )
            return
