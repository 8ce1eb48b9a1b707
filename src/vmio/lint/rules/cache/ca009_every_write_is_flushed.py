"""CA009."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.lint.diagnostic import Applicability, Diagnostic, Fix, Severity
from vmio.lint.drives import list_writable_disks
from vmio.lint.rule import Context, Rule
from vmio.lint.words import name_setting
from vmio.model.topology import AttachedDisk

__all__ = ["EveryWriteIsFlushed"]

_WITHOUT_FLUSHES = {"writethrough": "writeback", "directsync": "none"}


class EveryWriteIsFlushed(Rule):
    """Finds disks whose cache setting flushes every single write.

    ## What it does

    Looks for `cache=writethrough` and `cache=directsync` on disks that the guest can write to, and
    for `write-cache=off` on their devices, which is the effect of these modes on a QEMU command
    line with `-blockdev`.

    ## Why is this bad

    The disk reports that it has no write cache, and no write completes before it is on stable
    storage. That costs most of a disk's write performance, and protects only guests that do not
    flush when they should. Current file systems and databases do.

    ## Example

    ```
    virtio0: local-lvm:vm-100-disk-0,cache=directsync,size=32G
    ```

    ## Use instead

    ```
    virtio0: local-lvm:vm-100-disk-0,cache=none,size=32G
    ```

    ## Fix safety

    There is no fix to apply: whether the guest flushes when it should, only a person knows.

    ## References

    - QEMU's manual page, the table of cache modes under `-drive`: `cache.writeback` is the
      device's `write-cache`
    - QEMU 10.0 sends such writes with FUA, older ones a flush after each: the message
      20250311160021.349761-4-kwolf@redhat.com has 45,600 against 56,100 writes a second
    """

    code = "CA009"
    name = "every-write-is-flushed"
    severity = Severity.INFO

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per disk."""
        for attached in list_writable_disks(context, unresolved=True):
            disk = attached.disk
            if attached.write_cache is not False or attached.cache_no_flush:
                continue
            key, written, instead = _name_cause(context, attached)
            yield self.report(
                context,
                f"{written} of {disk.id} makes every write wait for stable storage,"
                f" where {instead} waits only when the guest asks",
                subject=disk.id,
                span=disk.spans.get(key, disk.span),
                fix=Fix(
                    applicability=Applicability.MANUAL,
                    message=f"use {instead} if the guest's file systems flush when they should",
                ),
            )


def _name_cause(context: Context, attached: AttachedDisk) -> tuple[str, str, str]:
    """Returns what switches the write cache off: its name, its text, and the replacement."""
    disk = attached.disk
    mode = disk.cache or ""
    is_of_device = mode not in _WITHOUT_FLUSHES or "write_cache" in disk.spans
    key = "write_cache" if is_of_device else "cache"
    old, new = ("off", "on") if is_of_device else (mode, _WITHOUT_FLUSHES[mode])
    written, instead = (name_setting(context, disk.id, key, value) for value in (old, new))
    return key, written, instead
