"""A whole plan for one guest: which thread serves which disk, and the steps to get there.

Steps are changes of the model. Each notation implements them and decides which of them it leaves
to a person; the layout after the plan comes from the notation, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from msgspec import Struct

from vmio.errors import CapabilityError, PlanError
from vmio.formats.base import Guest
from vmio.formats.registry import edit, find_obstacle, lay_out, list_notes, read_again, spell
from vmio.model.controller import MAPPED_SINCE
from vmio.model.disk import BusKind, Disk
from vmio.model.host import Host, parse_processors
from vmio.model.iothread import MAIN_LOOP
from vmio.model.plan import MOST_CHANGES, OWN, SEPARATE, Change, LiveChange, Plan, Step, StepKind
from vmio.model.source import apply_edits
from vmio.model.topology import Topology
from vmio.policy.invariants import check_topology
from vmio.policy.mapping import map_queues
from vmio.policy.spreads import SHARED_NAME, Choice, Spread
from vmio.values import replace

__all__ = ["find_candidates", "make_layout", "make_plan"]

_SLOW: Final = frozenset({"ide", "sata"})
"""Buses whose controllers cannot have an IOThread.

Source: QEMU 10.0.2, run: only virtio-blk and virtio-scsi have the property iothread.
"""


def make_plan(guest: Guest, host: Host, choice: Choice) -> Plan:
    """Returns the steps to the layout of a policy; none if the guest has it already.

    Args:
        guest: The guest.
        host: The host that it runs on.
        choice: The policy.

    Raises:
        PlanError: The policy does not apply to this guest, or the config has a change pending for
            the next restart that this plan would have to change again.
        CapabilityError: The host's QEMU is too old for the policy.
    """
    return _plan(guest, host, choice)[0]


def make_layout(guest: Guest, host: Host, choice: Choice) -> tuple[Topology, Plan]:
    """Returns the layout that a policy wants, and the plan for it.

    Unlike the plan's own layout, it includes the mapping of virtqueues that a notation may not be
    able to express; the plan that is returned then lacks that step.

    Args:
        guest: The guest.
        host: The host that it runs on.
        choice: The policy.

    Raises:
        PlanError: As for `make_plan`, or QEMU would not run the layout.
        CapabilityError: As for `make_plan`.
    """
    plan, spread = _plan(guest, host, choice)
    left = {disk for step in plan.by_hand if step.kind == "map-queues" for disk in step.disks}
    if not left:
        return plan.after, plan
    layout = map_queues(plan.after, left, spread.mapped)
    check_topology(layout, drive_counts=guest.drive_counts)
    steps = tuple(step for step in plan.steps if step.kind != "map-queues" or not step.obstacle)
    return layout, replace(plan, steps=steps)


def find_candidates(guest: Guest) -> tuple[Disk, ...]:
    """Returns the disks that can have an IOThread on their current controller.

    Those on emulated controllers are left alone: the guest may lack the virtio-scsi driver, and
    would not find them without it.
    """
    return _find_candidates(guest, lay_out(guest))


class _Task(Struct, frozen=True, kw_only=True):
    """The inputs of every step."""

    guest: Guest
    host: Host
    before: Topology
    disks: tuple[Disk, ...]
    """Disks that can have an IOThread."""
    spread: Spread
    mapped: tuple[Change, ...] = ()
    """The mappings of virtqueues that vmio can make; their disks get no other thread."""

    @property
    def served(self) -> tuple[Disk, ...]:
        """The disks that get one thread each."""
        mapped = {change.subject for change in self.mapped}
        return tuple(disk for disk in self.disks if disk.id not in mapped)


def _plan(guest: Guest, host: Host, choice: Choice) -> tuple[Plan, Spread]:
    vm, before = guest.vm, lay_out(guest)
    # Those that cannot have a thread are steps for a person.
    count = sum(attached.disk.keeps_data for attached in before.disks)
    if count > MOST_CHANGES:
        raise PlanError(f"{count} disks are more than the {MOST_CHANGES} that are planned")
    disks = _find_candidates(guest, before)
    spread = choice.policy.spread(vm, disks, host, choice.number)
    if spread.mapped > 1:
        _check_version(host, {disk.bus for disk in disks})
    disks = tuple(disk for disk in disks if disk.id in spread.threads)
    task = _Task(guest=guest, host=host, before=before, disks=disks, spread=spread)
    task = replace(task, mapped=tuple(_list_mapped(task)))
    steps = [*_serve(task), *_map_queues(task), *_choose_queues(task), *_leave_to_person(task)]
    changes = [change for step in steps if not step.obstacle for change in step.changes]
    after = lay_out(_change(guest, changes)) if changes else before
    check_topology(after, drive_counts=guest.drive_counts)
    tried = list(_list_tried(guest, steps))
    if tried != changes:  # what vmio makes itself has been tried already
        edit(guest, tried)
    _check_waiting(guest, tried)
    steps = [_set_live(step, before, after) for step in steps]
    steps += _widen_affinity(task, after)
    plan = Plan(
        vm=vm.id,
        notation=vm.notation,
        config=vm.source.name,
        digest=vm.source.digest,
        policy=choice.name,
        notes=list_notes(guest),
        steps=tuple(steps),
        before=before,
        after=after,
    )
    return plan, spread


def _find_candidates(guest: Guest, before: Topology) -> tuple[Disk, ...]:
    return tuple(
        attached.disk
        for attached in before.disks
        if attached.disk.keeps_data
        and before.controller_of(attached).takes_iothread
        and not find_obstacle(guest, _ask(attached.disk, None, OWN))
    )


def _ask(disk: Disk, old: str | None, new: str | None) -> Change:
    return Change(subject=disk.id, property="iothread", old=old, new=new)


def _change(guest: Guest, changes: Sequence[Change]) -> Guest:
    return read_again(guest, apply_edits(guest.vm.source, edit(guest, changes)))


def _serve(task: _Task) -> Iterator[Step]:
    """Yields the assignment of disks to threads: in one step if several disks share one."""
    threads, disks = task.spread.threads, task.served
    controllers = tuple(_separate(task))
    if task.guest.numbers_threads:
        if controllers:  # a thread that disks have by a common controller is no disk's own
            task = replace(task, before=lay_out(_change(task.guest, controllers)))
        current = _match_threads(task)
    else:
        current = _name_threads(task.guest)
    asked = tuple(
        (disk, change)
        for disk in disks
        for change in _change_thread(task, disk, current.get(disk.id))
    )
    polls = tuple(_change_polls(task, current))
    may_lack = bool(polls) and task.guest.numbers_threads
    obstacle = find_obstacle(task.guest, polls[0]) if may_lack else ""
    made = () if obstacle else polls
    options = tuple(change for _, change in asked)
    names = tuple(disk.id for disk, _ in asked)
    shared = tuple(disk.id for disk in disks if threads[disk.id] != OWN)
    if made or any(SHARED_NAME.fullmatch(name or "") for c in options for name in (c.old, c.new)):
        kind: StepKind = "share-threads" if shared else "drop-threads"
        yield Step(kind=kind, disks=shared or names, changes=(*controllers, *options, *made))
    else:
        if controllers:
            on_bus = tuple(disk.id for disk in disks if disk.bus == "scsi")
            yield Step(kind="separate-controllers", disks=on_bus, changes=controllers)
        if options:
            yield Step(kind="give-threads", disks=names, changes=options)
    if obstacle:
        yield Step(kind="share-threads", disks=shared, changes=polls, obstacle=obstacle)


def _separate(task: _Task) -> Iterator[Change]:
    """Yields the change to a controller for each SCSI disk, unless one thread serves them all."""
    on_bus = [disk for disk in task.served if disk.bus == "scsi"]
    wanted = {task.spread.threads[disk.id] for disk in on_bus}
    is_one = len(wanted) == 1 and OWN not in wanted
    if not wanted or is_one or _are_separate(task, on_bus):
        return
    if not find_obstacle(task.guest, SEPARATE):
        yield SEPARATE


def _are_separate(task: _Task, disks: Iterable[Disk]) -> bool:
    dedicated = set(task.before.dedicated)
    found = (task.before.find_disk(disk.id) for disk in disks)
    return all(attached is not None and attached.controller in dedicated for attached in found)


def _name_threads(guest: Guest) -> dict[str, str]:
    """Returns the shared thread of each disk that has one; for a template, that of its clones."""
    vm = replace(guest.vm, template=False)
    topology = lay_out(replace(guest, vm=vm))
    return {
        attached.disk.id: by
        for attached in topology.disks
        for by in topology.served_by(attached)
        if SHARED_NAME.fullmatch(by)
    }


def _match_threads(task: _Task) -> dict[str, str]:
    """Returns the name of the thread of each disk whose thread serves those of its name, only.

    It is for guests whose threads have numbers.
    """
    by_name: dict[str, set[str]] = {}
    for disk in task.served:
        by_name.setdefault(task.spread.threads[disk.id], set()).add(disk.id)
    by_thread = _list_served(task.before)
    names = {frozenset(disks): name for name, disks in by_name.items() if name != OWN}
    return {
        disk: names[frozenset(disks)]
        for disks in by_thread.values()
        if frozenset(disks) in names
        for disk in disks
    }


def _list_served(topology: Topology) -> dict[str, list[str]]:
    """Returns the disks with data by the one thread that serves them."""
    served: dict[str, list[str]] = {}
    for attached in topology.disks:
        by = topology.served_by(attached)
        if attached.disk.keeps_data and len(by) == 1 and MAIN_LOOP not in by:
            served.setdefault(by[0], []).append(attached.disk.id)
    return served


def _change_thread(task: _Task, disk: Disk, shared: str | None) -> Iterator[Change]:
    wanted = task.spread.threads[disk.id]
    if task.guest.numbers_threads:
        attached = task.before.find_disk(disk.id)
        by = task.before.served_by(attached) if attached is not None else ()
        if not (_has_own(task.before, disk) if wanted == OWN else shared == wanted):
            yield _ask(disk, ",".join(by) if MAIN_LOOP not in by else None, wanted)
        return
    asks = bool(disk.iothread) or _has_own(task.before, disk)
    if (asks, shared) != ((True, None) if wanted == OWN else (False, wanted)):
        # If both are set, the old value is the one that is removed.
        old = OWN if asks and (wanted != OWN or shared is None) else shared
        yield _ask(disk, old, wanted)


def _has_own(before: Topology, disk: Disk) -> bool:
    """Returns whether a thread serves a disk's controller and no other one."""
    attached = before.find_disk(disk.id)
    if attached is None:
        return False
    threads = set(before.served_by(attached))
    others = (each for each in before.disks if each.controller != attached.controller)
    return not any(
        thread == MAIN_LOOP or SHARED_NAME.fullmatch(thread) for thread in threads
    ) and not any(threads.intersection(before.served_by(each)) for each in others)


