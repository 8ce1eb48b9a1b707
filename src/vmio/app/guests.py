"""Guests: found, read from configs and command lines, and laid out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vmio.app.addresses import LIBVIRT, PID, find_guest
from vmio.app.host import complete_version, read_host
from vmio.app.missing import read_named
from vmio.errors import CapabilityError, ToolError, VmioError
from vmio.formats import registry
from vmio.formats.base import Guest, KeptConfig, ReadContext
from vmio.managers.proxmox.storages import Storages, find_storages, read_storages
from vmio.model.host import Host
from vmio.model.source import Source
from vmio.model.topology import Topology
from vmio.model.version import parse_version
from vmio.values import replace

if TYPE_CHECKING:
    from vmio.managers.proxmox.inventory import Found
    from vmio.managers.proxmox.places import Place, Places

__all__ = [
    "Guest",
    "Storages",
    "build_command",
    "find_vms",
    "lay_out",
    "load",
    "load_source",
    "open_guest",
    "read_place",
    "read_places",
]


def find_vms(names: Sequence[str]) -> tuple[Found, ...]:
    """Returns the configs in files, folders and cluster trees, each once."""
    from vmio.managers.proxmox.inventory import list_vms

    return list_vms(names)


def read_places(
    vms: Sequence[Found],
    *,
    host: str | None = None,
    overrides: Sequence[str] = (),
    qemu_version: str | None = None,
    storage: str | None = None,
) -> Places:
    """Returns the host and the storages of each config.

    Args:
        vms: The configs.
        host: A host description for all configs, instead of each node's own.
        overrides: `KEY=VALUE` texts, each of which replaces one fact of every host.
        qemu_version: The version of every host's QEMU.
        storage: The storage.cfg for all configs.

    Raises:
        InputError: A file that the call names cannot be read; other errors are in the result.
        UsageError: An override has no value, or the version is not valid.
    """
    from vmio.managers.proxmox.places import read_places as read

    describe = partial(_describe_host, overrides=overrides, qemu_version=qemu_version)
    describe(None, Host())  # so that a wrong option ends the call and is not a node's error
    described = describe(host, None) if host is not None else None
    places = read(
        [vm for vm in vms if not vm.path.startswith(LIBVIRT)],
        describe=describe,
        host=described,
        storages=read_storages(storage) if storage is not None else None,
    )
    daemons = {vm.folder: vm.path for vm in vms if vm.path.startswith(LIBVIRT)}
    if not daemons:
        return places
    found = {
        folder: _describe_daemon(path, described, describe) for folder, path in daemons.items()
    }
    return replace(places, by_folder={**places.by_folder, **found})


def _describe_daemon(
    address: str, host: Host | None, describe: Callable[[str | None, Host | None], Host]
) -> Place:
    """Returns the host of a libvirt daemon's domains: this one, unless the daemon is elsewhere.

    Its versions are the daemon's own, unless the call gives others.
    """
    from vmio.managers.libvirt.connection import is_local, share_connection
    from vmio.managers.libvirt.find import parse_address
    from vmio.managers.proxmox.places import Place

    if host is not None:
        return Place(host=host)
    uri = parse_address(address).uri
    try:
        versions = share_connection(uri).read_versions()
    except VmioError:
        return Place(host=describe(None, Host()), known=False)  # its domains have the same error
    known = Host(libvirt_version=versions.libvirt)
    if versions.qemu:
        known = replace(known, qemu_version=parse_version(versions.qemu))
    if is_local(uri):
        from vmio.host.local import read_local_host

        known = replace(
            read_local_host(),
            libvirt_version=known.libvirt_version,
            qemu_version=known.qemu_version,
        )
    return Place(host=describe(None, known))


def read_place(
    vm: str,
    *,
    host: str | None = None,
    overrides: Sequence[str] = (),
    qemu_version: str | None = None,
    ports: bool = False,
) -> Place:
    """Returns what is known of a guest's host; storages are not included.

    The host is found as by `read_places`: this host's facts do not apply to a file from elsewhere.

    Args:
        vm: A config, a saved command line, or `pid:NUMBER`.
        host: A host description to use instead.
        overrides: `KEY=VALUE` texts, each of which replaces one fact of the host.
        qemu_version: The version of its QEMU.
        ports: Whether to look for the next free SPICE port on this host.

    Raises:
        InputError: A description cannot be read or parsed.
        UsageError: An override has no value, or the version is not valid.
    """
    from vmio.managers.proxmox.inventory import locate
    from vmio.managers.proxmox.places import Place
    from vmio.managers.proxmox.places import read_places as read

    describe = partial(_describe_host, overrides=overrides, qemu_version=qemu_version, ports=ports)
    if host is not None:
        return Place(host=describe(host, None))
    if vm.startswith(LIBVIRT):
        return _describe_daemon(vm, None, describe)
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
    """Returns the host from a description or a base, or this one, whose QEMU can be asked."""
    if path is not None or base is not None:
        return read_host(path, overrides, base=base, qemu_version=qemu_version)
    from vmio.host.local import read_local_host

    host = read_host(None, overrides, base=read_local_host(ports=ports), qemu_version=qemu_version)
    with suppress(CapabilityError, ToolError):
        return complete_version(host)
    return host


def open_guest(
    address: str,
    *,
    host: str | None = None,
    overrides: Sequence[str] = (),
    qemu_version: str | None = None,
    storage: str | None = None,
    snapshot: str | None = None,
    writes: bool = False,
) -> Guest:
    """Reads the guest at an address; `context.host` is the host that applies to it.

    Args:
        address: A file, `-`, a VM's number or name, `pid:NUMBER` or `qmp:SOCKET`.
        host: A host description to use; None for the host that `read_place` finds.
        overrides: `KEY=VALUE` texts, each of which replaces one fact of the host.
        qemu_version: The version of its QEMU.
        storage: The storage.cfg to use; None to look for one where Proxmox keeps it.
        snapshot: The snapshot to read instead of the VM itself.
        writes: Whether its config will be changed, so that an ambiguous address is refused.

    Raises:
        InputError: The guest cannot be read or parsed.
        UsageError: The address is not valid or is ambiguous, or an override is not valid.
        QmpError: Nothing answers on a socket, or what answers is not QMP.
    """
    path = find_guest(address, writes=writes)
    place = read_place(path, host=host, overrides=overrides, qemu_version=qemu_version)
    return load(path, host=place.host, storage=storage, snapshot=snapshot)


def load(
    path: str,
    *,
    host: Host,
    storage: str | None = None,
    storages: Storages | Literal["look"] | None = "look",
    vmid: str | None = None,
    snapshot: str | None = None,
    restarted: bool = False,
    strict: bool = False,
    copies: bool = False,
) -> Guest:
    """Reads a VM's config, or a QEMU command line.

    Args:
        path: The file's path; `-` for standard input; `pid:NUMBER` for a running QEMU.
        host: The host that it would run on.
        storage: The storage.cfg to use; None to look for one where Proxmox keeps it.
        storages: The parsed storages, if read already; None if not known.
        vmid: The VM's number, if the file's name does not contain it.
        snapshot: The snapshot to read instead of the VM itself.
        restarted: Whether to read the VM as it will be after a restart, with the changes that its
            manager keeps until then.
        strict: Whether to refuse a text that its manager would refuse to write.
        copies: Whether to read also the copies of a domain that its daemon keeps.

    Raises:
        InputError: A file cannot be read or parsed.
    """
    if path.startswith(PID):
        from vmio.host.command import read_process

        source, read_file = read_process(path)
        return registry.read(
            source, ReadContext(host=host, snapshot=snapshot, read_file=read_file)
        )
    return load_source(
        read_named(path),
        host=host,
        storage=storage,
        storages=storages,
        vmid=vmid,
        snapshot=snapshot,
        restarted=restarted,
        strict=strict,
        kept=_read_copies(path) if copies and path.startswith(LIBVIRT) else (),
    )


def _read_copies(address: str) -> tuple[KeptConfig, ...]:
    from vmio.managers.libvirt.find import read_copies

    return read_copies(address)


def load_source(
    source: Source,
    *,
    host: Host,
    storage: str | None = None,
    storages: Storages | Literal["look"] | None = "look",
    vmid: str | None = None,
    snapshot: str | None = None,
    restarted: bool = False,
    strict: bool = False,
    kept: tuple[KeptConfig, ...] = (),
) -> Guest:
    """Reads a VM from a text in memory, as `load` does from a file.

    `storages` can be parsed already, too; None if they are not known. `kept` are the copies of the
    text that its manager can bring back.
    """
    if storages == "look":
        folder = Path(source.name).parent
        storages = find_storages(folder) if storage is None else read_storages(storage)
    context = ReadContext(
        host=host,
        storages=storages,
        vmid=vmid,
        snapshot=snapshot,
        restarted=restarted,
        strict=strict,
        kept=kept,
        read_file=_read_named_file,
    )
    return registry.read(source, context)


def _read_named_file(name: str) -> Source | str:
    from vmio.host.command import read_named_file

    return read_named_file(name)


def lay_out(guest: Guest) -> Topology:
    """Returns the layout that results from a config, or that a command line has."""
    return registry.lay_out(guest)


def build_command(guest: Guest, host: Host) -> tuple[tuple[str, ...], ...]:
    """Returns the command that runs a guest, one option with its value an item.

    Raises:
        UnsupportedError: The guest uses something that vmio cannot print yet.
        PlanError: Its manager would refuse.
    """
    return registry.build_command(guest, host).argv
