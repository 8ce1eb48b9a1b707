"""From two states of a guest to the steps between them, each with its reason.

Sources that a step names are read by people: a document, a source file with its version, or a
measurement with the message that published it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from shlex import quote

from attrs import evolve

from vmio.formats.proxmox.boot import boot_indices
from vmio.formats.proxmox.problems import explain_reasons, find_dropped
from vmio.formats.proxmox.schema import DRIVE_COUNTS, OPTIONS_BY_BUS
from vmio.model.disk import Disk
from vmio.model.host import Host, parse_processors
from vmio.model.iothread import IOThread
from vmio.model.plan import Change, LiveChange, Step
from vmio.model.topology import Topology
from vmio.model.vm import Vm
from vmio.plan.policies import Choice, count_cpus
from vmio.plan.target import find_candidates, find_held
from vmio.plan.virtio_scsi import (
    SINGLE,
    has_single,
    is_macos,
    is_virtio_scsi,
    name_old_system,
    names_controller,
    qm_set,
    tell_how_to_find_out,
)

__all__ = ["MAPPING", "do_by_hand", "list_changes", "list_notes", "make_steps", "trim_queues"]

MAPPING = "Map the queues"
"""How the step begins that makes a mapping."""

_GUIDE = "Proxmox VE Administration Guide, 'IO Thread'; qemu-server 9.2.6"
_RUN = "QEMU 10.0.2, run"
_GAIN = (
    "requests no longer wait for the main loop; with 8 vCPUs QEMU's maintainers"
    " measured 7 % to 21 % more of them a second (qemu-devel, 2025-11-04)"
)
_ORDER = (
    "siderolabs/talos issue 11173; linux-kernel, 2019-10-03, on commit f049cf1a7b67 of Linux 5.3"
)
_SAN = "Microsoft, diskpart: san"


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
        *_leave_emulated(vm, target),
        *_leave_held(vm),
        *_move_disks(vm, target, layouts[1]),
        *(_map_queues(target, layouts[1], mapped) if mapped > 1 else ()),
        *_widen_affinity(vm, layouts[1], host),
    )


def list_changes(steps: Iterable[Step]) -> tuple[Change, ...]:
    """Returns the changes of those steps that need no person."""
    return tuple(change for step in steps if not step.by_hand for change in step.changes)


def do_by_hand(vm: Vm) -> Vm:
    """Returns the guest as a person leaves it who does what a plan says of its controllers."""
    if is_virtio_scsi(vm) or is_macos(vm):
        return vm
    moves = any(disk.bus != "virtio" and disk.keeps_data for disk in vm.disks)
    return evolve(vm, scsihw=SINGLE) if moves else vm


def list_notes(vm: Vm) -> tuple[str, ...]:
    """Returns what a person has to know of a guest's disks that no step is about."""
    notes = [
        f"Proxmox VE drops {problem.subject}, and the guest starts without it:"
        f" {explain_reasons(problem)}"
        for problem in find_dropped(vm)
    ]
    if not any(disk.keeps_data for disk in vm.disks):
        others = _join(disk.id for disk in vm.disks) if vm.disks else ""
        only = f": {others} {_are(vm.disks)} for cd-roms and cloud-init" if others else ""
        notes.append(f"the guest has no disk, so there is nothing to serve{only}")
    slow = _list_slow(vm)
    left = slow[len(_choose_places(vm, (disk.id for disk in slow))) :]
    if left:
        notes.append(
            f"{_join(disk.id for disk in left)} {_are(left)} left in place: there are as many SCSI"
            " disks as Proxmox VE has numbers for"
        )
    return tuple(notes)


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
        why=f"{_name_scsihw(vm)}: all SCSI disks hang on one controller, where Proxmox VE gives"
        " none of them an IOThread",
        source=f"{_GUIDE}; {_cite_notices(vm)}",
        effect="each SCSI disk has a controller to itself, and can have a thread to itself",
        guest_notices=_tell_controllers(vm),
        changes=changes,
    )


