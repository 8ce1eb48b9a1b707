"""QU004."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.lint.devices import list_described
from vmio.lint.diagnostic import Applicability, Diagnostic, Fix, Severity
from vmio.lint.rule import Context, Rule
from vmio.model.controller import QUEUE_PER_VCPU_SINCE

__all__ = ["SingleQueueOnSmp"]


class SingleQueueOnSmp(Rule):
    """Finds devices with a single request queue in guests with several virtual processors.

    ## What it does

    Looks for `num-queues=1` on virtio-blk and virtio-scsi devices of QEMU's own options, where
    the guest has more than one virtual processor. It is a warning where `iothread-vq-mapping`
    gives such a device several IOThreads.

    ## Why is this bad

    All processors of the guest then contend for one queue, and a request may complete on another
    processor than the one that submitted it. An IOThread serves whole queues: of several that are
    mapped to a device with one queue, one works and the others stay idle.

    ## Example

    ```
    args: -object iothread,id=io0 -drive file=/a,if=none,id=d -device virtio-blk-pci,drive=d,iothread=io0,num-queues=1
    cores: 4
    ```

    ## Use instead

    ```
    args: -object iothread,id=io0 -drive file=/a,if=none,id=d -device virtio-blk-pci,drive=d,iothread=io0
    cores: 4
    ```

    ## Fix safety

    There is no fix to apply: a single queue may have been measured to be best, as it can be for a
    slow disk.

    ## References

    - qemu-devel, cover letter of the change of the default in QEMU 5.2: 1 to 4 % more requests a
      second with a queue per virtual processor
    - QEMU 10.0.2: more IOThreads than queues are accepted, and those in excess stay idle
    """  # noqa: E501 - a config has no way to break a line

    code = "QU004"
    name = "single-queue-on-smp"
    severity = Severity.INFO
    needs = "devices"

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per device."""
        vm = context.vm
        for device in list_described(context):
            threads = len(device.mapping)
            if device.queues != 1 or (vm.vcpus == 1 and threads <= 1):
                continue
            is_old = (0, 0) < vm.machine_version < QUEUE_PER_VCPU_SINCE
            has_one = is_old or device.kind.endswith(("-ccw", "-device"))
            yield self.report(
                context,
                f"{device.id} has one request queue, so one of its {threads} IOThreads does all"
                if threads > 1
                else f"{device.id} has one request queue for {vm.vcpus} virtual processors",
                subject=device.id,
                span=device.queues_span,
                severity=Severity.WARNING if threads > 1 else None,
                fix=Fix(
                    applicability=Applicability.MANUAL,
                    message=f"set {device.setting} to {max(vm.vcpus, threads)}: it has one queue"
                    " by itself"
                    if has_one
                    else f"remove {device.setting}, so that there is a queue per virtual"
                    " processor",
                ),
            )
