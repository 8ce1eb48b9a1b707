"""What a plan leaves to a person: disks that another controller would take from their guest.

Nothing in a config but a disk on virtio-scsi shows that the guest has the driver for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from shlex import quote

from attrs import evolve

from vmio.characters import printable
from vmio.formats.proxmox.boot import boot_indices
from vmio.formats.proxmox.problems import explain_reasons, find_dropped
from vmio.formats.proxmox.schema import DRIVE_COUNTS, DRIVES_BY_BUS
from vmio.model.disk import Disk
from vmio.model.plan import Step
from vmio.model.topology import Topology
from vmio.model.vm import Vm
from vmio.plan.virtio_scsi import (
    SINGLE,
    has_single,
    is_macos,
    is_virtio_scsi,
    names_controller,
    qm_set,
    tell_how_to_find_out,
)
from vmio.plan.words import GUIDE, are, cite_controllers, join, name_scsihw, tell_controllers

__all__ = ["do_by_hand", "leave_emulated", "list_notes", "move_disks"]


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
        f" {printable(explain_reasons(problem))}"
        for problem in find_dropped(vm)
    ]
    if not any(disk.keeps_data for disk in vm.disks):
        others = join(disk.id for disk in vm.disks) if vm.disks else ""
        only = f": {others} {are(vm.disks)} for cd-roms and cloud-init" if others else ""
        notes.append(f"the guest has no disk, so there is nothing to serve{only}")
    slow = _list_slow(vm)
    left = slow[len(_choose_places(vm, (disk.id for disk in slow))) :]
    if left:
        notes.append(
            f"{join(disk.id for disk in left)} {are(left)} left in place: there are as many SCSI"
            " disks as Proxmox VE has numbers for"
        )
    return tuple(notes)


def leave_emulated(vm: Vm, target: Vm) -> Iterator[Step]:
    """Yields what a person does about disks on an emulated SCSI controller."""
    disks = _list_emulated(vm)
    if not disks:
        return
    why = f"{name_scsihw(vm)}, an emulated controller whose disks cannot have an IOThread"
    if is_macos(vm):
        yield _leave_macos(disks, why)
        return
    back = f"--scsihw {quote(vm.scsihw)}" if vm.scsihw is not None else "--delete scsihw"
    yield Step(
        what=f"Make sure that the guest has virtio-scsi's driver, then set scsihw to {SINGLE}",
        why=f"{why}; nothing in the config shows that the guest has that driver, and without it"
        f" {join(disks)} {are(disks)} gone from it",
        source=f"{GUIDE}; {cite_controllers(vm)}",
        effect="then this plan can go on",
        guest_notices=f"it needs {_name_driver(vm)}; {tell_controllers(vm)}",
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
        what=f"Leave {join(disks)} in place: macOS has no driver for virtio-scsi",
        why=why,
        source="args has what only macOS needs: Apple's SMC",
        by_hand="nothing to do; on virtio-scsi the guest would not find its disks",
    )


def move_disks(vm: Vm, target: Vm, after: Topology) -> Iterator[Step]:
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
        what=f"Move {join(moves)} to a virtio-scsi controller",
        why=why,
        source="QEMU 10.0.2, run: only virtio-blk and virtio-scsi have the property iothread;"
        f" {cite_controllers(vm)}",
        guest_notices=f"it needs {_name_driver(vm)} before; {_tell_names(vm)}",
        by_hand=f"{first}. With the driver in place, and the guest stopped:"
        f" {warning}{_warn_of_names(target, moves)}{_render_move(vm, moves, shared=shared)}. Then"
        " plan again",
    )


def _tell_names(vm: Vm) -> str:
    """Returns what a guest notices of a disk that is on SCSI and was not."""
    if vm.os == "windows":
        return "its SAN policy can leave a disk that it does not boot from offline"
    return (
        "in Linux names by path and id change, those by UUID and label stay, and /dev/sdX can come"
        " in another order from boot to boot"
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
    return f"take {join(named)} out of args, too; " if named else ""


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
    known = DRIVES_BY_BUS["scsi"].options
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
