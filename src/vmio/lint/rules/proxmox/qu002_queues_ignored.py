"""QU002."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.lint.diagnostic import Applicability, Diagnostic, Fix, Severity
from vmio.lint.edits import may_separate
from vmio.lint.rule import Context
from vmio.lint.rules.proxmox.rule import ProxmoxRule, guest_of
from vmio.model.disk import Disk
from vmio.model.plan import Change

__all__ = ["QueuesIgnored"]


class QueuesIgnored(ProxmoxRule):
    """Finds SCSI drives with `queues` whose controller does not support it.

    ## What it does

    Looks for `queues=` on `scsiN` drives of a guest whose `scsihw` is not `virtio-scsi-single`.

    ## Why is this bad

    Queues belong to a controller. Only with `virtio-scsi-single` does a drive have one of its
    own; with every other `scsihw` Proxmox VE ignores the option without a warning. A
    `virtio-scsi-pci` controller has a queue per virtual processor anyway on machine versions from
    5.2 on, and emulated controllers have none.

    ## Example

    ```
    cores: 4
    scsi0: local-lvm:vm-100-disk-0,queues=4,size=32G
    scsihw: virtio-scsi-pci
    ```

    ## Use instead

    ```
    cores: 4
    scsi0: local-lvm:vm-100-disk-0,queues=4,size=32G
    scsihw: virtio-scsi-single
    ```

    ## Fix safety

    The fix removes `queues` and is safe: nothing changes. To have queues for each disk, set
    `scsihw: virtio-scsi-single` instead, with which the guest sees other controllers; on an
    emulated controller the guest may not have the driver for it (see TH001). Where the
    disk asks for an IOThread too, and TH001 can set that, there is no fix: `queues` takes effect
    then.

    ## References

    - qemu-server 9.2.6, the part that builds the command line of a SCSI controller
    """

    code = "QU002"
    name = "queues-ignored"
    severity = Severity.WARNING
    elsewhere = "In QEMU only controllers have a number of queues."
    blanks = (("libvirt", "The daemon refuses `queues` of any disk but virtio (CF020)."),)

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per drive."""
        scsihw = guest_of(context).scsihw
        for attached in context.topology.disks:
            disk, effect = attached.disk, attached.find_effect("queues")
            if effect is None or effect.verdict != "ignored":
                continue
            span = disk.spans.get("queues")
            yield self.report(
                context,
                f"queues of {disk.id} does nothing:"
                f" scsihw is {scsihw or 'not set (lsi by default)'}",
                subject=disk.id,
                span=span or disk.span,
                fix=_fix(context, disk) if span is not None else None,
            )


def _fix(context: Context, disk: Disk) -> Fix:
    if disk.iothread and may_separate(context):
        return Fix(
            applicability=Applicability.MANUAL,
            message="set scsihw: virtio-scsi-single, as TH001 says, or remove queues",
        )
    otherwise = ", or set scsihw: virtio-scsi-single" if may_separate(context) else ""
    return context.make_fix(
        f"remove queues{otherwise}",
        Change(subject=disk.id, property="queues", old=str(disk.queues)),
    )
