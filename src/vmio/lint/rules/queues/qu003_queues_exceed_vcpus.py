"""QU003."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.bounds import MAX_QUEUES, MAX_SCSI_QUEUES
from vmio.lint.devices import list_described, list_made_disks, may_add_vcpus
from vmio.lint.diagnostic import Applicability, Diagnostic, Fix, Severity
from vmio.lint.rule import Context, Rule
from vmio.lint.words import instruct
from vmio.model.controller import QUEUE_PER_VCPU_SINCE
from vmio.model.plan import Change

__all__ = ["QueuesExceedVcpus"]


class QueuesExceedVcpus(Rule):
    """Finds devices with more request queues than the guest has virtual processors.

    ## What it does

    Compares `queues` of a SCSI drive or of a domain's driver, if it is used, and `num-queues` of a
    device in QEMU's own options with the number of virtual processors. Guests that can get more of
    these while they run are not reported, nor are devices with an `iothread-vq-mapping`. QU009
    reports numbers that QEMU refuses.

    ## Why is this bad

    A processor submits to one queue, so those beyond their number stay empty. Linux does not even
    set them up. QEMU reserves memory and interrupt vectors for all of them.

    ## Example

    ```
    cores: 2
    scsi0: local-lvm:vm-100-disk-0,iothread=1,queues=8,size=32G
    scsihw: virtio-scsi-single
    ```

    ## Use instead

    ```
    cores: 2
    scsi0: local-lvm:vm-100-disk-0,iothread=1,size=32G
    scsihw: virtio-scsi-single
    ```

    ## Fix safety

    The fix removes `queues`, if the machine version is 5.2 or later, for which QEMU creates a
    queue per virtual processor. It is unsafe, as the guest sees a controller with fewer queues.

    ## References

    - QEMU 5.2: a request queue per virtual processor unless the number is set
    - Linux, virtio_scsi and virtio_blk: no more queues than possible processors
    """

    code = "QU003"
    name = "queues-exceed-vcpus"
    severity = Severity.INFO

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per device."""
        vm = context.vm
        if may_add_vcpus(vm):
            return
        made = set()
        for attached in list_made_disks(context):
            disk, effect = attached.disk, attached.find_effect("queues")
            if disk.queues is not None:
                made.add(disk.id)
            if disk.iothread_vq_mapping:
                continue
            used = effect is not None and effect.verdict == "used"
            if not used or disk.queues is None or not vm.vcpus < disk.queues <= MAX_SCSI_QUEUES:
                continue
            span = disk.spans.get("queues")
            removable = span is not None and vm.machine_version >= QUEUE_PER_VCPU_SINCE
            change = Change(subject=disk.id, property="queues", old=str(disk.queues))
            yield self.report(
                context,
                _explain(disk.id, disk.queues, vm.vcpus),
                subject=disk.id,
                span=span or disk.span,
                fix=context.make_fix(
                    f"{instruct(context, change)}, so that there is one per virtual processor",
                    change,
                    applicability=Applicability.UNSAFE,
                )
                if removable
                else Fix(
                    applicability=Applicability.MANUAL,
                    message=f"write no more than {vm.vcpus} queues",
                ),
            )
        for device in list_described(context):
            if device.queues is None or device.mapping or device.id in made:
                continue
            if vm.vcpus < device.queues <= MAX_QUEUES:
                yield self.report(
                    context,
                    _explain(device.id, device.queues, vm.vcpus),
                    subject=device.id,
                    span=device.queues_span,
                )


def _explain(device: str, queues: int, vcpus: int) -> str:
    processors = "one virtual processor" if vcpus == 1 else f"{vcpus} virtual processors"
    return f"{device} has {queues} request queues for {processors}, and the rest stay empty"
