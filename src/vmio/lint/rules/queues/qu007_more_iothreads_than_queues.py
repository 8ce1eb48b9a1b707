"""QU007."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.lint.devices import count_queues, list_described
from vmio.lint.diagnostic import Applicability, Diagnostic, Fix, Severity
from vmio.lint.rule import Context, Rule

__all__ = ["MoreIothreadsThanQueues"]


class MoreIothreadsThanQueues(Rule):
    """Finds devices that are given more IOThreads than they have request queues.

    ## What it does

    Counts the IOThreads of each `iothread-vq-mapping` without `vqs`, for which QEMU assigns the
    queues, and the device's queues: `num-queues`, or else one per virtual processor. QU004
    reports a device with a configured single queue.

    ## Why is this bad

    A queue is served by one IOThread, so surplus IOThreads never get a request. QEMU starts them
    without a warning.

    ## Example

    ```
    args: -object iothread,id=a -object iothread,id=b -drive file=/d,if=none,id=d -device '{"driver":"virtio-blk-pci","drive":"d","iothread-vq-mapping":[{"iothread":"a"},{"iothread":"b"}]}'
    cores: 1
    ```

    ## Use instead

    ```
    args: -object iothread,id=a -object iothread,id=b -drive file=/d,if=none,id=d -device '{"driver":"virtio-blk-pci","drive":"d","iothread-vq-mapping":[{"iothread":"a"},{"iothread":"b"}]}'
    cores: 2
    ```

    ## Fix safety

    There is no fix to apply: either fewer IOThreads or more queues may be intended.

    ## References

    - QEMU 10.0.2: surplus IOThreads in a mapping are accepted and stay idle
    - QEMU 5.2: a request queue per virtual processor unless the number is set
    """  # noqa: E501 - a config has no way to break a line

    code = "QU007"
    name = "more-iothreads-than-queues"
    severity = Severity.WARNING
    needs = "devices"

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per device."""
        for device in list_described(context):
            queues = count_queues(context.vm, device.kind, device.queues)
            if queues is None or len(device.mapping) <= queues or device.queues == 1:
                continue
            if any(entry.vqs for entry in device.mapping):
                continue
            count = "one request queue" if queues == 1 else f"{queues} request queues"
            idle = ", ".join(entry.iothread[:80] for entry in device.mapping[queues:])
            setting = device.setting.replace("_", "-")
            yield self.report(
                context,
                f"{device.id} has {count} for {len(device.mapping)} IOThreads: {idle} will stay"
                " idle",
                subject=device.id,
                span=device.mapping_span,
                fix=Fix(
                    applicability=Applicability.MANUAL,
                    message=f"remove IOThreads, or set {setting} to a multiple of their number",
                ),
            )