def _change_polls(task: _Task, current: Mapping[str, str]) -> Iterator[Change]:
    """Yields changes of the polling of threads that disks share."""
    known = {iothread.id: iothread.poll_max_ns for iothread in task.guest.vm.iothreads}
    numbers = dict(_list_numbers(task, current)) if task.guest.numbers_threads else {}
    for name in dict.fromkeys(task.spread.threads[disk.id] for disk in task.served):
        old, new = known.get(numbers.get(name, name)), task.spread.poll_max_ns
        # A thread with a number can be anybody's, with polling that somebody has tuned.
        if name != OWN and old != new and not (new is None and task.guest.numbers_threads):
            yield Change(
                subject=numbers.get(name, name),
                property="poll_max_ns",
                old=None if old is None else str(old),
                new=None if new is None else str(new),
            )


def _list_numbers(task: _Task, current: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yields the thread that each name stands for, where its disks have it already."""
    for disk, name in current.items():
        attached = task.before.find_disk(disk)
        if attached is not None:
            yield name, task.before.served_by(attached)[0]


def _choose_queues(task: _Task) -> Iterator[Step]:
    vcpus = task.guest.vm.vcpus
    # Where QEMU would choose one for all of them, a number that is too large is the better one.
    is_chosen = bool(task.disks) and task.before.default_queues is None
    many = [
        disk
        for disk in (task.guest.vm.disks if is_chosen else ())
        if disk.bus == "scsi" and disk.queues is not None and disk.queues > vcpus
    ]
    if many:
        yield Step(
            kind="choose-queues",
            disks=tuple(disk.id for disk in many),
            changes=tuple(
                Change(subject=disk.id, property="queues", old=str(disk.queues)) for disk in many
            ),
        )


def _leave_to_person(task: _Task) -> Iterator[Step]:
    """Yields changes that would take a disk from its guest or that its notation cannot express."""
    yield from _leave_emulated(task)
    yield from _leave_held(task)
    yield from _leave_unsayable(task)
    yield from _move_disks(task)
    yield from _leave_mapping(task)


def _leave_emulated(task: _Task) -> Iterator[Step]:
    """Yields manual steps for disks on an emulated SCSI controller."""
    before = task.before
    obstacle = find_obstacle(task.guest, SEPARATE)
    needs_driver = obstacle in {"driver", "macos"}
    disks = tuple(
        attached.disk.id
        for attached in before.disks
        if attached.disk.bus == "scsi" and attached.disk.keeps_data
        if needs_driver or not before.controller_of(attached).takes_iothread
        if not before.controller_of(attached).served_outside
    )
    if disks:
        yield Step(
            kind="separate-controllers",
            disks=disks,
            changes=(SEPARATE,),
            obstacle=obstacle if needs_driver else "driver",
        )


def _leave_held(task: _Task) -> Iterator[Step]:
    held = tuple(
        disk.id
        for disk in task.guest.vm.disks
        if disk.keeps_data and find_obstacle(task.guest, _ask(disk, None, OWN)) == "args"
    )
    if held:
        yield Step(kind="keep-held", disks=held, obstacle="args")


def _leave_unsayable(task: _Task) -> Iterator[Step]:
    """Yields threads that disks could have, but their notation cannot express."""
    before = task.before
    changes = tuple(
        change
        for attached in before.disks
        if attached.disk.keeps_data
        and before.controller_of(attached).takes_iothread
        and set(before.served_by(attached)) == {MAIN_LOOP}
        for change in (_ask(attached.disk, None, OWN),)
        if find_obstacle(task.guest, change) == "unsayable"
    )
    if changes:
        disks = tuple(change.subject for change in changes)
        yield Step(kind="give-threads", disks=disks, changes=changes, obstacle="unsayable")


def _move_disks(task: _Task) -> Iterator[Step]:
    """Yields the steps from IDE and SATA disks to an IOThread, which requires another driver."""
    changes = [
        Change(subject=disk.id, property="bus", old=disk.bus, new="scsi")
        for disk in task.guest.vm.disks
        if disk.bus in _SLOW and disk.keeps_data
    ]
    for obstacle in ("driver", "macos"):
        chosen = tuple(each for each in changes if find_obstacle(task.guest, each) == obstacle)
        if chosen:
            yield Step(
                kind="move-disks",
                disks=tuple(change.subject for change in chosen),
                changes=chosen,
                obstacle=obstacle,
            )


def _list_mapped(task: _Task) -> Iterator[Change]:
    """Yields the mappings of virtqueues that vmio can make."""
    for change in _ask_mappings(task):
        if not find_obstacle(task.guest, change):
            yield change


def _ask_mappings(task: _Task) -> Iterator[Change]:
    names = ",".join(f"vmio{number}" for number in range(task.spread.mapped))
    for disk in task.disks if task.spread.mapped > 1 else ():
        yield Change(subject=disk.id, property="iothread_vq_mapping", new=names)


def _map_queues(task: _Task) -> Iterator[Step]:
    """Yields the step to queues over several IOThreads, unless they are mapped so already."""
    before = task.before
    mapped = {change.subject for change in task.mapped}
    controllers = [before.controller_of(each) for each in before.disks if each.disk.id in mapped]
    now = {tuple(entry.iothread for entry in each.iothread_vq_mapping) for each in controllers}
    has_queues = any(entry.vqs for each in controllers for entry in each.iothread_vq_mapping)
    is_mapped = {len(threads) for threads in now} == {task.spread.mapped} and len(now) == 1
    if not mapped or (is_mapped and not has_queues):
        return
    olds = {
        each.disk.id: ",".join(before.served_by(each))
        for each in before.disks
        if MAIN_LOOP not in before.served_by(each)
    }
    changes = tuple(replace(change, old=olds.get(change.subject)) for change in task.mapped)
    yield Step(kind="map-queues", disks=tuple(each.subject for each in changes), changes=changes)


def _leave_mapping(task: _Task) -> Iterator[Step]:
    """Yields the mappings of virtqueues that a person has to write."""
    mapped = {change.subject for change in task.mapped}
    changes = tuple(change for change in _ask_mappings(task) if change.subject not in mapped)
    if changes:
        yield Step(
            kind="map-queues",
            disks=tuple(change.subject for change in changes),
            changes=changes,
            obstacle=find_obstacle(task.guest, changes[0]),
        )


def _list_tried(guest: Guest, steps: Iterable[Step]) -> Iterator[Change]:
    """Yields the changes that vmio makes, and those that a person can then make."""
    by_hand = False
    for step in steps:
        if not step.obstacle:
            yield from step.changes
        elif step.kind in {"separate-controllers", "move-disks"}:
            by_hand |= step.obstacle in {"driver", "args"}
    if by_hand and find_obstacle(guest, SEPARATE) not in {"", "unsayable"}:
        yield SEPARATE


def _check_waiting(guest: Guest, changes: Sequence[Change]) -> None:
    """Refuses a plan that contradicts pending changes.

    Raises:
        PlanError: It does.
    """
    if not guest.vm.waiting:
        return
    touched = {setting.key for setting in spell(guest, changes)}
    names = sorted(touched & guest.vm.waiting)
    if names:
        raise PlanError(
            f"{guest.vm.source.name}: {', '.join(names)} will change anyway when the guest is next"
            " started",
            hint="stop and start the guest, or undo that change, and plan again",
        )


def _set_live(step: Step, before: Topology, after: Topology) -> Step:
    """Returns a step with its live changes, if nothing else changes."""
    if step.kind != "share-threads":
        return step
    old = {iothread.id: iothread for iothread in before.iothreads}
    ours = [each for each in after.iothreads if SHARED_NAME.fullmatch(each.id)]
    same = set(old) == {iothread.id for iothread in after.iothreads} and all(
        before.served_by(one) == after.served_by(other)
        for one, other in zip(before.disks, after.disks, strict=True)
    )
    if not same or any(iothread.poll_max_ns is None for iothread in ours):
        return step
    live = tuple(
        LiveChange(path=f"/objects/{each.id}", property="poll-max-ns", new=each.poll_max_ns)
        for each in after.iothreads
        if each.poll_max_ns is not None and each.poll_max_ns != old[each.id].poll_max_ns
    )
    return replace(step, live=live, takes_effect="live") if live else step


def _widen_affinity(task: _Task, after: Topology) -> Iterator[Step]:
    """Yields advice if all threads of a guest share the processors of its vCPUs."""
    written, cpu = task.guest.vm.affinity, task.host.cpu
    pinned = parse_processors(written)
    if not pinned or not after.iothreads or pinned.bit_count() > task.guest.vm.vcpus:
        return
    near = next(
        (cpus for cpus in map(parse_processors, cpu.nodes.values()) if not pinned & ~cpus),
        (1 << cpu.count) - 1,
    )
    free = near & ~pinned
    first = (free & -free).bit_length() - 1
    new = f"{written},{first}" if free and cpu.nodes else None
    change = Change(property="affinity", old=written, new=new)
    yield Step(kind="widen-affinity", changes=(change,), obstacle="choice")


def _check_version(host: Host, buses: set[BusKind]) -> None:
    since = max((MAPPED_SINCE[bus] for bus in buses), default=(0, 0))
    if host.qemu_version is not None and host.qemu_series < since:
        raise CapabilityError(
            f"QEMU {host.qemu_version} cannot map the queues of these disks to IOThreads:"
            f" that requires {since[0]}.{since[1]} or newer"
        )
