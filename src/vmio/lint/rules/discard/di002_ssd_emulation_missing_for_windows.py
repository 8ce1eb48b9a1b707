"""DI002."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.lint.diagnostic import Applicability, Diagnostic, Severity
from vmio.lint.drives import list_writable_disks
from vmio.lint.rule import Context, Rule
from vmio.lint.words import instruct, name_setting
from vmio.model.plan import Change

__all__ = ["SsdEmulationMissingForWindows"]


class SsdEmulationMissingForWindows(Rule):
    """Finds disks of Windows guests that may not be trimmed because they are not SSDs.

    ## What it does

    Looks for `discard=on` without `ssd=1` on IDE, SATA and SCSI disks of guests whose `ostype` is
    a Windows. A virtio disk has no such option, and Linux trims any disk.

    ## Why is this bad

    A disk reports whether it rotates. Some Windows releases send no TRIM to rotating disks and
    defragment them instead, which allocates even more of the thin storage.

    ## Example

    ```
    ostype: win11
    scsi0: local-lvm:vm-100-disk-0,discard=on,size=64G
    scsihw: virtio-scsi-single
    ```

    ## Use instead

    ```
    ostype: win11
    scsi0: local-lvm:vm-100-disk-0,discard=on,size=64G,ssd=1
    scsihw: virtio-scsi-single
    ```

    ## Fix safety

    The fix writes `ssd=1` and is unsafe: the guest sees a disk of another kind. On storage that
    does rotate, it may order its requests worse.

    ## References

    - Proxmox VE's manual, qm.adoc: some guests need SSD emulation to send TRIM
    - proxmox-csi-plugin, pull request 606: Linux does not
    """

    code = "DI002"
    name = "ssd-emulation-missing-for-windows"
    severity = Severity.INFO
    blanks = (("qemu", "A command line does not show which system the guest has."),)

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per disk."""
        vm = context.vm
        if vm.os != "windows":
            return
        for attached in list_writable_disks(context, unresolved=True):
            disk = attached.disk
            if disk.discard != "unmap" or disk.ssd or disk.bus == "virtio" or disk.scsiblock:
                continue
            change = Change(subject=disk.id, property="ssd", new="1")
            discard = name_setting(context, disk.id, "discard", "unmap")
            yield self.report(
                context,
                f"Windows may send no TRIM to {disk.id}: it has {discard}, but reports itself as"
                " a rotating disk",
                subject=disk.id,
                span=disk.spans.get("discard", disk.span),
                fix=context.make_fix(
                    instruct(context, change), change, applicability=Applicability.UNSAFE
                ),
            )
