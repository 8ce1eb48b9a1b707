"""TH004."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vmio.formats.words import join
from vmio.lint.diagnostic import Applicability, Diagnostic, Fix, Severity
from vmio.lint.rule import Context, Rule
from vmio.lint.words import name_setting
from vmio.model.iothread import IOThread
from vmio.model.source import Source, Span
from vmio.model.topology import Topology
from vmio.model.vm import Vm

__all__ = ["IothreadUsedByNothing"]

_MOST_NAMES = 3


class IothreadUsedByNothing(Rule):
    """Finds IOThreads that are defined and that serve no disk and no other device.

    ## What it does

    Compares the IOThreads that a configuration itself defines (in a Proxmox config, by `-object
    iothread,id=…` in its `args`) with all that its drives, controllers and other objects name. A
    controller without a disk gives an IOThread nothing to do, whatever it names. An unknown device
    counts as using the IOThreads that it names.

    ## Why is this bad

    QEMU starts the thread, and it sleeps forever. Nothing is slower, but its author
    expects it to serve a disk, and it serves none. Another controller than the disk's own may
    name it: a SCSI disk is served by the thread of its own controller.

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
        if any(option.name == "readconfig" for option in vm.options) or any(
            problem.kind == "unread-config" for problem in vm.problems
        ):
            return  # what names it may be there
        used, idle = _list_used(vm, context.topology)
        for iothread in vm.iothreads:
            if iothread.id in used:
                continue
            message = f"IOThread {iothread.id} is defined and serves nothing"
            setting = name_setting(context, "", "iothread", iothread.id)
            advice = f"write {setting} where it should serve, or delete it"
            if iothread.id in idle:
                by = idle[iothread.id]
                has, it = ("has", "it") if len(by) == 1 else ("have", "them")
                message = (
                    f"IOThread {iothread.id} serves no disk: {_name_some(by)} {has} none, and"
                    f" nothing else names {iothread.id}"
                )
                advice = f"put a disk on {it}, or give {setting} to the device that the disk is on"
            yield self.report(
                context,
                message,
                subject=iothread.id,
                span=_find_id(vm.source, iothread),
                fix=Fix(applicability=Applicability.MANUAL, message=advice),
            )


def _list_used(vm: Vm, topology: Topology) -> tuple[frozenset[str], dict[str, list[str]]]:
    """Returns the IOThreads in use, and the controllers without a disk that name others."""
    used = set(vm.iothread_users)
    idle: dict[str, list[str]] = {}
    for disk in (*vm.disks, *(attached.disk for attached in topology.disks)):
        used |= {entry.iothread for entry in disk.iothread_vq_mapping}
        if disk.iothread_id is not None:
            used.add(disk.iothread_id)
    with_disks = {attached.controller for attached in topology.disks}
    for controller in topology.controllers:
        named = {entry.iothread: None for entry in controller.iothread_vq_mapping}
        if controller.iothread is not None:
            named[controller.iothread] = None
        if controller.id in with_disks:
            used.update(named)
            continue
        for iothread in named:
            idle.setdefault(iothread, []).append(controller.id)
    return frozenset(used), idle


def _name_some(controllers: Sequence[str]) -> str:
    names = [f"the controller {name}" for name in controllers[:_MOST_NAMES]]
    more = len(controllers) - len(names)
    return join([*names, *([f"{more} more"] if more else [])])


def _find_id(source: Source, iothread: IOThread) -> Span | None:
    """Returns where `id=` names the IOThread, or all of what defines it."""
    span, text = iothread.span, f"id={iothread.id}".encode()
    found = source.data.find(text, span.start, span.end) if span is not None else -1
    return Span(start=found, end=found + len(text)) if found >= 0 else span