def _name_scsihw(vm: Vm) -> str:
    return f"scsihw is {vm.scsihw}" if vm.scsihw is not None else "scsihw is not set, so lsi"


def _tell_controllers(vm: Vm) -> str:
    """Returns what a guest notices once each SCSI disk has a controller of its own."""
    moved = "its SCSI disks are on other controllers at other PCI addresses"
    if vm.os == "windows":
        return (
            f"{moved}; Windows finds new controllers for the vioscsi driver that it has, and its"
            " SAN policy can leave disks other than the boot disk offline: Disk Management or"
            " diskpart brings them online"
        )
    return (
        f"{moved}: names under /dev/disk/by-path change, those by UUID, label and id stay. Linux"
        " probes controllers side by side, so /dev/sdX can come in another order from boot to"
        " boot: what picks its disk by that name, or takes the first one that it finds, stalls or"
        " takes the wrong one (reported for Talos Linux)"
    )


def _cite_notices(vm: Vm) -> str:
    return _SAN if vm.os == "windows" else _ORDER


def _give_threads(vm: Vm, disks: Sequence[Disk], changes: tuple[Change, ...]) -> Step:
    old = name_old_system(vm)
    return Step(
        what=f"Give {_join(disk.id for disk in disks)} an IOThread{' each' * (len(disks) > 1)}",
        why="without one QEMU's main loop does their I/O, between everything else that it does",
        source=_GUIDE,
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
    notices = _tell_controllers(vm) if vm.scsihw != target.scsihw else ""
    ours = _list_ours(target.iothreads)
    if not ours:
        return Step(
            what="Take vmio's IOThreads out of args",
            why="Proxmox VE's own settings say the same, and follow when a disk comes or goes",
            source=_GUIDE,
            effect="each disk is served as the new layout shows",
            guest_notices=notices,
            changes=changes,
        )
    served: dict[str, list[str]] = {}
    for attached in after.disks:
        for thread in after.served_by(attached):
            served.setdefault(thread, []).append(attached.disk.id)
    spread = "; ".join(f"{each.id} serves {_join(served[each.id])}" for each in ours)
    live = _tune_live(before, after)
    return Step(
        what=f"Spread the disks over {len(ours)} IOThread{'s' * (len(ours) > 1)} in args",
        why=f"{choice.name} is: {choice.policy.summary}; Proxmox VE has no setting for a thread"
        " that several disks share",
        source="; ".join((choice.policy.source, _RUN, *((_cite_notices(vm),) if notices else ()))),
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
        what=f"Let QEMU choose the queues of {_join(disk.id for disk in many)}",
        why=f"a Linux guest with {vm.vcpus} vCPU{'s' * (vm.vcpus > 1)} uses no more queues than"
        " that, and further ones share an interrupt",
        source="QEMU since 5.2: one queue for each vCPU; Linux, virtio_scsi",
        effect="one queue for each vCPU",
        changes=tuple(
            Change(key=disk.id, option="queues", old=_read_option(vm, disk, "queues"))
            for disk in many
        ),
    )


def _leave_emulated(vm: Vm, target: Vm) -> Iterator[Step]:
    """Yields what a person does about disks on an emulated SCSI controller."""
    disks = _list_emulated(vm)
    if not disks:
        return
    why = f"{_name_scsihw(vm)}, an emulated controller whose disks cannot have an IOThread"
    if is_macos(vm):
        yield _leave_macos(disks, why)
        return
    back = f"--scsihw {quote(vm.scsihw)}" if vm.scsihw is not None else "--delete scsihw"
    yield Step(
        what=f"Make sure that the guest has virtio-scsi's driver, then set scsihw to {SINGLE}",
        why=f"{why}; nothing in the config shows that the guest has that driver, and without it"
        f" {_join(disks)} {_are(disks)} gone from it",
        source=f"{_GUIDE}; {_cite_notices(vm)}",
        effect="then this plan can go on",
        guest_notices=f"it needs {_name_driver(vm)}; {_tell_controllers(vm)}",
        by_hand=f"{tell_how_to_find_out(target)}. With the driver in place, and the guest stopped:"
        f" {_warn_of_args(target)}{qm_set(vm)} --scsihw {SINGLE}. If it does not find its disks"
        f" then, stop it and run: {qm_set(vm)} {back}",
    )


def _list_emulated(vm: Vm) -> tuple[str, ...]:
    """Returns the disks on emulated SCSI controllers."""
    if is_virtio_scsi(vm):
        return ()
    return tuple(disk.id for disk in vm.disks if disk.bus == "scsi" and disk.keeps_data)


def _name_driver(vm: Vm) -> str:
    """Returns what the driver of virtio-scsi is called in the guest."""
    match vm.os:
        case "windows":
            return "the driver vioscsi"
        case "linux":
            return "the driver virtio_scsi in its initramfs"
        case _:
            return "a driver for virtio-scsi"


def _warn_of_args(vm: Vm) -> str:
    if not names_controller(vm.settings.get("args", "")):
        return ""
    return "take what names a SCSI controller or disk out of args, or QEMU does not start; "


def _leave_macos(disks: Sequence[str], why: str) -> Step:
    return Step(
        what=f"Leave {_join(disks)} in place: macOS has no driver for virtio-scsi",
        why=why,
        source="args has what only macOS needs: Apple's SMC",
        by_hand="nothing to do; on virtio-scsi the guest would not find its disks",
    )


def _are(names: Sequence[object]) -> str:
    return "is" if len(names) == 1 else "are"


def _leave_held(vm: Vm) -> Iterator[Step]:
    held = find_held(vm)
    disks = [disk.id for disk in vm.disks if disk.id in held and disk.keeps_data]
    if not disks:
        return
    yield Step(
        what=f"Look through args yourself, which names {_join(disks)} or a controller",
        why="what stands there would not fit another layout, so these disks are left as they are",
        source=_RUN,
        by_hand="take out of args what is about these disks, or keep it and let them be",
    )


def _move_disks(vm: Vm, target: Vm, after: Topology) -> Iterator[Step]:
    """Yields the way of IDE and SATA disks to an IOThread, which needs another driver."""
    disks = [disk.id for disk in _list_slow(vm)]
    if not disks:
        return
    why = "IDE and AHCI are emulated in the main loop, and QEMU gives neither an IOThread"
    if is_macos(vm):
        yield _leave_macos(disks, why)
        return
    moves = _choose_places(vm, disks)
    if not moves:
        return
    # Where args give one controller for all a thread, that controller is the place for these, too.
    shared = not has_single(target) and any(
        controller.iothread is not None and controller.bus == "scsi"
        for controller in after.controllers
    )
    warning = "" if shared or has_single(target) else _warn_of_args(target)
    first = "as in the step before" if _list_emulated(vm) else tell_how_to_find_out(target)
    yield Step(
        what=f"Move {_join(moves)} to a virtio-scsi controller",
        why=why,
        source="QEMU 10.0.2, run: only virtio-blk and virtio-scsi have the property iothread;"
        f" {_cite_notices(vm)}",
        guest_notices=f"it needs {_name_driver(vm)} before; a disk of another name on another"
        " controller: in Linux names by path and id change, those by UUID and label stay, and"
        " /dev/sdX can come in another order from boot to boot",
        by_hand=f"{first}. With the driver in place, and the guest stopped:"
        f" {warning}{_warn_of_names(target, moves)}{_render_move(vm, moves, shared=shared)}. Then"
        " plan again",
    )


def _list_slow(vm: Vm) -> tuple[Disk, ...]:
    """Returns the disks on buses whose controllers cannot have an IOThread."""
    return tuple(disk for disk in vm.disks if disk.bus in {"ide", "sata"} and disk.keeps_data)


def _choose_places(vm: Vm, disks: Iterable[str]) -> Mapping[str, str]:
    """Returns the free name on the SCSI bus for each disk, as far as there are any."""
    taken = {disk.id for disk in vm.disks} | {each.subject for each in vm.problems} | {*vm.pending}
    names = (f"scsi{number}" for number in range(DRIVE_COUNTS["scsi"]))
    return dict(zip(disks, (name for name in names if name not in taken), strict=False))


def _warn_of_names(vm: Vm, disks: Iterable[str]) -> str:
    """Returns what to do about `args` that name a disk which is to have another name."""
    args = vm.settings.get("args", "")
    named = [disk for disk in disks if re.search(rf"\b{disk}\b", args)]
    return f"take {_join(named)} out of args, too; " if named else ""


def _render_move(vm: Vm, moves: Mapping[str, str], *, shared: bool) -> str:
    """Returns the commands after which the disks are on IOThreads, and the guest boots as before.

    What the first of them takes away keeps its data: it is an unused disk until the second.
    """
    words = [
        f"--{moves[disk.id]} {_quote_drive(vm, disk, with_iothread=not shared)}"
        for disk in vm.disks
        if disk.id in moves
    ]
    words += [] if shared or vm.scsihw == SINGLE else [f"--scsihw {SINGLE}"]
    boot = _move_boot(vm, moves)
    words += [f"--boot {quote(boot)}"] if boot else []
    gone = ",".join(moves)
    return f"{qm_set(vm)} --delete {gone} && {qm_set(vm)} {' '.join(words)}"


def _quote_drive(vm: Vm, disk: Disk, *, with_iothread: bool) -> str:
    """Returns a drive as it is written, with what a SCSI disk can have of it, for a shell."""
    known = OPTIONS_BY_BUS["scsi"]
    spans = sorted((span, name) for name, span in disk.spans.items() if name != "file")
    kept = [vm.source.read_span(span) for span, name in spans if name in known]
    kept += ["iothread=1"] if with_iothread else []
    return quote(disk.volume) + (quote(f",{','.join(kept)}") if kept else "")


def _move_boot(vm: Vm, moves: Mapping[str, str]) -> str:
    """Returns the boot order with disks under their new names; empty where they are not in it.

    Where no order is written, Proxmox VE puts no disk into it; there all come last.
    """
    drives = ((disk.id, disk.media == "cdrom" and not disk.cloudinit) for disk in vm.disks)
    nets = sorted(
        (key for key in vm.settings if re.fullmatch(r"net\d+", key)), key=lambda key: int(key[3:])
    )
    places = boot_indices(vm.settings.get("boot"), vm.settings.get("bootdisk"), drives, nets)
    is_written = bool({"boot", "bootdisk"} & vm.settings.keys())
    last = [] if is_written else [disk.id for disk in vm.disks if disk.keeps_data]
    if not {*places, *last} & moves.keys():
        return ""
    there = {disk.id for disk in vm.disks} | vm.settings.keys()
    order = (*sorted((name for name in places if name in there), key=places.__getitem__), *last)
    return f"order={';'.join(moves.get(name, name) for name in order)}"


def _map_queues(target: Vm, after: Topology, mapped: int) -> Iterator[Step]:
    disks = {disk.id for disk in find_candidates(target)}
    found = [attached for attached in after.disks if attached.disk.id in disks]
    if not found:
        return
    controllers = dict.fromkeys(after.controller_of(attached).id for attached in found)
    threads = ", ".join(f'{{"iothread": "vmio{number}"}}' for number in range(mapped))
    yield Step(
        what=f"{MAPPING} of {_join(attached.disk.id for attached in found)} to {mapped} IOThreads",
        why="one IOThread for a fast disk of a guest with many vCPUs is soon busy",
        source=f"{_RUN}: -set takes no list ('expected: array'), and -global with one ends QEMU"
        " with a segmentation fault",
        effect="on a local Optane disk 4 threads made 1.8 times to 2.1 times the requests of one"
        " (KVM Forum 2024; qemu-devel, 2025-03-11)",
        by_hand="Proxmox VE has no setting for it, and args cannot do it. Where you write QEMU's"
        f" command line yourself: -object iothread for each of them, and {_join(controllers)} as"
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


def _join(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
