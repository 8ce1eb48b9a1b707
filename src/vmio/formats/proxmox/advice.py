"""The steps of a plan in words, for Proxmox VE's users.

A step names its sources for people: a document, a source file with its version, or a measurement
with the message that published it.

Source: Linux 3.4 (virtio_scsi), and the man pages of lsinitramfs, lsinitrd and dracut; virtio-win:
vioscsi for Windows since Vista; FreeBSD virtio_scsi(4), OpenBSD and NetBSD vioscsi(4). A driver
that Windows has, but has never had a device for, is not loaded at boot: issue 61 of
virtio-win-guest-tools-installer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import assert_never

from vmio.characters import printable
from vmio.formats.base import Words
from vmio.formats.proxmox.boot import boot_indices
from vmio.formats.proxmox.drivers import (
    SINGLE,
    choose_places,
    has_single,
    names_controller,
)
from vmio.formats.proxmox.edit import edit_config
from vmio.formats.proxmox.problems import explain_reasons, find_dropped, list_host_dependent
from vmio.formats.proxmox.reader import ProxmoxGuest, read_guest
from vmio.formats.proxmox.schema import DRIVES_BY_BUS
from vmio.formats.shell import quote
from vmio.formats.words import (
    GAIN,
    RUN,
    VIRTIO_BLK_OF_MACOS,
    are,
    join,
    list_served,
    tell_map_queues,
)
from vmio.model.disk import Disk
from vmio.model.host import parse_processors
from vmio.model.plan import Plan, Step
from vmio.model.source import Span, apply_edits
from vmio.model.vm import Vm
from vmio.values import replace

__all__ = ["describe_step", "list_notes"]

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")
_GUIDE = "Proxmox VE Administration Guide, 'IO Thread'; qemu-server 9.2.6"
_ORDER = (
    "siderolabs/talos issue 11173; linux-kernel, 2019-10-03, on commit f049cf1a7b67 of Linux 5.3"
)
_SAN = "Microsoft, diskpart: san"
_TOO_OLD = frozenset({"Linux 2.4", "Windows 2000", "Windows Server 2003", "Windows XP"})
"""Systems without a driver from anybody."""
_PROBE = "-device virtio-scsi-pci,id=probe"
_IN_ARGS = (
    "they are made in args: write -object iothread,id=NAME there, and iothread=NAME into the"
    " device of the disk or of its controller"
)
_LINUX = (
    "see whether the initramfs that the guest boots from has virtio_scsi: 'lsinitramfs"
    " /boot/initrd.img-$(uname -r) | grep virtio_scsi' on Debian and Ubuntu, 'lsinitrd | grep"
    " virtio_scsi' on Fedora, RHEL and SUSE; where 'modinfo virtio_scsi' says (builtin), the"
    " kernel itself has it. If it is missing, add a line virtio_scsi to"
    " /etc/initramfs-tools/modules and run 'update-initramfs -u -k all', or run 'dracut -f"
    " --regenerate-all --add-drivers virtio_scsi'"
)
_OTHER = (
    "find out whether the guest's system has a driver for virtio-scsi and has it when it boots:"
    " FreeBSD, OpenBSD and NetBSD have one in their kernels, Linux has virtio_scsi, which its"
    " initramfs must have too, ESXi and macOS have none, and of an appliance its maker knows. If"
    " there is none, leave the disks where they are"
)


def describe_step(guest: ProxmoxGuest, plan: Plan, step: Step) -> Words:
    """Returns a step, the reason for it, and what a person does if vmio cannot."""
    match step.kind:
        case "separate-controllers":
            return _separate(guest, plan, step)
        case "give-threads":
            return _give_threads(guest, step)
        case "share-threads" | "drop-threads":
            return _share_threads(guest, plan, step)
        case "choose-queues":
            return _choose_queues(guest, step)
        case "keep-held":
            return _keep_held(step)
        case "move-disks":
            return _move_disks(guest, plan, step)
        case "map-queues":
            return tell_map_queues(
                plan,
                step,
                source=f"{RUN}: -set takes no list ('expected: array'), and -global with one ends"
                " QEMU with a segmentation fault",
                how="Proxmox VE has no setting for it, and args cannot do it. Where you write"
                " QEMU's command line yourself: ",
            )
        case "widen-affinity":
            return _widen_affinity(guest, plan, step)
        case _:
            assert_never(step.kind)


def list_notes(guest: ProxmoxGuest) -> tuple[str, ...]:
    """Returns notes about a guest's disks that no step is about."""
    vm = guest.vm
    notes = [
        f"Proxmox VE drops {problem.subject}, and the guest starts without it:"
        f" {printable(explain_reasons(problem))}"
        for problem in find_dropped(vm)
    ]
    if not any(disk.keeps_data for disk in vm.disks):
        others = join(disk.id for disk in vm.disks) if vm.disks else ""
        only = f": {others} {are(vm.disks)} for cd-roms and cloud-init" if others else ""
        notes.append(f"the guest has no disk, so there is nothing to serve{only}")
    places = choose_places(guest)
    left = [
        disk.id
        for disk in vm.disks
        if disk.bus in {"ide", "sata"} and disk.keeps_data and disk.id not in places
    ]
    if left:
        notes.append(
            f"{join(left)} {are(left)} left in place: there are as many SCSI disks as Proxmox VE"
            " has numbers for"
        )
    return (*notes, *list_host_dependent(guest.vm))


