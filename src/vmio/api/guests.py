"""VMs: found, read from configs and command lines, told and compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vmio.api.hosts import complete_version, read_host
from vmio.errors import CapabilityError, InputError, ToolError, UsageError
from vmio.formats.proxmox.reader import Guest, read_guest
from vmio.formats.proxmox.storage import Storages, parse_storages
from vmio.formats.registry import lay_out, recognise
from vmio.host.files import find_storage_cfg, read_source
from vmio.model.host import Host
from vmio.model.source import Source
from vmio.model.topology import Topology

if TYPE_CHECKING:
    from vmio.formats.qemu.argv import Command
    from vmio.formats.qemu.diff import Difference
    from vmio.formats.qemu.reader import CommandGuest
    from vmio.managers.proxmox.inventory import Found
    from vmio.managers.proxmox.places import Place, Places
    from vmio.managers.proxmox.watch import Lookout

__all__ = [
    "diff",
    "emit",
    "find_vms",
    "load",
    "load_config",
    "load_source",
    "plan",
    "read_place",
    "read_places",
    "watch_vms",
]

_PID = "pid:"


def find_vms(names: Sequence[str]) -> tuple[Found, ...]:
    """Returns the configs that files, folders and whole clusters' trees mean, each once."""
    from vmio.managers.proxmox.inventory import list_vms

    return list_vms(names)


def watch_vms(names: Sequence[str]) -> Lookout:
    """Returns what looks at configs again and again; it finds them as `find_vms` does."""
    from vmio.managers.proxmox.watch import Lookout

    return Lookout(find=partial(find_vms, names))


def read_places(
    vms: Sequence[Found],
    *,
    host: str | None = None,
    overrides: Sequence[str] = (),
    qemu_version: str | None = None,
    storage: str | None = None,
) -> Places:
    """Returns the host and the storages that each config goes by.

    Args:
        vms: The configs.
        host: A host description to go by for all, instead of what each node's is.
        overrides: `KEY=VALUE` texts, each of which replaces one fact of every host.
        qemu_version: The version of every host's QEMU.
        storage: The storage.cfg to go by for all.

    Raises:
        InputError: A file that the call names cannot be read; others become errors of the result.
        UsageError: An override has no value, or the version is none.
    """
    from vmio.managers.proxmox.places import read_places as read

    describe = partial(_describe_host, overrides=overrides, qemu_version=qemu_version)
    describe(None, Host())  # so that what the call says wrong ends it, and not a node's part
    return read(
        vms,
        describe=describe,
        host=describe(host, None) if host is not None else None,
        storages=parse_storages(read_source(storage)) if storage is not None else None,
    )


def read_place(
    vm: str,
    *,
    host: str | None = None,
    overrides: Sequence[str] = (),
    qemu_version: str | None = None,
    ports: bool = False,
) -> Place:
    """Returns what is known of the host of one guest; its storages are not among that.

    It is found as `read_places` finds it: a file from elsewhere goes by nothing of this host.

    Args:
        vm: A config, a saved command line, or `pid:NUMBER`.
        host: A host description to go by instead.
        overrides: `KEY=VALUE` texts, each of which replaces one fact of the host.
        qemu_version: The version of its QEMU.
        ports: Whether this host is asked for the port that SPICE would get.

    Raises:
        InputError: A description cannot be read, or is none.
        UsageError: An override has no value, or the version is none.
    """
    from vmio.managers.proxmox.inventory import locate
    from vmio.managers.proxmox.places import Place
    from vmio.managers.proxmox.places import read_places as read

    describe = partial(_describe_host, overrides=overrides, qemu_version=qemu_version, ports=ports)
    if host is not None:
        return Place(host=describe(host, None))
    found = locate(vm)
    places = read([found], describe=describe, storages={})
    for broken in places.errors:
        assert broken.error is not None  # noqa: S101 - it is among the errors
        raise broken.error
    return places.by_folder[found.folder]


def _describe_host(
    path: str | None,
    base: Host | None,
    *,
    overrides: Sequence[str],
    qemu_version: str | None,
    ports: bool = False,
) -> Host:
    """Returns the host of a description, of a bare one, or this one, whose QEMU can be asked."""
    if path is not None or base is not None:
        return read_host(path, overrides, base=base, qemu_version=qemu_version)
    from vmio.host.local import read_local_host

    host = read_host(None, overrides, base=read_local_host(ports=ports), qemu_version=qemu_version)
    with suppress(CapabilityError, ToolError):
        return complete_version(host)
    return host


