"""DI001."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.lint.diagnostic import Applicability, Diagnostic, Fix, Severity
from vmio.lint.drives import list_writable_disks
from vmio.lint.rule import Context, Rule
from vmio.lint.words import instruct, name_setting
from vmio.model.disk import Disk
from vmio.model.plan import Change

__all__ = ["DiscardOffOnThinStorage"]

_POOLS = {"krbd": "Ceph pool", "rbd": "Ceph pool", "thin-lvm": "thin pool"}


class DiscardOffOnThinStorage(Rule):
    """Finds disks on thin storage that never free space.

    ## What it does

    Looks for disks on storage of type `lvmthin` and `rbd`, and at paths of Ceph's, that have no
    `discard`. A written `discard=ignore` counts as intended. ZFS and storage of files
    are left out: a VM's configuration does not show whether their volumes are thin. Nor does the
    path of a logical volume.

    ## Why is this bad

    What the guest deletes stays allocated: the volume only grows, up to its full size, and the
    pool fills up with unused data. A full pool stops all its guests.

    ## Example

    ```
    virtio0: local-lvm:vm-100-disk-0,size=32G
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

    The fix writes `discard=on` and is safe: the guest sees the same device, and only what the
    guest itself discards is given back. The guest has to trim its file systems once, such as by
    `fstrim -a`. For Windows on another bus than virtio the fix is manual: it may need `ssd=1`
    as well (see DI002).

    ## References

    - Proxmox VE's manual, qm.adoc: trim and discard
    - QEMU's manual page, `discard` under `-blockdev`: the default is to ignore
    """

    code = "DI001"
    name = "discard-off-on-thin-storage"
    severity = Severity.WARNING

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per disk."""
        for attached in list_writable_disks(context):
            disk, backing = attached.disk, attached.disk.backing
            if disk.discard is not None or disk.scsiblock or backing is None:
                continue
            pool = _POOLS.get(backing.kind)
            if pool is None:
                continue
            discard = name_setting(context, disk.id, "discard", "unmap")
            yield self.report(
                context,
                f"{disk.id} never returns space to its {pool}: without {discard}, what the"
                " guest deletes stays allocated",
                subject=disk.id,
                span=disk.span,
                fix=_make_fix(context, disk),
            )


def _make_fix(context: Context, disk: Disk) -> Fix:
    change = Change(subject=disk.id, property="discard", new="unmap")
    words = instruct(context, change)
    if context.vm.os == "windows" and disk.bus != "virtio" and not disk.ssd:
        ssd = name_setting(context, disk.id, "ssd", "1")
        return Fix(
            applicability=Applicability.MANUAL,
            message=f"{words}, and {ssd} where this Windows trims nothing but SSDs",
        )
    return context.make_fix(words, change)
