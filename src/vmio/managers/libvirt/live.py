"""Sets parameters of a running domain's IOThreads by libvirt itself, never behind its back by QMP.

Source: libvirt 11.3.0, run. It reports back what polling is set to, and of the pool of workers
only what its live XML says.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

from vmio.errors import LibvirtError, UsageError, VmioError
from vmio.managers.discovery import RunningGuest
from vmio.managers.libvirt.connection import Connection
from vmio.managers.libvirt.worker import DomainWorker
from vmio.managers.live import LiveResult
from vmio.model.plan import LiveChange
from vmio.values import replace

__all__ = ["DomainSetter", "read_live", "set_live"]

_Changes = Sequence[LiveChange]
_CALL_S: Final = 5.0

_OBJECT = re.compile(r"/objects/iothread([1-9][0-9]{0,9})", re.ASCII)
_PARAMETERS: Final[Mapping[str, str]] = {
    "poll-grow": "poll_grow",
    "poll-max-ns": "poll_max_ns",
    "poll-shrink": "poll_shrink",
}
"""libvirt's names of what it sets and reports back, by QEMU's."""


def set_live(connection: Connection, name: str, changes: _Changes) -> tuple[LiveResult, ...]:
    """Sets parameters one after the other; on a failure none is changed.

    Args:
        connection: A connection that writes.
        name: The domain.
        changes: The parameters and their new values.

    Raises:
        UsageError: One of them is not a parameter that libvirt sets.
        InputError: There is no such domain.
        LibvirtError: libvirt or QEMU refuses a value; the earlier ones are as they were.
    """
    places = [(_find_thread(change), change) for change in changes]
    before = connection.read_threads(name)
    for number, change in places:
        if change.property not in before.get(number, {}):
            raise LibvirtError(
                f"the running '{name}' has no iothread{number} with a {change.property}",
                hint="it runs with another layout, or does not run",
            )
    touched: list[tuple[int, LiveChange]] = []
    try:
        for number, change in places:
            touched.append((number, change))
            _set_and_compare(connection, name, number, change)
    except LibvirtError as error:
        left = [
            f"{change.path}: {change.property}"
            for number, change in reversed(touched)
            if not _put_back(connection, name, number, change, before)
        ]
        hint = f"these could not be restored: {', '.join(left)}" if left else ""
        raise LibvirtError(error.message, hint=hint or "all values are unchanged") from error
    return tuple(
        LiveResult(change=change, old=before[number][change.property]) for number, change in places
    )


def read_live(connection: Connection, name: str, changes: _Changes) -> tuple[int | None, ...]:
    """Returns the values that changes would replace; None for what the domain does not have.

    Args:
        connection: A connection.
        name: The domain.
        changes: The parameters.

    Raises:
        UsageError: One of them is not a parameter that libvirt sets.
        InputError: There is no such domain.
        LibvirtError: libvirt does not answer.
    """
    places = [(_find_thread(change), change.property) for change in changes]
    found = connection.read_threads(name) if places else {}
    return tuple(found.get(number, {}).get(parameter) for number, parameter in places)


class DomainSetter:
    """Sets parameters of a domain that runs here, over a connection of its own.

    Args:
        uri: The daemon that runs it.
        guest: The guest.
    """

    def __init__(self, uri: str, guest: RunningGuest) -> None:
        self._name = guest.name
        self._worker = DomainWorker(uri, guest, deadline_s=_CALL_S)

    async def read(self, changes: _Changes) -> tuple[int | None, ...]:
        """Returns values as `read_live` does.

        Raises:
            VmioError: As `read_live` and `DomainWorker.visit`.
        """
        return await self._worker.visit(
            lambda connection: read_live(connection, self._name, changes)
        )

    async def set(self, changes: _Changes) -> tuple[LiveResult, ...]:
        """Sets parameters as `set_live` does; if this is cancelled, they are set back.

        Raises:
            VmioError: As `set_live` and `DomainWorker.visit`.
        """
        # A call of libvirt's cannot be broken off.
        setting = asyncio.ensure_future(self._set(changes))
        try:
            return await asyncio.shield(setting)
        except asyncio.CancelledError:
            with suppress(VmioError):
                done = await setting
                await self._set([replace(each.change, new=each.old) for each in reversed(done)])
            raise

    def close(self) -> None:
        """Disconnects; waits for nobody."""
        self._worker.close()

    async def _set(self, changes: _Changes) -> tuple[LiveResult, ...]:
        return await self._worker.visit(
            lambda connection: set_live(connection, self._name, changes)
        )


def _find_thread(change: LiveChange) -> int:
    """Returns the id of the IOThread of a change that libvirt can make."""
    thread = _OBJECT.fullmatch(change.path)
    if thread is None or change.property not in _PARAMETERS:
        raise UsageError(
            f"{change.path}: {change.property} is not a parameter that libvirt sets on a running"
            " domain"
        )
    return int(thread[1])


def _set_and_compare(connection: Connection, name: str, number: int, change: LiveChange) -> None:
    connection.set_thread(name, number, {_PARAMETERS[change.property]: change.new})
    found = connection.read_threads(name).get(number, {}).get(change.property)
    if found != change.new:
        raise LibvirtError(
            f"{change.path}: {change.property} is {found} after {change.new} was set"
        )


def _put_back(
    connection: Connection,
    name: str,
    number: int,
    change: LiveChange,
    before: Mapping[int, Mapping[str, int]],
) -> bool:
    parameter = _PARAMETERS[change.property]
    try:
        connection.set_thread(name, number, {parameter: before[number][change.property]})
    except LibvirtError:
        return False
    return True
