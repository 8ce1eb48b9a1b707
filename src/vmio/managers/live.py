"""Sets parameters of a running guest over QMP, reads them back, and restores them on a failure.

Source: QEMU 10.0.2, run: properties of `iothread` and `throttle-group` objects are set with
`qom-set`, the limits of a drive without a group with `block_set_io_throttle`. A refused value of
the thread pool is stored nevertheless, so the old one has to be set again.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

from vmio.errors import QmpError, UsageError
from vmio.formats.shell import quote
from vmio.managers.discovery import RunningGuest
from vmio.model.plan import LiveChange
from vmio.qemu.qmp import CommandRefusedError

__all__ = [
    "AbsentError",
    "LiveResult",
    "Settable",
    "check_live",
    "read_live",
    "set_live",
    "tell_manager",
]

_LIBVIRT_ID = "iothread"
"""libvirt calls its IOThread 1 `iothread1` in QEMU."""

_OBJECT = re.compile(r"/objects/[A-Za-z][A-Za-z0-9._-]*", re.ASCII)
_DEVICE = re.compile(r"/machine/peripheral/([A-Za-z][A-Za-z0-9._-]*)", re.ASCII)
_PARAMETER = re.compile(
    r"poll-(?:max-ns|grow|shrink|weight)|aio-max-batch|thread-pool-(?:min|max)", re.ASCII
)
_LIMIT = re.compile(
    r"limits\.(?:iops-size|(?:iops|bps)-(?:total|read|write)(?:-max(?:-length)?)?)", re.ASCII
)
_THROTTLE = re.compile(
    r"io-throttle\.(?:iops_size|(?:iops|bps)(?:_rd|_wr)?(?:_max(?:_length)?)?)", re.ASCII
)
_NEEDED = ("bps", "bps_rd", "bps_wr", "iops", "iops_rd", "iops_wr")
"""Parameters that `block_set_io_throttle` requires even if they do not limit anything."""
_POOL_MIN, _POOL_MAX = "thread-pool-min", "thread-pool-max"


class AbsentError(QmpError):
    """A parameter that the running guest does not have."""


class Settable(Protocol):
    """A monitor: a session of one's own, or a conversation with another's QEMU."""

    name: str

    async def execute(self, command: str, arguments: Mapping[str, object] | None = None) -> Any:  # noqa: ANN401 - as QMP has it
        """Runs a command and returns its result."""

    async def qom_get(self, path: str, name: str) -> Any:  # noqa: ANN401 - as execute
        """Returns the value of a property of a QOM object."""


class LiveResult(Struct, frozen=True, kw_only=True):
    """A property as the running QEMU reports it after the change."""

    change: LiveChange
    old: int


def check_live(changes: Sequence[LiveChange]) -> None:
    """Refuses changes of anything but I/O parameters.

    Anybody can write a plan file, and QEMU's object tree contains more than I/O parameters.

    Raises:
        UsageError: There is such a change.
    """
    for change in changes:
        _choose_value(change)


async def read_live(connection: Settable, changes: Sequence[LiveChange]) -> tuple[int | None, ...]:
    """Returns the values that changes would replace; None for one that the guest does not have.

    Args:
        connection: Its monitor.
        changes: The properties.

    Raises:
        UsageError: One of them is not an I/O parameter.
        QmpError: QEMU does not answer.
    """
    found: list[int | None] = []
    for value in [_choose_value(each) for each in changes]:
        try:
            found.append(await value.read(connection))
        except AbsentError:
            found.append(None)
    return tuple(found)


async def set_live(connection: Settable, changes: Sequence[LiveChange]) -> tuple[LiveResult, ...]:
    """Sets properties of a running QEMU one after the other; on a failure none is changed.

    Args:
        connection: Its monitor.
        changes: The properties and their new values.

    Raises:
        UsageError: One of them is not an I/O parameter.
        QmpError: QEMU lacks or refuses one; the earlier ones have their old values again.
    """
    values = {change: _choose_value(change) for change in changes}
    old = {change: await value.read(connection) for change, value in values.items()}
    touched: list[LiveChange] = []
    try:
        for change in _order(changes, old):
            touched.append(change)
            await _set_and_compare(connection, values[change], change)
    except (QmpError, asyncio.CancelledError) as error:
        left = [
            f"{change.path}: {change.property}"
            for change in reversed(touched)
            if not await _put_back(connection, values[change], old[change])
        ]
        if isinstance(error, QmpError):
            hint = "all values are unchanged"
            if left:
                hint = f"these could not be restored: {', '.join(left)}"
            raise QmpError(error.message, hint=hint) from error
        raise
    return tuple(LiveResult(change=change, old=old[change]) for change in changes)


def tell_manager(
    guest: RunningGuest, iothread: str, values: Iterable[tuple[str, int | str]]
) -> str:
    """Returns how a guest's manager sets polling parameters; empty if it cannot.

    Args:
        guest: The guest.
        iothread: The id of its IOThread in QEMU.
        values: The parameters, each with its value or what stands for it.

    Source: libvirt 9.0, virsh(1): iothreadset is for running domains.
    """
    number = iothread.removeprefix(_LIBVIRT_ID)
    if guest.manager != "libvirt" or not number.isdecimal():
        return ""
    options = " ".join(f"--{name} {value}" for name, value in values)
    return f"virsh iothreadset {quote(guest.name)} {number} {options}"


def _order(changes: Sequence[LiveChange], old: Mapping[LiveChange, int]) -> tuple[LiveChange, ...]:
    """Orders changes so that a thread pool's minimum never exceeds its maximum."""
    least = {change.path: old[change] for change in changes if change.property == _POOL_MIN}

    def rank(change: LiveChange) -> int:
        if change.property == _POOL_MAX:
            return 2 if change.new < least.get(change.path, 0) else 0
        return 1

    return tuple(sorted(changes, key=rank))