def load(
    path: str,
    *,
    host: Host,
    storage: str | None = None,
    storages: Storages | Literal["look"] | None = "look",
    vmid: str | None = None,
    snapshot: str | None = None,
) -> Guest | CommandGuest:
    """Reads a VM's config, or a QEMU command line.

    Args:
        path: The file's path; `-` for standard input; `pid:NUMBER` for a running QEMU.
        host: The host that it would run on.
        storage: The storage.cfg to go by; None to look for one where Proxmox keeps it.
        storages: What is in it, where that is read already; None if nobody knows.
        vmid: The VM's number, where the file's name does not give it.
        snapshot: The snapshot to read instead of the VM itself.

    Raises:
        InputError: A file cannot be read or is not what it should be.
    """
    if path.startswith(_PID):
        from vmio.host.command import read_process

        return read_process(path, host=host)
    return load_source(
        read_source(path),
        host=host,
        storage=storage,
        storages=storages,
        vmid=vmid,
        snapshot=snapshot,
    )


def load_config(
    path: str,
    *,
    host: Host,
    storage: str | None = None,
    storages: Storages | Literal["look"] | None = "look",
    vmid: str | None = None,
    snapshot: str | None = None,
) -> Guest:
    """Reads a VM's config, for what a command line alone has too little for, as `load` does.

    Raises:
        InputError: It is a command line, or cannot be read.
    """
    guest = load(path, host=host, storage=storage, storages=storages, vmid=vmid, snapshot=snapshot)
    if not isinstance(guest, Guest):
        raise InputError(
            f"{path} is a QEMU command line, and a VM config is needed here",
            hint="`vmio show`, `check`, `explain` and `diff` take command lines",
        )
    return guest


def load_source(
    source: Source,
    *,
    host: Host,
    storage: str | None = None,
    storages: Storages | Literal["look"] | None = "look",
    vmid: str | None = None,
    snapshot: str | None = None,
) -> Guest | CommandGuest:
    """Reads a VM whose text is here already, as `load` does.

    The cluster's storages can be here already, too; None where they are not known.
    """
    if recognise(source) == "qemu":
        from vmio.host.command import read_command_source

        if snapshot is not None:
            raise UsageError(f"{source.name} is a QEMU command line, which has no snapshots")
        return read_command_source(source, host=host)
    if storages == "look":
        found = storage if storage is not None else find_storage_cfg(Path(source.name).parent)
        storages = parse_storages(read_source(str(found))) if found is not None else None
    return read_guest(source, storages=storages, host=host, vmid=vmid, snapshot=snapshot)


def plan(guest: Guest | CommandGuest) -> Topology:
    """Returns the layout that a config comes to, or that a command line has."""
    return lay_out(guest.vm)


def emit(guest: Guest, host: Host, *, pretty: bool = False) -> tuple[str, tuple[str, ...]]:
    """Returns the command line that the guest's manager would run, and what it would warn of.

    Raises:
        UnsupportedError: The config uses something that vmio cannot print yet.
        PlanError: The manager itself would refuse.
    """
    from vmio.formats.proxmox.argv import build_command, render_command

    command = build_command(guest, lay_out(guest.vm, with_args=False), host)
    return render_command(command.argv, pretty=pretty), command.warnings


def diff(
    a: str,
    b: str,
    *,
    host: str | None = None,
    overrides: Sequence[str] = (),
    storage: str | None = None,
    vmid: str | None = None,
) -> tuple[Difference, ...]:
    """Returns where two command lines differ.

    Args:
        a: A config, a saved command line, or `pid:NUMBER`; `-` is standard input.
        b: The other side.
        host: The host description that a config goes by; None for what `read_place` finds, or
            this host if the other side runs on it.
        overrides: `KEY=VALUE` texts, each of which replaces one fact of the host.
        storage: The storage.cfg to go by.
        vmid: The number of a config's VM, where its file's name does not give it.

    Raises:
        UsageError: A side makes no sense.
        InputError: A side cannot be read, or is neither of these.
        PlanError: A config has no command line.
    """
    from vmio.formats.qemu.diff import compare_commands, leave_out_process

    if a == b == "-":
        raise UsageError("standard input can be one side only")

    runs = next((side for side in (a, b) if side.startswith(_PID)), None)

    def facts(side: str) -> Host:
        # What is compared with a guest that runs here would run here.
        place = read_place(runs or side, host=host, overrides=overrides, ports=True)
        return complete_version(place.host)

    one, other = (_read_side(side, facts, storage=storage, vmid=vmid) for side in (a, b))
    if runs is not None:
        one, other = leave_out_process(one), leave_out_process(other)
    return compare_commands(one, other)


def _read_side(
    side: str, facts: Callable[[str], Host], *, storage: str | None, vmid: str | None
) -> Command:
    from vmio.formats.qemu.argv import parse_command, parse_words

    if side.startswith(_PID):
        from vmio.host.command import read_qemu_words

        return parse_words(read_qemu_words(side))
    source = read_source(side)
    if recognise(source) == "qemu":
        return parse_command(source)
    from vmio.formats.proxmox.argv import render_argv

    host = facts(side)
    guest = load_source(source, host=host, storage=storage, vmid=vmid)
    assert isinstance(guest, Guest)  # noqa: S101 - its notation is known
    argv = render_argv(guest, lay_out(guest.vm, with_args=False), host)
    return parse_words([word for argument in argv for word in argument])
