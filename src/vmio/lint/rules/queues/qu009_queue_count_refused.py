"""QU009."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.bounds import MAX_QUEUES, MAX_SCSI_QUEUES
from vmio.lint.devices import find_property, list_devices, list_made_disks, read_queues
from vmio.lint.diagnostic import Diagnostic, Severity
from vmio.lint.rule import Context, Rule

__all__ = ["QueueCountRefused"]


class QueueCountRefused(Rule):
    """Finds numbers of request queues that every QEMU refuses.

    ## What it does

    Compares `queues` of a SCSI drive, if it is used, and `num-queues` of a device in QEMU's own
    options with what QEMU supports: one to 1022 request queues of a virtio-scsi controller, one to
    1024 of a virtio-blk disk.

    ## Why is this bad

    Proxmox VE accepts the number, and QEMU does not start.

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
        vm = context.vm
        for attached in list_made_disks(context):
            disk, effect = attached.disk, attached.find_effect("queues")
            used = effect is not None and effect.verdict == "used"
            if used and disk.queues is not None and disk.queues > MAX_SCSI_QUEUES:
                yield self.report(
                    context,
                    _explain(disk.id, disk.queues, MAX_SCSI_QUEUES),
                    subject=disk.id,
                    span=disk.spans.get("queues", disk.span),
                )
        for option in list_devices(vm):
            queues = read_queues(option)
            most = MAX_SCSI_QUEUES if option.kind.startswith("virtio-scsi") else MAX_QUEUES
            if queues is None or 1 <= queues <= most:
                continue
            key = "num-queues" if "num-queues" in option.properties else "num_queues"
            device = option.id or option.kind
            yield self.report(
                context,
                _explain(device, queues, most),
                subject=device,
                span=find_property(vm.source, option, key),
            )


def _explain(device: str, queues: int, most: int) -> str:
    return f"QEMU refuses {queues} request queues of {device}: it accepts 1 to {most}"