async def _set_and_compare(connection: Settable, value: _Value, change: LiveChange) -> None:
    await value.write(connection, change.new)
    found = await value.read(connection)
    if found != change.new:
        raise QmpError(
            f"{connection.name}: {change.path}: {change.property} is {found}"
            f" after {change.new} was set"
        )


async def _put_back(connection: Settable, value: _Value, old: int) -> bool:
    try:
        await value.write(connection, old)
        return await value.read(connection) == old
    except QmpError:
        return False


def _choose_value(change: LiveChange) -> _Value:
    name = change.property
    if _OBJECT.fullmatch(change.path):
        if _PARAMETER.fullmatch(name):
            return _Property(path=change.path, name=name)
        if _LIMIT.fullmatch(name):
            return _Limit(path=change.path, name=name.partition(".")[2])
    device = _DEVICE.fullmatch(change.path)
    if device is not None and _THROTTLE.fullmatch(name):
        return _Throttle(device=device[1], name=name.partition(".")[2])
    raise UsageError(f"{change.path}: {name} is not a parameter that vmio sets on a running guest")


class _Value(Protocol):
    """A number in a running QEMU."""

    async def read(self, connection: Settable) -> int:
        """Returns its value."""

    async def write(self, connection: Settable, value: int) -> None:
        """Sets it."""


class _Property(Struct, frozen=True, kw_only=True):
    """A property of an object, such as an IOThread's."""

    path: str
    name: str

    async def read(self, connection: Settable) -> int:
        try:
            return _take(await connection.qom_get(self.path, self.name), self.path, self.name)
        except CommandRefusedError as error:
            raise AbsentError(
                f"{connection.name}: {self.path} has no {self.name}: {error.message}",
                hint="the guest runs with another layout, or its QEMU is older",
            ) from error

    async def write(self, connection: Settable, value: int) -> None:
        await _set(connection, self.path, self.name, value)


class _Limit(Struct, frozen=True, kw_only=True):
    """One limit of a throttle group, whose limits are all in one property."""

    path: str
    name: str

    async def read(self, connection: Settable) -> int:
        return _take((await self._read_all(connection)).get(self.name), self.path, self.name)

    async def write(self, connection: Settable, value: int) -> None:
        limits = await self._read_all(connection)
        await _set(connection, self.path, "limits", {**limits, self.name: value})

    async def _read_all(self, connection: Settable) -> Mapping[str, Any]:
        limits = await connection.qom_get(self.path, "limits")
        if not isinstance(limits, dict):
            raise QmpError(f"{connection.name}: {self.path} has no limits")
        return limits


class _Throttle(Struct, frozen=True, kw_only=True):
    """A limit of a drive without a group, as Proxmox VE creates it before machine 10.0."""

    device: str
    name: str

    async def read(self, connection: Settable) -> int:
        _, limits = await self._find(connection)
        # Limits of bursts are reported only if they are set.
        default = 1 if self.name.endswith("_length") else 0
        return _take(limits.get(self.name, default), self.device, self.name)

    async def write(self, connection: Settable, value: int) -> None:
        identity, limits = await self._find(connection)
        arguments = {**dict.fromkeys(_NEEDED, 0), **limits, "id": identity, self.name: value}
        await connection.execute("block_set_io_throttle", arguments)

    async def _find(self, connection: Settable) -> tuple[str, Mapping[str, Any]]:
        blocks = await connection.execute("query-block")
        for block in blocks if isinstance(blocks, list) else ():
            qdev = block.get("qdev") if isinstance(block, dict) else None
            medium = block.get("inserted") if isinstance(block, dict) else None
            if (
                isinstance(qdev, str)
                and isinstance(medium, dict)
                and self.device in qdev.split("/")
            ):
                limits = {
                    key: value
                    for key, value in medium.items()
                    if key == "group" or _THROTTLE.fullmatch(f"io-throttle.{key}")
                }
                return qdev, limits
        raise QmpError(f"{connection.name} has no disk {self.device} with limits")


async def _set(connection: Settable, path: str, name: str, value: object) -> None:
    arguments = {"path": path, "property": name, "value": value}
    await connection.execute("qom-set", arguments)


def _take(value: object, path: str, name: str) -> int:
    if type(value) is not int:
        raise QmpError(f"{path}: {name} is not a number")
    return value
