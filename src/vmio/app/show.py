"""Layouts: reported by a running guest, or configured for many guests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from vmio.app.addresses import LIBVIRT, PID, find_running, find_socket
from vmio.app.guests import find_vms, lay_out, load, read_places
from vmio.errors import InputError, UsageError, VmioError
from vmio.model.topology import Topology

if TYPE_CHECKING:
    from vmio.report.layout.guest import ShownGuest

__all__ = ["RunningDomain", "list_layouts", "observe", "observe_domain"]


class RunningDomain(Struct, frozen=True, kw_only=True):
    """The layout of a libvirt domain that runs."""

    topology: Topology
    """As it runs, with its threads' processor times where it runs on this host."""
    starts_otherwise: bool = False
    """Whether it has another layout after a full stop and start."""
    notes: tuple[str, ...] = ()
    """What is not known, and why, a line each."""


def observe(socket: str) -> Topology:
    """Returns the layout that a running QEMU reports on its QMP socket.

    Raises:
        UsageError: No socket is named.
        QmpError: Nothing answers there, or what answers is not QMP.
    """
    from vmio.observe.running import read_running
    from vmio.qemu.qmp import QmpConnection
    from vmio.qemu.signals import run_async

    path = find_socket(socket)

    async def ask() -> Topology:
        async with QmpConnection.connect(path) as connection:
            return await read_running(connection)

    return run_async(ask())


def observe_domain(address: str, *, passthrough: bool = False) -> RunningDomain | None:
    """Returns the layout of a libvirt domain as it runs; None for any guest that is not one.

    Its disks and their threads are those of libvirt's XML of the running domain, polling is what
    QEMU reports to libvirt, and the threads are the kernel's. No monitor is connected to.

    Args:
        address: A guest, as `find_guests` returns it.
        passthrough: Whether to have libvirt ask QEMU itself for all of that instead, which marks
            the domain as tainted until it stops.

    Raises:
        UsageError: QEMU itself is to be asked, and it is no domain.
        InputError: There is no such domain, or QEMU itself is to be asked and it does not run.
        CapabilityError: The daemon refuses this account.
        LibvirtError: The daemon does not answer.
        QmpError: QEMU answers as none does.
        MissingExtraError: libvirt-python is not installed.
    """
    if not address.startswith(LIBVIRT):
        if passthrough:
            raise UsageError(
                f"{address} is no domain of libvirt, whose monitor others hold",
                hint="qmp:SOCKET shows what a QEMU reports on a monitor of one's own",
            )
        return None
    from vmio.managers.libvirt.running import read_layouts
    from vmio.observe.running import add_threads
    from vmio.qemu.live import compare

    found = read_layouts(address)
    if found is None:
        if passthrough:
            raise InputError(f"{address} is not running, so there is no QEMU to ask")
        return None
    topology, notes = found.running, [found.note] if found.note else []
    stored = found.stored
    starts_otherwise = stored is not None and bool(compare(topology, stored.name_as_qemu()))
    if passthrough:
        topology = _ask_qemu(address)
    else:
        try:
            topology = add_threads(topology, int(find_running(address).removeprefix(PID)))
        except VmioError as error:
            notes.append(f"its threads are not known: {error.message}")
    return RunningDomain(topology=topology, starts_otherwise=starts_otherwise, notes=tuple(notes))


def _ask_qemu(address: str) -> Topology:
    """Returns the layout that the QEMU of a running domain reports to libvirt."""
    from vmio.managers.libvirt.connection import open_connection
    from vmio.managers.libvirt.find import parse_address
    from vmio.managers.libvirt.passthrough import PassedMonitor
    from vmio.observe.running import read_running
    from vmio.qemu.signals import run_async

    found = parse_address(address)
    with open_connection(found.uri, writes=True) as connection:
        return run_async(read_running(PassedMonitor(connection, found.name)))


def list_layouts(
    paths: Sequence[str],
    *,
    host: str | None = None,
    overrides: Sequence[str] = (),
    qemu_version: str | None = None,
    storage: str | None = None,
) -> Iterator[ShownGuest]:
    """Yields the layout of each of many guests, or the error if one cannot be read.

    Args:
        paths: Files, folders and processes, as `find_guests` returns them.
        host: A host description for all guests, instead of each node's own.
        overrides: `KEY=VALUE` texts, each of which replaces one fact of every host.
        qemu_version: The version of every host's QEMU.
        storage: The storage.cfg for all guests.

    Raises:
        InputError: A file that the call names cannot be read.
        UsageError: An override has no value, or the version is not valid.
    """
    from vmio.report.layout.guest import ShownGuest

    found = find_vms(paths)
    places = read_places(
        found, host=host, overrides=overrides, qemu_version=qemu_version, storage=storage
    )
    for vm in (*places.errors, *found):
        try:
            if vm.error is not None:
                raise vm.error
            place = places.by_folder[vm.folder]
            guest = load(vm.path, host=place.host, storages=place.storages)
            shown = ShownGuest(
                path=vm.path,
                name=f"{guest.vm.id} {guest.vm.name}".strip(),
                node=vm.node,
                origin=guest.origin,
                topology=lay_out(guest),
            )
        except VmioError as error:
            shown = ShownGuest(path=vm.path, name=vm.path, node=vm.node, error=error)
        yield shown
