"""Sets parameters of a running guest, by whoever has its monitor, and puts its own values back.

By its monitor in short visits, or by its daemon where the monitor is libvirt's: nobody else knows
which of both it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, Literal, Protocol, TypeVar

from msgspec import Struct

from vmio.errors import CapabilityError, QmpError
from vmio.managers.discovery import RunningGuest
from vmio.managers.libvirt.running import find_daemon
from vmio.managers.live import LiveResult, read_live, set_live
from vmio.managers.live_records import OwnValue, RecordFile
from vmio.model.plan import LiveChange
from vmio.qemu.brief import BriefMonitor, HeldMonitorError, SilentMonitorError

__all__ = ["Restored", "Setter", "find_object", "open_setter", "put_back", "take_over"]

_Result = TypeVar("_Result")
_TRIES: Final = 4
_PAUSE_S: Final = 0.25
"""Between two tries: a manager holds a monitor for moments."""


class Setter(Protocol):
    """Sets parameters of one running guest."""

    async def read(self, changes: Sequence[LiveChange]) -> tuple[int | None, ...]:
        """Returns the values that changes would replace; None for what the guest does not have.

        Raises:
            VmioError: Who has its monitor does not answer, or the guest is not there any more.
        """

    async def set(self, changes: Sequence[LiveChange]) -> tuple[LiveResult, ...]:
        """Sets parameters one after the other; on a failure none is changed.

        Raises:
            UsageError: One of them is not a parameter that can be set.
            VmioError: As `read`, or a value is refused.
        """


class Restored(Struct, frozen=True, kw_only=True):
    """What became of a parameter of an IOThread."""

    iothread: str
    parameter: str = "poll-max-ns"
    outcome: Literal["restored", "its own", "somebody else's", "gone"]
    value: int | None
    """As it is now; None of an IOThread that was removed."""


class _MonitorSetter:
    """Sets parameters over QMP, in short visits to a monitor that others use too."""

    def __init__(self, guest: RunningGuest, monitor: BriefMonitor) -> None:
        self._pid = guest.process.pid
        self._monitor = monitor

    async def read(self, changes: Sequence[LiveChange]) -> tuple[int | None, ...]:
        return await self._visit(partial(read_live, self._monitor, changes))

    async def set(self, changes: Sequence[LiveChange]) -> tuple[LiveResult, ...]:
        return await self._visit(partial(set_live, self._monitor, changes))

    async def _visit(self, body: Callable[[], Awaitable[_Result]]) -> _Result:
        """Returns what a conversation comes to; one that is not had is tried again."""
        for left in reversed(range(_TRIES)):
            try:
                async with self._monitor.conversation():
                    await self._check_peer()
                    return await body()
            except (HeldMonitorError, SilentMonitorError):
                if not left:
                    raise
                await asyncio.sleep(_PAUSE_S)
        raise AssertionError

    async def _check_peer(self) -> None:
        await self._monitor.execute("query-name")
        if self._monitor.peer_pid not in {None, self._pid}:
            raise QmpError(f"{self._monitor.name} is another process's by now")


async def open_setter(guest: RunningGuest, monitor: BriefMonitor | None, reason: str) -> Setter:
    """Returns what sets a running guest's parameters; nothing stays open between two visits.

    Args:
        guest: The guest.
        monitor: Its monitor, if there is one that may be used.
        reason: Why there is none.

    Raises:
        CapabilityError: Nobody else sets them either, or libvirt does not let this account.
        InputError: The daemon does not run this guest.
        LibvirtError: The daemon does not answer.
    """
    if monitor is not None:
        return _MonitorSetter(guest, monitor)
    if guest.manager != "libvirt":
        raise CapabilityError(reason)
    uri, reason = find_daemon(guest)
    if not uri:
        raise CapabilityError(reason)
    from vmio.managers.libvirt.live import DomainSetter

    setter = DomainSetter(uri, guest)
    await setter.read(())
    return setter


def find_object(iothread: str) -> str:
    """Returns the path of an IOThread among QEMU's objects."""
    return f"/objects/{iothread}"


async def put_back(setter: Setter, values: Sequence[OwnValue]) -> tuple[Restored, ...]:
    """Puts back what was changed by us and by nobody since.

    Args:
        setter: The guest's.
        values: What was its own, and what was set.

    Raises:
        VmioError: As `Setter.set`; nothing is put back then.
    """
    changed = [each for each in values if each.ours]
    if not changed:
        return ()
    changes = [
        LiveChange(path=find_object(each.iothread), property=each.parameter, new=each.own)
        for each in changed
    ]
    found = await setter.read(changes)
    judged = [_judge(value, now) for value, now in zip(changed, found, strict=True)]
    pairs = zip(changes, judged, strict=True)
    await setter.set([change for change, each in pairs if each.outcome == "restored"])
    return tuple(judged)


async def take_over(setter: Setter, file: RecordFile) -> tuple[Restored, ...]:
    """Puts back what a killed vmio left of a guest whose record is held.

    Raises:
        OutputError: The record cannot be read.
        VmioError: As `put_back`; the record stays.
    """
    left = file.read()
    return await put_back(setter, left.values) if left is not None else ()


def _judge(value: OwnValue, now: int | None) -> Restored:
    """Returns what becomes of a parameter by the value that is in force."""
    outcome: Literal["restored", "its own", "somebody else's", "gone"] = "restored"
    if now is None:
        outcome = "gone"
    elif now == value.own:
        outcome = "its own"
    elif now not in value.ours:
        outcome = "somebody else's"
    return Restored(
        iothread=value.iothread,
        parameter=value.parameter,
        outcome=outcome,
        value=value.own if outcome == "restored" else now,
    )
