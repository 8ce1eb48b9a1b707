"""What a Proxmox config has to say so that its disks are served as a policy wants.

An IOThread of a disk's own is a setting of Proxmox VE's. A thread that several disks share is not:
it is made and given to the controllers by options of QEMU's own in `args`, which come behind those
that Proxmox writes. What somebody else wrote into `args` stays, and so do the disks that it is
about.

Source: QEMU 10.0.2, run: `-set device.ID.iothread=` works on devices written as `key=value`, as
qemu-server 9.2.6 writes them; it names no device of a JSON text, and it takes no list.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from attrs import evolve

from vmio.errors import PlanError
from vmio.formats.proxmox.layout import lay_out_config
from vmio.formats.qemu.argv import find_iothreads, read_options
from vmio.formats.shell import split_words
from vmio.model.disk import Disk
from vmio.model.vm import Vm
from vmio.plan.policies import OWN, Spread
from vmio.plan.virtio_scsi import SINGLE, has_single, is_virtio_scsi, names_controller

__all__ = ["adds_threads_only", "find_candidates", "find_held", "shape_vm"]

_OURS = re.compile(
    r"(?:^|[ \t]+)(?:-object[ \t]+iothread,id=vmio\d+(?:,[\w=,-]*)?"
    r"|-set[ \t]+device\.\w+\.iothread=vmio\d+)(?=[ \t]|$)",
    re.ASCII,
)
"""The part of `args` that a plan of vmio wrote."""
_WRITTEN = re.compile(
    r"(?:(?:-object iothread,id=vmio\d{1,3}(?:,poll-max-ns=\d{1,19})?"
    r"|-set device\.\w+\.iothread=vmio\d{1,3})(?: (?=-)|$))*",
    re.ASCII,
)
"""What it writes, and no other options of the same objects."""
_VIRTIO_NAME = re.compile(r"\bvirtio\d+\b", re.ASCII)


def find_candidates(vm: Vm) -> tuple[Disk, ...]:
    """Returns the disks that can have an IOThread once the config says so.

    Those on an emulated SCSI controller are left alone: without the driver of virtio-scsi, which
    nothing shows it to have, the guest would not find them.
    """
    held = find_held(vm)
    virtio_scsi = is_virtio_scsi(vm)
    return tuple(
        disk
        for disk in vm.disks
        if disk.keeps_data and disk.id not in held
        if disk.bus == "virtio" or (disk.bus == "scsi" and virtio_scsi)
    )


def find_held(vm: Vm) -> frozenset[str]:
    """Returns the disks that options of somebody else's in `args` are about."""
    foreign = _cut_ours(vm.settings.get("args", ""))
    held = set(_VIRTIO_NAME.findall(foreign))
    if names_controller(foreign):
        # They may name any controller, and other ones come with another scsihw.
        held |= {disk.id for disk in vm.disks if disk.bus == "scsi"}
    return frozenset(held)


def shape_vm(vm: Vm, spread: Spread) -> Vm:
    """Returns the guest as its config has to say it.

    Raises:
        PlanError: It would have to use `args`, which does not count here.
    """
    target = evolve(
        vm,
        scsihw=_choose_scsihw(vm, spread.threads),
        disks=tuple(_ask(disk, spread.threads.get(disk.id)) for disk in vm.disks),
    )
    written = vm.settings.get("args", "")
    ours = " ".join(_render_args(target, spread))
    if ours:
        _check_args(vm)
    args = f"{_cut_ours(written)} {ours}".strip() if ours or _OURS.search(written) else written
    return target if args == written else _set_args(target, args)


def _cut_ours(args: str) -> str:
    return _OURS.sub("", args).strip()


def adds_threads_only(old: str, new: str) -> bool:
    """Returns whether `args` become what a plan writes: what others wrote, and IOThreads."""
    kept = _cut_ours(old)
    ours = new.removeprefix(kept).strip()
    if new != f"{kept} {ours}".strip() or not _WRITTEN.fullmatch(ours):
        return False
    made = re.findall(r"id=(\w+)", ours)
    return len(set(made)) == len(made) and set(re.findall(r"\.iothread=(\w+)", ours)) <= set(made)


def _choose_scsihw(vm: Vm, threads: Mapping[str, str]) -> str | None:
    """Returns the kind of controller; one for all stays where one thread serves them all."""
    wanted = {threads[disk.id] for disk in vm.disks if disk.bus == "scsi" and disk.id in threads}
    is_one = len(wanted) == 1 and OWN not in wanted
    return vm.scsihw if not wanted or is_one or has_single(vm) else SINGLE


def _ask(disk: Disk, thread: str | None) -> Disk:
    if thread is None:
        return disk
    if thread == OWN:
        return disk if disk.iothread else evolve(disk, iothread=True)
    # Proxmox would make a thread that serves nothing.
    return evolve(disk, iothread=None) if disk.iothread else disk


def _render_args(target: Vm, spread: Spread) -> Iterator[str]:
    threads = {disk: thread for disk, thread in spread.threads.items() if thread != OWN}
    poll = "" if spread.poll_max_ns is None else f",poll-max-ns={spread.poll_max_ns}"
    for thread in dict.fromkeys(threads.values()):
        yield f"-object iothread,id={thread}{poll}"
    topology = lay_out_config(target, with_args=False)
    controllers = {
        attached.controller: threads[attached.disk.id]
        for attached in topology.disks
        if attached.disk.id in threads
    }
    yield from (f"-set device.{name}.iothread={by}" for name, by in controllers.items())


def _check_args(vm: Vm) -> None:
    if vm.template:
        raise PlanError(
            f"{vm.id} is a template, whose args nothing uses",
            hint="per-disk needs none; or plan the guests that are cloned from it",
        )
    if any(problem.subject == "args" for problem in vm.problems):
        raise PlanError(
            f"the args of {vm.id} cannot be read, and would not count with more in them either",
            hint="'vmio check' tells what is wrong with them",
        )


def _set_args(vm: Vm, args: str) -> Vm:
    options = tuple(read_options(split_words(args)))
    iothreads, users = find_iothreads(options)
    others = {key: value for key, value in vm.settings.items() if key != "args"}
    return evolve(
        vm,
        settings=others | {"args": args} if args else others,
        options=options,
        iothreads=iothreads,
        iothread_users=users,
    )
