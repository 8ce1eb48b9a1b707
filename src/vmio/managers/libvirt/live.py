"""Sets parameters of a running domain's IOThreads by libvirt itself, never behind its back by QMP.

Source: libvirt 11.3.0, run. It reports back what polling is set to, and of the pool of workers
only what its live XML says.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final, TypeVar

from vmio.errors import LibvirtError, UsageError, VmioError
from vmio.managers.discovery import RunningGuest
from vmio.managers.libvirt.connection import Connection
from vmio.managers.libvirt.visit import visit_domain
from vmio.managers.live import LiveResult
from vmio.model.plan import LiveChange
from vmio.values import replace

__all__ = ["DomainSetter", "read_live", "set_live"]

_Result = TypeVar("_Result")
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
    """Sets parameters of a domain that runs here, in a visit for each change.

    Args:
        uri: The daemon that runs it.
        guest: The guest.
    """

    def __init__(self, uri: str, guest: RunningGuest) -> None:
        self._uri = uri
        self._guest = guest
        # What puts back comes after a call that nobody waits for any more.
        self._turn = asyncio.Lock()

    async def read(self, changes: _Changes) -> tuple[int | None, ...]:
        """Returns values as `read_live` does.

        Raises:
            CapabilityError: This account may only read there.
            VmioError: As `read_live`, or the daemon does not run this guest.
        """
        return await self._visit(read_live, changes)

    async def set(self, changes: _Changes) -> tuple[LiveResult, ...]:
        """Sets parameters as `set_live` does; if this is cancelled, they are set back.

        Raises:
            CapabilityError: This account may only read there.
            VmioError: As `set_live`, or the daemon does not run this guest.
        """
        # A call of libvirt's cannot be broken off.
        setting = asyncio.ensure_future(self._visit(set_live, changes))
        try:
            return await asyncio.shield(setting)
        except asyncio.CancelledError:
            with suppress(VmioError):
                done = await asyncio.shield(setting)
                back = [replace(each.change, new=each.old) for each in reversed(done)]
                await self._visit(set_live, back)
            raise

    async def _visit(
        self, body: Callable[[Connection, str, _Changes], _Result], changes: _Changes
    ) -> _Result:
        guest = self._guest
        async with self._turn:
            return await visit_domain(
                self._uri,
                guest,
                lambda connection: body(connection, guest.name, changes),
                deadline_s=_CALL_S,
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
