"""QU009."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.bounds import MAX_QUEUES, MAX_SCSI_QUEUES
from vmio.lint.devices import list_described, list_made_disks
from vmio.lint.diagnostic import Diagnostic, Severity
from vmio.lint.rule import Context, Rule

__all__ = ["QueueCountRefused"]


class QueueCountRefused(Rule):
    """Finds numbers of request queues that every QEMU refuses.

    ## What it does

    Compares `queues` of a SCSI drive or of a domain's driver, if it is used, and `num-queues` of a
    device in QEMU's own options with what QEMU supports: one to 1022 request queues of a
    virtio-scsi controller, one to 1024 of a virtio-blk disk.

    ## Why is this bad

    Proxmox VE and libvirt accept the number, and QEMU does not start.

    ## Example

    ```
    cores: 2
    scsi0: local-lvm:vm-100-disk-0,iothread=1,queues=2000,size=32G
    scsihw: virtio-scsi-single
    ```

    ## Use instead

    ```
    cores: 2
    scsi0: local-lvm:vm-100-disk-0,iothread=1,size=32G
    scsihw: virtio-scsi-single
    ```

    ## Fix safety

    There is no fix to apply: only a person knows how many queues were meant. Without the number
    there is one per virtual processor.

    ## References

    - QEMU 10.0.2: `Invalid number of queues (= 2000), must be a positive integer less than 1022`
      of virtio-scsi, though it accepts 1022; `num-queues property must be larger than 0` of
      virtio-blk, which is aborted above 1024
    """

    code = "QU009"
    name = "queue-count-refused"
    severity = Severity.ERROR

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per device."""
        for attached in list_made_disks(context):
            disk, effect = attached.disk, attached.find_effect("queues")
            used = effect is not None and effect.verdict == "used"
            is_scsi = used and disk.bus == "scsi"
            if is_scsi and disk.queues is not None and disk.queues > MAX_SCSI_QUEUES:
                yield self.report(
                    context,
                    _explain(disk.id, disk.queues, MAX_SCSI_QUEUES),
                    subject=disk.id,
                    span=disk.spans.get("queues", disk.span),
                )
        for device in list_described(context):
            most = MAX_SCSI_QUEUES if device.is_scsi else MAX_QUEUES
            if device.queues is not None and not 1 <= device.queues <= most:
                yield self.report(
                    context,
                    _explain(device.id, device.queues, most),
                    subject=device.id,
                    span=device.queues_span,
                )


def _explain(device: str, queues: int, most: int) -> str:
    return f"QEMU refuses {queues} request queues of {device}: it accepts 1 to {most}"
