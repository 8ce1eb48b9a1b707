"""CA011."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.lint.diagnostic import Diagnostic, Severity
from vmio.lint.drives import list_disks
from vmio.lint.rule import Context, Rule
from vmio.lint.words import instruct, name_setting
from vmio.model.disk import FILE_DRIVERS
from vmio.model.plan import Change

__all__ = ["AioWithoutEffect"]


class AioWithoutEffect(Rule):
    """Finds network disks with an AIO engine, which has no effect there.

    ## What it does

    Looks for `aio` on disks that QEMU reaches over the network itself: `rbd` storage without
    `krbd`, `iscsidirect` and ZFS over iSCSI; on a command line `rbd:`, `iscsi:`, `nbd:` and the
    like.

    ## Why is this bad

    The engine is for files and block devices of the host. Here the option has no effect, and a
    comparison of two engines measures the same thing twice.

    ## Example

    ```
    virtio0: ceph:vm-100-disk-0,aio=native,size=32G
    ```

    ```storage
    rbd: ceph
        pool vms
    ```

    ## Use instead

    ```
    virtio0: ceph:vm-100-disk-0,discard=on,size=32G
    ```

    ```storage
    rbd: ceph
        pool vms
    ```

    ## Fix safety

    The fix removes the option and is safe: nothing else changes.

    ## References

    - qemu-server 9.2.6: `aio` is given to the drivers file, host_device and host_cdrom only, which
      are the ones that have it in QEMU
    """

    code = "CA011"
    name = "aio-without-effect"
    severity = Severity.INFO

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per disk."""
        for attached in list_disks(context):
            disk, backing = attached.disk, attached.disk.backing
            effect = attached.find_effect("aio")
            if effect is None or effect.verdict != "ignored" or backing is None:
                continue
            if backing.driver in FILE_DRIVERS:
                continue
            change = Change(subject=disk.id, property="aio", old=disk.aio)
            yield self.report(
                context,
                f"{name_setting(context, disk.id, 'aio', disk.aio)} of {disk.id} does nothing:"
                f" QEMU's {backing.driver} driver does its I/O over the network itself",
                subject=disk.id,
                span=disk.spans.get("aio", disk.span),
                fix=context.make_fix(instruct(context, change), change),
            )