def _separate(guest: ProxmoxGuest, plan: Plan, step: Step) -> Words:
    vm = guest.vm
    if not step.obstacle:
        return Words(
            what=f"Set scsihw to {SINGLE}",
            why=f"{_name_scsihw(guest)}: all SCSI disks hang on one controller, where Proxmox VE"
            " gives none of them an IOThread",
            source=f"{_GUIDE}; {_cite_controllers(vm)}",
            effect="each SCSI disk has a controller to itself, and can have a thread to itself",
            guest_notices=_tell_controllers(vm),
        )
    disks = step.disks
    why = f"{_name_scsihw(guest)}, an emulated controller whose disks cannot have an IOThread"
    if step.obstacle == "macos":
        return _leave_macos(disks, why)
    scsihw = guest.scsihw
    back = f"--scsihw {quote(scsihw)}" if scsihw is not None else "--delete scsihw"
    return Words(
        what=f"Make sure that the guest has virtio-scsi's driver, then set scsihw to {SINGLE}",
        why=f"{why}; nothing in the config shows that the guest has that driver, and without it"
        f" {join(disks)} {are(disks)} gone from it",
        source=f"{_GUIDE}; {_cite_controllers(vm)}",
        effect="then this plan can go on",
        guest_notices=f"it needs {_name_driver(vm)}; {_tell_controllers(vm)}",
        how=f"{_tell_how_to_find_out(guest, plan)}. With the driver in place, and the guest"
        f" stopped: {_warn_of_args(_args_after(guest, plan))}{_qm_set(vm)} --scsihw {SINGLE}. If"
        f" it does not find its disks then, stop it and run: {_qm_set(vm)} {back}",
    )


def _give_threads(guest: ProxmoxGuest, step: Step) -> Words:
    old = _name_old_system(guest.vm)
    return Words(
        what=f"Give {join(step.disks)} an IOThread{' each' * (len(step.disks) > 1)}",
        why="without one QEMU's main loop does their I/O, between everything else that it does",
        source=_GUIDE,
        effect=GAIN,
        guest_notices=f"the virtio drivers of {old} are older than IOThreads: take iothread away"
        " if the guest hangs or loses its disk"
        if old is not None
        else "",
        how=_IN_ARGS if step.obstacle else "",
    )


