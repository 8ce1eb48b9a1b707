"""SA002."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.lint.diagnostic import Diagnostic, Severity
from vmio.lint.drives import is_thin, list_writable_disks
from vmio.lint.rule import Context, Rule
from vmio.lint.words import instruct, name_setting
from vmio.model.plan import Change

__all__ = ["WerrorLosesWrites"]


class WerrorLosesWrites(Rule):
    """Finds disks that drop failed writes, or report errors instead of waiting for a full pool.

    ## What it does

    Looks for `werror=ignore` on any disk that keeps what the guest writes, and for `werror=report`
    on disks that grow as they are written: on `lvmthin` storage and in qcow2 image files.

    ## Why is this bad

    With `ignore` a failed write is reported to the guest as done: its data is lost, and nothing
    says so. With `report` a full pool gives all its guests I/O errors at once: file systems are
    remounted read-only and databases stop. Without the option QEMU pauses the guest when there is
    no room, and it can continue once there is.

    ## Example

    ```
    virtio0: local-lvm:vm-100-disk-0,size=32G,werror=report
    ```

    ```storage
    lvmthin: local-lvm
        vgname pve
        thinpool data
    ```

    ## Use instead

    ```
    virtio0: local-lvm:vm-100-disk-0,discard=on,size=32G
    ```

    ```storage
    lvmthin: local-lvm
        vgname pve
        thinpool data
    ```

    ## Fix safety

    The fix removes the option and is safe: the guest sees the same device. If the
    guest should fail rather than wait, as a node of a cluster may, keep `report` and ignore the
    rule.

    ## References

    - QEMU's manual page, `werror` under `-drive`: the default is `enospc`
    - Linux, drivers/md/dm-thin.c: a pool without room answers writes with ENOSPC
    """

    code = "SA002"
    name = "werror-loses-writes"
    severity = Severity.WARNING

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per disk: an error for writes dropped, a warning for a full pool."""
        for attached in list_writable_disks(context, unresolved=True):
            disk, backing = attached.disk, attached.disk.backing
            if disk.werror == "ignore":
                severity = Severity.ERROR
                what = "tells the guest that a write is done that failed: its data is lost"
            elif disk.werror == "report" and backing is not None and is_thin(backing):
                severity = Severity.WARNING
                what = (
                    "gives the guest errors when its thin storage is full, instead of pausing it"
                )
            else:
                continue
            change = Change(subject=disk.id, property="werror", old=disk.werror)
            yield self.report(
                context,
                f"{name_setting(context, disk.id, 'werror', disk.werror)} of {disk.id} {what}",
                subject=disk.id,
                span=disk.spans.get("werror", disk.span),
                severity=severity,
                fix=context.make_fix(instruct(context, change), change),
            )
