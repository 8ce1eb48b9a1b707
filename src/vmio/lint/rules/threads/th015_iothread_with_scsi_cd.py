"""TH015."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.lint.devices import can_have_iothread, runs_in_iothread
from vmio.lint.diagnostic import Applicability, Diagnostic, Fix, Severity
from vmio.lint.rule import Context, Rule
from vmio.lint.versions import Versions
from vmio.lint.words import instruct
from vmio.model.disk import Disk
from vmio.model.plan import OWN, Change

__all__ = ["IothreadWithScsiCd"]


class IothreadWithScsiCd(Rule):
    """Finds SCSI cd-roms on a controller that runs in an IOThread.

    ## What it does

    Looks for `scsiN` cd-roms and cloud-init drives that ask for an IOThread, or whose virtio-scsi
    controller has one, where QEMU is older than 7.0.

    ## Why is this bad

    Before 7.0 QEMU's own tests leave the combination out as not supported. A cd-rom
    gains nothing from an IOThread either.

    ## Example

    ```
    scsi2: none,iothread=1,media=cdrom
    scsihw: virtio-scsi-single
    ```

    ```host
    qemu_version = "6.2.0"
    ```

    ## Use instead

    ```
    scsi2: none,media=cdrom
    scsihw: virtio-scsi-single
    ```

    ```host
    qemu_version = "6.2.0"
    ```

    ## Fix safety

    In a Proxmox config the fix removes `iothread` from the cd-rom, which with `scsihw:
    virtio-scsi-single` has a controller of its own. It is safe: the guest sees the same devices.
    Where other disks share the controller, there is no fix to apply.

    ## References

    - tp-qemu, pull request 3363: scsi-cd with an IOThread is tested from QEMU 7.0 on
    """

    code = "TH015"
    name = "iothread-with-scsi-cd"
    severity = Severity.INFO
    versions = Versions(before="7.0")

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per cd-rom."""
        topology = context.topology
        for attached in topology.disks:
            disk = attached.disk
            if disk.bus != "scsi" or (disk.media == "disk" and not disk.cloudinit):
                continue
            if not can_have_iothread(topology, attached):
                continue
            span = disk.spans.get("iothread")
            has = "has" if runs_in_iothread(topology, attached) else "asks for"
            yield self.report(
                context,
                f"{disk.id} is a cd-rom and {has} an IOThread,"
                " which QEMU before 7.0 is not tested with",
                subject=disk.id,
                span=span or disk.span,
                fix=_make_fix(context, disk),
            )


def _make_fix(context: Context, disk: Disk) -> Fix:
    if disk.iothread is None:
        return Fix(
            applicability=Applicability.MANUAL,
            message=f"put {disk.id} on a controller without an IOThread",
        )
    change = Change(subject=disk.id, property="iothread", old=OWN)
    return context.make_fix(instruct(context, change), change)