def _share_threads(guest: ProxmoxGuest, plan: Plan, step: Step) -> Words:
    """Describes the step to threads that `args` defines, or away from them."""
    vm = guest.vm
    separates = any(change.property == "controllers" for change in step.changes)
    notices = _tell_controllers(vm) if separates else ""
    if step.kind == "drop-threads":
        return Words(
            what="Take vmio's IOThreads out of args",
            why="Proxmox VE's own settings say the same, and follow when a disk comes or goes",
            source=_GUIDE,
            effect="each disk is served as the new layout shows",
            guest_notices=notices,
        )
    count, spread = list_served(plan.after)
    return Words(
        what=f"Spread the disks over {count} IOThread{'s' * (count > 1)} in args",
        why="Proxmox VE has no setting for a thread that several disks share",
        source="; ".join((RUN, *((_cite_controllers(vm),) if notices else ()))),
        effect=f"{spread}. Nothing of Proxmox VE keeps args and disks together: only root can set"
        " args, and a disk that is removed has to go from args too, or the guest does not start",
        guest_notices=notices,
    )


def _choose_queues(guest: ProxmoxGuest, step: Step) -> Words:
    vcpus = guest.vm.vcpus
    return Words(
        what=f"Let QEMU choose the queues of {join(step.disks)}",
        why=f"a Linux guest with {vcpus} vCPU{'s' * (vcpus > 1)} uses no more queues than that,"
        " and further ones share an interrupt",
        source="QEMU since 5.2: one queue for each vCPU; Linux, virtio_scsi",
        effect="one queue for each vCPU",
    )


def _keep_held(step: Step) -> Words:
    return Words(
        what=f"Look through args yourself, which names {join(step.disks)} or a controller",
        why="what stands there would not fit another layout, so these disks are left as they are",
        source=RUN,
        how="take out of args what is about these disks, or keep it and let them be",
    )


def _move_disks(guest: ProxmoxGuest, plan: Plan, step: Step) -> Words:
    vm = guest.vm
    why = "IDE and AHCI are emulated in the main loop, and QEMU gives neither an IOThread"
    if step.obstacle == "macos":
        return _leave_macos(step.disks, why)
    places = choose_places(guest)
    moves = {name: places[name] for name in step.disks if name in places}
    separate = has_single(guest) or _sets_single(plan)
    # Where args give one controller for all a thread, that controller is the place for these, too.
    shared = not separate and any(
        controller.iothread is not None and controller.bus == "scsi"
        for controller in plan.after.controllers
    )
    args = _args_after(guest, plan)
    warning = "" if shared or separate else _warn_of_args(args)
    comes_after = any(each.kind == "separate-controllers" for each in plan.by_hand)
    first = "as in the step before" if comes_after else _tell_how_to_find_out(guest, plan)
    named = _warn_of_names(args, moves)
    return Words(
        what=f"Move {join(moves)} to a virtio-scsi controller",
        why=why,
        source="QEMU 10.0.2, run: only virtio-blk and virtio-scsi have the property iothread;"
        f" {_cite_controllers(vm)}",
        guest_notices=f"it needs {_name_driver(vm)} before; {_tell_names(vm)}",
        how=f"{first}. With the driver in place, and the guest stopped:"
        f" {warning}{named}{_render_move(guest, moves, shared=shared)}. Then plan again",
    )


def _widen_affinity(guest: ProxmoxGuest, plan: Plan, step: Step) -> Words:
    vm, (change,) = guest.vm, step.changes
    written = change.old or ""
    added = (change.new or "").rpartition(",")[2]
    place = f" of the same NUMA node, such as {added}" if added else ""
    threads = len({thread.id for thread in plan.after.iothreads})
    return Words(
        what="Widen affinity by a processor or more for the IOThreads",
        why=f"affinity leaves {parse_processors(written).bit_count()} processors to"
        f" {vm.vcpus} vCPUs and {threads} IOThreads, which take time from each other",
        source="KubeVirt user guide, 'IOThreads with Dedicated CPUs'; Proxmox VE's affinity is"
        " for all threads of a guest",
        how=f"choose processors{place} that no other guest is bound to, and run:"
        f" {_qm_set(vm)} --affinity {quote(written)},…",
    )


