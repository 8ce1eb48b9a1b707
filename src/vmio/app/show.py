"""Layouts: reported by a running guest, or configured for many guests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from vmio.app.addresses import find_socket
from vmio.app.guests import find_vms, lay_out, load, read_places
from vmio.errors import VmioError
from vmio.model.topology import Topology

if TYPE_CHECKING:
    from vmio.report.layout.guest import ShownGuest

__all__ = ["list_layouts", "observe"]


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
