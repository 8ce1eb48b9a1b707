"""TH004."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.lint.diagnostic import Applicability, Diagnostic, Fix, Severity
from vmio.lint.rule import Context, Rule
from vmio.model.iothread import IOThread
from vmio.model.source import Source, Span
from vmio.model.vm import Vm

__all__ = ["IothreadUsedByNothing"]


class IothreadUsedByNothing(Rule):
    """Finds IOThreads that are defined and that no device refers to.

    ## What it does

    Compares the IOThreads that a configuration itself defines (in a Proxmox config, by `-object
    iothread,id=…` in its `args`) with all that its drives, controllers and other objects name.

    ## Why is this bad

    QEMU starts the thread, and it sleeps forever. Nothing is slower for it, but whoever wrote it
    believes that some disk is served by it, and none is.

    ## Example

    ```
    args: -object iothread,id=io0
    virtio0: local-lvm:vm-100-disk-0,size=32G
    ```

    ## Use instead

    ```
    virtio0: local-lvm:vm-100-disk-0,iothread=1,size=32G
    ```

    ## Fix safety

    There is no fix to apply: only a person knows which device was meant, or that none was.

    ## References

    - QEMU's manual page, `-object iothread`
    """

    code = "TH004"
    name = "iothread-used-by-nothing"
    severity = Severity.WARNING

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per IOThread without a user."""
        vm = context.vm
        used = _list_used(vm)
        for iothread in vm.iothreads:
            if iothread.id in used:
                continue
            yield self.report(
                context,
                f"IOThread {iothread.id} is defined and serves nothing",
                subject=iothread.id,
                span=_find_id(vm.source, iothread),
                fix=Fix(
                    applicability=Applicability.MANUAL,
                    message=f"write iothread={iothread.id} where it should serve, or delete it",
                ),
            )


def _list_used(vm: Vm) -> frozenset[str]:
    used = set(vm.iothread_users)
    for disk in vm.disks:
        used |= {entry.iothread for entry in disk.iothread_vq_mapping}
        if disk.iothread_id is not None:
            used.add(disk.iothread_id)
    for controller in vm.controllers:
        used |= {entry.iothread for entry in controller.iothread_vq_mapping}
        if controller.iothread is not None:
            used.add(controller.iothread)
    return frozenset(used)


def _find_id(source: Source, iothread: IOThread) -> Span | None:
    """Returns where `id=` names the IOThread, or all of what defines it."""
    span, text = iothread.span, f"id={iothread.id}".encode()
    found = source.data.find(text, span.start, span.end) if span is not None else -1
    return Span(start=found, end=found + len(text)) if found >= 0 else span