def _sets_single(plan: Plan) -> bool:
    return any(change.property == "controllers" for change in plan.changes)


def _args_after(guest: ProxmoxGuest, plan: Plan) -> str:
    """Returns `args` after the plan."""
    data = apply_edits(guest.vm.source, edit_config(guest, plan.changes))
    after = read_guest(replace(guest.vm.source, data=data), guest.context)
    entry = after.config.main.settings().get("args") if after.args else None
    return after.args if entry is None else _read_raw(after.vm, entry.value_span)


def _read_raw(vm: Vm, span: Span) -> str:
    """Returns the text at a place; bytes that are not text are surrogate escapes.

    With a replacement character instead of a byte, a command would name another volume.
    """
    return vm.source.data[span.start : span.end].decode("utf-8", "surrogateescape")


def _name_scsihw(guest: ProxmoxGuest) -> str:
    """Returns which SCSI controller is configured, or which one is the default."""
    scsihw = guest.scsihw
    return f"scsihw is {scsihw}" if scsihw is not None else "scsihw is not set, so lsi"


def _tell_controllers(vm: Vm) -> str:
    """Returns what changes for a guest when each SCSI disk has a controller of its own."""
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


def _cite_controllers(vm: Vm) -> str:
    """Returns the source of what `_tell_controllers` says."""
    return _SAN if vm.os == "windows" else _ORDER


def _name_driver(vm: Vm) -> str:
    """Returns the name of the guest's virtio-scsi driver."""
    match vm.os:
        case "windows":
            return "the driver vioscsi"
        case "linux":
            return "the driver virtio_scsi in its initramfs"
        case _:
            return "a driver for virtio-scsi"


def _name_old_system(vm: Vm) -> str | None:
    """Returns the name of the guest's system if it is older than its driver; else None."""
    return vm.system if vm.system in _TOO_OLD else None


def _warn_of_args(args: str) -> str:
    if not names_controller(args):
        return ""
    return "take what names a SCSI controller or disk out of args, or QEMU does not start; "


def _warn_of_names(args: str, disks: Iterable[str]) -> str:
    """Returns what to do about `args` that name a disk which gets another name."""
    named = [disk for disk in disks if re.search(rf"\b{disk}\b", args)]
    return f"take {join(named)} out of args, too; " if named else ""


def _leave_macos(disks: Sequence[str], why: str) -> Words:
    return Words(
        what=f"Leave {join(disks)} in place: macOS has no driver for virtio-scsi",
        why=why,
        source="args has what only macOS needs: Apple's SMC",
        how="nothing to do; on virtio-scsi the guest would not find its disks."
        f" {VIRTIO_BLK_OF_MACOS}",
    )


def _tell_names(vm: Vm) -> str:
    """Returns what changes for a guest when a disk moves to SCSI."""
    if vm.os == "windows":
        return "its SAN policy can leave a disk that it does not boot from offline"
    return (
        "in Linux names by path and id change, those by UUID and label stay, and /dev/sdX can come"
        " in another order from boot to boot"
    )


def _tell_how_to_find_out(guest: ProxmoxGuest, plan: Plan) -> str:
    """Returns how to find out whether the guest has the driver, and what to install first."""
    vm, probe = guest.vm, _probe(guest, plan)
    old = _name_old_system(vm)
    if old is not None:
        return (
            f"nobody is known to have made a virtio-scsi driver for {old}: unless the guest shows"
            f" one, leave the disks where they are. To see it, {probe}"
        )
    match vm.os:
        case "linux":
            return _LINUX
        case "windows":
            return (
                "install the virtio-win drivers in the guest, and let it see a virtio-scsi"
                " controller once, since Windows does not load at boot what it has never had a"
                f" device for: {probe}. Device Manager has to show a Red Hat VirtIO SCSI"
                " controller without a warning"
            )
        case _:
            return f"{_warn_of_esxi(guest)}{_OTHER}. To see it, {probe}"


