"""From two states of a guest to the steps between them, each with its reason.

Sources that a step names are read by people: a document, a source file with its version, or a
measurement with the message that published it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from attrs import evolve

from vmio.formats.shell import quote
from vmio.model.disk import Disk
from vmio.model.host import Host, parse_processors
from vmio.model.iothread import IOThread
from vmio.model.plan import Change, LiveChange, Step
from vmio.model.topology import Topology
from vmio.model.vm import Vm
from vmio.plan.by_hand import leave_emulated, move_disks
from vmio.plan.policies import Choice, count_cpus
from vmio.plan.target import find_candidates, find_held
from vmio.plan.virtio_scsi import SINGLE, name_old_system, qm_set
from vmio.plan.words import GUIDE, cite_controllers, join, name_scsihw, tell_controllers

__all__ = ["MAPPING", "list_changes", "make_steps", "trim_queues"]

MAPPING = "Map the queues"
"""How the step begins that makes a mapping."""

_RUN = "QEMU 10.0.2, run"
_GAIN = (
    "requests no longer wait for the main loop; with 8 vCPUs QEMU's maintainers"
    " measured 7 % to 21 % more of them a second (qemu-devel, 2025-11-04)"
)

Layouts = tuple[Topology, Topology]
"""Before and after."""


def make_steps(
    vm: Vm, target: Vm, *, layouts: Layouts, host: Host, choice: Choice, mapped: int
) -> tuple[Step, ...]:
    """Returns what leads from a guest to another state of it, and what only a person can do.

    Args:
        vm: The guest as its config says it.
        target: The guest as its config shall say it.
        layouts: What the two come to.
        host: The host that it runs on.
        choice: The policy.
        mapped: How many IOThreads each disk shall have, if that is more than one.
    """
    return (
        *_serve(vm, target, layouts, choice),
        *_choose_queues(vm, target),
        *leave_emulated(vm, target),
        *_leave_held(vm),
        *move_disks(vm, target, layouts[1]),
        *(_map_queues(target, layouts[1], mapped) if mapped > 1 else ()),
        *_widen_affinity(vm, layouts[1], host),
    )


def list_changes(steps: Iterable[Step]) -> tuple[Change, ...]:
    """Returns the changes of those steps that need no person."""
    return tuple(change for step in steps if not step.by_hand for change in step.changes)


def trim_queues(vm: Vm) -> Vm:
    """Returns a guest whose disks have no more queues than it has processors to use them."""
    return evolve(
        vm,
        disks=tuple(
            evolve(disk, queues=None) if _has_surplus(disk, vm) else disk for disk in vm.disks
        ),
    )


def _serve(vm: Vm, target: Vm, layouts: Layouts, choice: Choice) -> Iterator[Step]:
    """Yields how disks come to their threads: in one step where `args` names controllers."""
    controllers = tuple(_change_setting("scsihw", vm.scsihw, target.scsihw))
    args = tuple(_change_setting("args", *(each.settings.get("args") for each in (vm, target))))
    asked = [
        disk
        for disk, wanted in zip(vm.disks, target.disks, strict=True)
        if bool(disk.iothread) != bool(wanted.iothread)
    ]
    options = tuple(_change_iothread(vm, disk) for disk in asked)
    if args:
        yield _set_threads(vm, target, layouts, choice, (*controllers, *options, *args))
        return
    if controllers:
        yield _set_scsihw(vm, controllers)
    if options:
        yield _give_threads(vm, asked, options)


def _change_setting(key: str, old: str | None, new: str | None) -> Iterator[Change]:
    if old != new:
        yield Change(key=key, old=old, new=new)


def _change_iothread(vm: Vm, disk: Disk) -> Change:
    old = _read_option(vm, disk, "iothread")
    return Change(key=disk.id, option="iothread", old=old, new=None if disk.iothread else "1")


def _read_option(vm: Vm, disk: Disk, option: str) -> str | None:
    span = disk.spans.get(option)
    return None if span is None else vm.source.read_span(span).partition("=")[2]


def _set_scsihw(vm: Vm, changes: tuple[Change, ...]) -> Step:
    return Step(
        what=f"Set scsihw to {SINGLE}",
        why=f"{name_scsihw(vm)}: all SCSI disks hang on one controller, where Proxmox VE gives"
        " none of them an IOThread",
        source=f"{GUIDE}; {cite_controllers(vm)}",
        effect="each SCSI disk has a controller to itself, and can have a thread to itself",
        guest_notices=tell_controllers(vm),
        changes=changes,
    )


def _give_threads(vm: Vm, disks: Sequence[Disk], changes: tuple[Change, ...]) -> Step:
    old = name_old_system(vm)
    return Step(
        what=f"Give {join(disk.id for disk in disks)} an IOThread{' each' * (len(disks) > 1)}",
        why="without one QEMU's main loop does their I/O, between everything else that it does",
        source=GUIDE,
        effect=_GAIN,
        guest_notices=f"the virtio drivers of {old} are older than IOThreads: take iothread away"
        " if the guest hangs or loses its disk"
        if old is not None
        else "",
        changes=changes,
    )


def _set_threads(
    vm: Vm,
    target: Vm,
    layouts: Layouts,
    choice: Choice,
    changes: tuple[Change, ...],
) -> Step:
    """Returns the step to threads that `args` makes, or away from them."""
    before, after = layouts
    notices = tell_controllers(vm) if vm.scsihw != target.scsihw else ""
    ours = _list_ours(target.iothreads)
    if not ours:
        return Step(
            what="Take vmio's IOThreads out of args",
            why="Proxmox VE's own settings say the same, and follow when a disk comes or goes",
            source=GUIDE,
            effect="each disk is served as the new layout shows",
            guest_notices=notices,
            changes=changes,
        )
    served: dict[str, list[str]] = {}
    for attached in after.disks:
        for thread in after.served_by(attached):
            served.setdefault(thread, []).append(attached.disk.id)
    spread = "; ".join(f"{each.id} serves {join(served[each.id])}" for each in ours)
    live = _tune_live(before, after)
    return Step(
        what=f"Spread the disks over {len(ours)} IOThread{'s' * (len(ours) > 1)} in args",
        why=f"{choice.name} is: {choice.policy.summary}; Proxmox VE has no setting for a thread"
        " that several disks share",
        source="; ".join(
            (choice.policy.source, _RUN, *((cite_controllers(vm),) if notices else ()))
        ),
        effect=f"{spread}. Nothing of Proxmox VE keeps args and disks together: only root can set"
        " args, and a disk that is removed has to go from args too, or the guest does not start",
        guest_notices=notices,
        takes_effect="live" if live else "restart",
        changes=changes,
        live=live,
    )


def _list_ours(iothreads: Iterable[IOThread]) -> tuple[IOThread, ...]:
    return tuple(iothread for iothread in iothreads if iothread.id.startswith("vmio"))


def _tune_live(before: Topology, after: Topology) -> tuple[LiveChange, ...]:
    """Returns the parameters of running threads, where nothing else of the layout changes."""
    old = {iothread.id: iothread for iothread in before.iothreads}
    same = set(old) == {iothread.id for iothread in after.iothreads} and all(
        before.served_by(one) == after.served_by(other)
        for one, other in zip(before.disks, after.disks, strict=True)
    )
    if not same or any(iothread.poll_max_ns is None for iothread in _list_ours(after.iothreads)):
        return ()
    return tuple(
        LiveChange(path=f"/objects/{each.id}", property="poll-max-ns", new=each.poll_max_ns)
        for each in after.iothreads
        if each.poll_max_ns is not None and each.poll_max_ns != old[each.id].poll_max_ns
    )


def _has_surplus(disk: Disk, vm: Vm) -> bool:
    return disk.bus == "scsi" and disk.queues is not None and disk.queues > vm.vcpus


def _choose_queues(vm: Vm, target: Vm) -> Iterator[Step]:
    many = [
        disk
        for disk, wanted in zip(vm.disks, target.disks, strict=True)
        if disk.queues != wanted.queues
    ]
    if not many:
        return
    yield Step(
        what=f"Let QEMU choose the queues of {join(disk.id for disk in many)}",
        why=f"a Linux guest with {vm.vcpus} vCPU{'s' * (vm.vcpus > 1)} uses no more queues than"
        " that, and further ones share an interrupt",
        source="QEMU since 5.2: one queue for each vCPU; Linux, virtio_scsi",
        effect="one queue for each vCPU",
        changes=tuple(
            Change(key=disk.id, option="queues", old=_read_option(vm, disk, "queues"))
            for disk in many
        ),
    )


def _leave_held(vm: Vm) -> Iterator[Step]:
    held = find_held(vm)
    disks = [disk.id for disk in vm.disks if disk.id in held and disk.keeps_data]
    if not disks:
        return
    yield Step(
        what=f"Look through args yourself, which names {join(disks)} or a controller",
        why="what stands there would not fit another layout, so these disks are left as they are",
        source=_RUN,
        by_hand="take out of args what is about these disks, or keep it and let them be",
    )


def _map_queues(target: Vm, after: Topology, mapped: int) -> Iterator[Step]:
    disks = {disk.id for disk in find_candidates(target)}
    found = [attached for attached in after.disks if attached.disk.id in disks]
    if not found:
        return
    controllers = dict.fromkeys(after.controller_of(attached).id for attached in found)
    threads = ", ".join(f'{{"iothread": "vmio{number}"}}' for number in range(mapped))
    yield Step(
        what=f"{MAPPING} of {join(attached.disk.id for attached in found)} to {mapped} IOThreads",
        why="one IOThread for a fast disk of a guest with many vCPUs is soon busy",
        source=f"{_RUN}: -set takes no list ('expected: array'), and -global with one ends QEMU"
        " with a segmentation fault",
        effect="on a local Optane disk 4 threads made 1.8 times to 2.1 times the requests of one"
        " (KVM Forum 2024; qemu-devel, 2025-03-11)",
        by_hand="Proxmox VE has no setting for it, and args cannot do it. Where you write QEMU's"
        f" command line yourself: -object iothread for each of them, and {join(controllers)} as"
        f' JSON with "iothread-vq-mapping": [{threads}]',
    )


def _widen_affinity(vm: Vm, after: Topology, host: Host) -> Iterator[Step]:
    """Yields advice where all threads of a guest share the processors of its vCPUs."""
    written = vm.settings.get("affinity", "")
    pinned = parse_processors(written)
    threads = {thread.id for thread in after.iothreads}
    if not pinned or not threads or pinned.bit_count() > vm.vcpus:
        return
    near = next(
        (cpus for cpus in map(parse_processors, host.cpu.nodes.values()) if not pinned & ~cpus),
        (1 << host.cpu.count) - 1,
    )
    free = near & ~pinned
    first = (free & -free).bit_length() - 1
    place = f" of the same NUMA node, such as {first}" if free and host.cpu.nodes else ""
    yield Step(
        what="Widen affinity by a processor or more for the IOThreads",
        why=f"affinity leaves {count_cpus(vm, host)} processors to {vm.vcpus} vCPUs and"
        f" {len(threads)} IOThreads, which take time from each other",
        source="KubeVirt user guide, 'IOThreads with Dedicated CPUs'; Proxmox VE's affinity is"
        " for all threads of a guest",
        by_hand=f"choose processors{place} that no other guest is bound to, and run:"
        f" {qm_set(vm)} --affinity {quote(written)},…",
    )
