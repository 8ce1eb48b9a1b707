"""DI006."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.lint.diagnostic import Applicability, Diagnostic, Fix, Severity
from vmio.lint.drives import list_writable_disks
from vmio.lint.rule import Context
from vmio.lint.rules.proxmox.rule import ProxmoxRule
from vmio.lint.versions import Versions

__all__ = ["Qcow2OutgrowsBlockDevice"]


class Qcow2OutgrowsBlockDevice(ProxmoxRule):
    """Finds qcow2 images that can outgrow their block device because of discards.

    ## What it does

    Looks for disks with `discard=on` whose qcow2 image is directly on a block device, such as a
    logical volume, without QEMU's option `discard-no-unref`. Proxmox VE sets that option on
    storage with `snapshot-as-volume-chain` only.

    ## Why is this bad

    A discarded cluster loses its place in the image, and when the guest writes there again it gets
    another one, at the image's end if need be. Little by little the image becomes longer than the
    disk. A file grows; a logical volume does not, and the guest is paused because there is no
    space.

    ## Example

    ```
    virtio0: /dev/vg/vm-100-disk-0,discard=on,format=qcow2,size=32G
    ```

    ## Use instead

    ```
    virtio0: /dev/vg/vm-100-disk-0,format=qcow2,size=32G
    ```

    ## Fix safety

    There is no fix to apply: without discard, deleted data stays allocated in the image, and a
    volume chain is another kind of storage.

    ## References

    - QEMU, the description of `discard-no-unref` in qapi/block-core.json, since 8.1
    - Proxmox bug 6543, and qemu-server 9.0.8, which sets the option for volume chains
    """

    code = "DI006"
    name = "qcow2-outgrows-block-device"
    severity = Severity.WARNING
    elsewhere = "`discard-no-unref` of a command line is not read."
    blanks = (
        ("libvirt", "Only for Proxmox VE is it known that the volume is no larger than the disk."),
    )
    versions = Versions(since="8.1")

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per disk."""
        for attached in list_writable_disks(context):
            disk, backing = attached.disk, attached.disk.backing
            if disk.discard != "unmap" or backing is None or backing.discard_no_unref:
                continue
            if backing.format != "qcow2" or backing.driver != "host_device":
                continue
            yield self.report(
                context,
                f"the qcow2 image of {disk.id} can outgrow its block device: discarded clusters"
                " lose their place, and new ones are put at the image's end",
                subject=disk.id,
                span=disk.spans.get("discard", disk.span),
                fix=Fix(
                    applicability=Applicability.MANUAL,
                    message="remove discard=on, or set snapshot-as-volume-chain on the storage",
                ),
            )
