"""QU006."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from vmio.formats.qemu.argv import read_mapping
from vmio.lint.devices import count_queues, find_property, list_devices, read_queues
from vmio.lint.diagnostic import Diagnostic, Severity
from vmio.lint.rule import Context, Rule
from vmio.lint.versions import Versions
from vmio.model.controller import MAPPED_SINCE
from vmio.model.host import Host
from vmio.model.iothread import VirtqueueMapping
from vmio.model.option import Option

__all__ = ["VqMappingRefused"]


class VqMappingRefused(Rule):
    """Finds mappings of virtqueues to IOThreads that QEMU refuses.

    ## What it does

    Checks each `iothread-vq-mapping` of QEMU's own options: no `iothread` beside it, no IOThread
    twice, queue numbers in all entries or in none, every queue of the device in exactly one of
    them, and a QEMU that knows the property. TH006 reports undefined ids. Without `num-queues`
    a device has one queue per virtual processor.

    ## Why is this bad

    QEMU does not start.

    ## Example

    ```
    args: -object iothread,id=a -drive file=/d,if=none,id=d -device '{"driver":"virtio-blk-pci","drive":"d","num-queues":2,"iothread-vq-mapping":[{"iothread":"a","vqs":[0]}]}'
    ```

    ## Use instead

    ```
    args: -object iothread,id=a -drive file=/d,if=none,id=d -device '{"driver":"virtio-blk-pci","drive":"d","num-queues":2,"iothread-vq-mapping":[{"iothread":"a","vqs":[0,1]}]}'
    ```

    ## Fix safety

    There is no fix to apply: only a person knows which thread should serve which queue. Without
    any `vqs` QEMU assigns the queues in turn.

    ## References

    - QEMU 10.0.2 refuses each of these; the messages are those about `iothread-vq-mapping`, such
      as `missing vq 1 IOThread assignment in iothread-vq-mapping`
    - QEMU 9.0 for virtio-blk, 10.0 for virtio-scsi: the property's first releases. For virtio-scsi
      the numbers are those of the command queues
    """  # noqa: E501 - a config has no way to break a line

    code = "QU006"
    name = "vq-mapping-refused"
    severity = Severity.ERROR
    blanks = (("libvirt", "The daemon refuses such a domain itself (CF020)."),)
    needs = "options"

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields the first refusal of each device."""
        vm = context.vm
        for option in list_devices(vm):
            mapping = read_mapping(option)
            if not mapping:
                continue
            reason = _refuse(
                option, mapping, count_queues(vm, option.kind, read_queues(option)), context.host
            )
            if not reason:
                continue
            device = option.id or option.kind
            yield self.report(
                context,
                f"QEMU refuses the iothread-vq-mapping of {device}: {reason}",
                subject=device,
                span=find_property(vm.source, option, "iothread-vq-mapping"),
            )


def _refuse(
    option: Option, mapping: tuple[VirtqueueMapping, ...], queues: int | None, host: Host
) -> str:
    """Returns why QEMU refuses a mapping; empty if it does not."""
    is_scsi = option.kind.startswith("virtio-scsi")
    since = ".".join(map(str, MAPPED_SINCE["scsi" if is_scsi else "virtio"]))
    threads = [entry.iothread for entry in mapping]
    twice = next((thread for thread, count in Counter(threads).items() if count > 1), None)
    if Versions(before=since).hold(host):
        return (
            f"{'virtio-scsi' if is_scsi else 'virtio-blk'} has the property from QEMU {since} on"
        )
    if option.properties.get("iothread"):
        return "iothread is set, too"
    if twice is not None:
        return f"IOThread {twice[:80]} is named twice"
    if not any(entry.vqs for entry in mapping):
        return ""
    if not all(entry.vqs for entry in mapping):
        return "some entries have vqs and others do not"
    return _refuse_queues([vq for entry in mapping for vq in entry.vqs], queues)


def _refuse_queues(written: list[int], queues: int | None) -> str:
    seen = set()
    for vq in written:
        if queues is not None and vq >= queues:
            return f"there is no queue {vq}: queues are 0 to {queues - 1}"
        if vq in seen:
            return f"queue {vq} is assigned twice"
        seen.add(vq)
    missing = next((vq for vq in range(len(seen) + 1) if vq not in seen), 0)
    if queues is not None and missing < queues:
        return f"queue {missing} is in no entry"
    return ""