def _warn_of_esxi(guest: ProxmoxGuest) -> str:
    """Returns a warning about ESXi for a guest with VMware's devices and no known system."""
    nets = (value for key, value in guest.settings.items() if re.fullmatch(r"net\d+", key))
    if guest.scsihw != "pvscsi" and not any("vmxnet3" in value for value in nets):
        return ""
    return (
        "a guest with VMware's devices that is neither Linux nor Windows is most likely ESXi,"
        " which has no virtio driver at all: leave its disks where they are. Of any other, "
    )


def _probe(guest: ProxmoxGuest, plan: Plan) -> str:
    """Returns how a guest gets a controller without a disk for a while, whatever scsihw is."""
    vm, args = guest.vm, _args_after(guest, plan)
    back = f"--args {_quote_text(args)}" if args else "--delete args"
    given = _quote_text(f"{args} {_PROBE}".strip())
    return (
        f"stop it, run as root: {_qm_set(vm)} --args {given}, start it and look what it makes of"
        f" that controller, stop it and run: {_qm_set(vm)} {back}"
    )


def _qm_set(vm: Vm) -> str:
    """Returns the beginning of the command that changes a guest's config."""
    # Anybody can have written the config, and a person may paste this into a shell.
    return f"qm set {quote(vm.id)}"


def _render_move(guest: ProxmoxGuest, moves: Mapping[str, str], *, shared: bool) -> str:
    """Returns the commands that move the disks to IOThreads and keep the guest's boot order.

    A disk that the first command removes keeps its data: it is unused until the second.
    """
    vm = guest.vm
    words = [
        f"--{moves[disk.id]} {_quote(vm, disk, with_iothread=not shared)}"
        for disk in vm.disks
        if disk.id in moves
    ]
    words += [] if shared or guest.scsihw == SINGLE else [f"--scsihw {SINGLE}"]
    boot = _move_boot(guest, moves)
    words += [f"--boot {quote(boot)}"] if boot else []
    gone = ",".join(moves)
    return f"{_qm_set(vm)} --delete {gone} && {_qm_set(vm)} {' '.join(words)}"


def _quote(vm: Vm, disk: Disk, *, with_iothread: bool) -> str:
    """Returns a drive's configured options that a SCSI disk can have, quoted for a shell."""
    known = DRIVES_BY_BUS["scsi"].options
    spans = sorted((span, name) for name, span in disk.spans.items() if name != "file")
    kept = [_read_raw(vm, span) for span, name in spans if name in known]
    kept += ["iothread=1"] if with_iothread else []
    volume = disk.volume
    if "file" in disk.spans:
        volume = _read_raw(vm, disk.spans["file"]).removeprefix("volume=").removeprefix("file=")
    return _quote_text(volume) + (_quote_text(f",{','.join(kept)}") if kept else "")


def _quote_text(text: str) -> str:
    """Returns a text for a shell; `Words` refuses control characters other than TABs."""
    return text if _CONTROL.search(text) else quote(text)


def _move_boot(guest: ProxmoxGuest, moves: Mapping[str, str]) -> str:
    """Returns the boot order with the new names of disks; empty if they are not in it.

    If no order is configured, Proxmox VE puts no disk into it, so all disks come last.
    """
    vm, settings = guest.vm, guest.settings
    drives = ((disk.id, disk.media == "cdrom" and not disk.cloudinit) for disk in vm.disks)
    nets = sorted(
        (key for key in settings if re.fullmatch(r"net\d+", key)), key=lambda key: int(key[3:])
    )
    places = boot_indices(settings.get("boot"), settings.get("bootdisk"), drives, nets)
    is_written = bool({"boot", "bootdisk"} & settings.keys())
    last = [] if is_written else [disk.id for disk in vm.disks if disk.keeps_data]
    if not {*places, *last} & moves.keys():
        return ""
    there = {disk.id for disk in vm.disks} | settings.keys()
    order = (*sorted((name for name in places if name in there), key=places.__getitem__), *last)
    return f"order={';'.join(moves.get(name, name) for name in order)}"
