"""Sets parameters of a running domain's IOThreads by libvirt itself, never behind its back by QMP.

Source: libvirt 11.3.0, run. It reports back what polling is set to, and of the pool of workers
only what its live XML says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from vmio.errors import InputError, LibvirtError, UsageError
from vmio.managers.discovery import RunningGuest
from vmio.managers.libvirt.connection import Connection, open_connection
from vmio.managers.live import LiveResult
from vmio.model.plan import LiveChange

__all__ = ["set_guest", "set_live"]

_OBJECT = re.compile(r"/objects/iothread([1-9][0-9]{0,9})", re.ASCII)
_PARAMETERS: Final[Mapping[str, str]] = {
    "poll-grow": "poll_grow",
    "poll-max-ns": "poll_max_ns",
    "poll-shrink": "poll_shrink",
}
"""libvirt's names of what it sets and reports back, by QEMU's."""


def set_live(
    connection: Connection, name: str, changes: Sequence[LiveChange]
) -> tuple[LiveResult, ...]:
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


def set_guest(
    uri: str, guest: RunningGuest, changes: Sequence[LiveChange]
) -> tuple[LiveResult, ...]:
    """Sets parameters of a guest that runs here, as `set_live` does.

    Args:
        uri: The daemon that runs it.
        guest: The guest.
        changes: The parameters and their new values.

    Raises:
        UsageError: One of them is not a parameter that libvirt sets.
        InputError: The daemon does not run this guest.
        CapabilityError: This account may only read there.
        LibvirtError: libvirt or QEMU refuses a value; the earlier ones are as they were.
    """
    with open_connection(uri, writes=True) as connection:
        domain = connection.read_domain(guest.name)
        if (domain.uuid, str(domain.number)) != (guest.uuid, guest.id):
            raise InputError(f"{uri} runs another '{guest.name}' than process {guest.process.pid}")
        return set_live(connection, guest.name, changes)


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
