"""Puts a guest's own polling back, where what is in force is the autopilot's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Literal, TypeVar

from msgspec import Struct

from vmio.autopilot.records import GuestRecord, IOThreadRecord
from vmio.errors import QmpError
from vmio.managers.live import set_live
from vmio.model.plan import LiveChange
from vmio.qemu.brief import BriefMonitor
from vmio.qemu.qmp import CommandRefusedError

__all__ = ["POLL_MAX_NS", "Restored", "name_object", "put_back", "visit"]

_Result = TypeVar("_Result")
POLL_MAX_NS: Final = "poll-max-ns"
_TRIES: Final = 4
_PAUSE_S: Final = 0.25
"""Between two tries: a manager holds a monitor for moments."""


class Restored(Struct, frozen=True, kw_only=True):
    """What became of an IOThread's polling."""

    iothread: str
    outcome: Literal["restored", "its own", "somebody else's", "gone"]
    poll_max_ns: int | None
    """As it is now; None of an IOThread that was removed."""


def name_object(iothread: str) -> str:
    """Returns the path of an IOThread among QEMU's objects."""
    return f"/objects/{iothread}"


async def visit(
    monitor: BriefMonitor, pid: int, body: Callable[[], Awaitable[_Result]]
) -> _Result:
    """Returns what a conversation with a guest's monitor comes to; one in use is tried again.

    Args:
        monitor: The guest's.
        pid: Its process.
        body: What is asked and set, from the beginning each time.

    Raises:
        QmpError: It was in use for a second, is another process's, or refuses something.
    """
    for left in reversed(range(_TRIES)):
        try:
            async with monitor.conversation():
                await _check_peer(monitor, pid)
                return await body()
        except QmpError:
            if not left:
                raise
            await asyncio.sleep(_PAUSE_S)
    raise AssertionError


async def _check_peer(monitor: BriefMonitor, pid: int) -> None:
    await monitor.execute("query-name")
    if monitor.peer_pid not in {None, pid}:
        raise QmpError(f"{monitor.name} is another process's by now")


async def put_back(monitor: BriefMonitor, pid: int, record: GuestRecord) -> tuple[Restored, ...]:
    """Puts back what the autopilot changed and nobody has changed since.

    Args:
        monitor: The guest's.
        pid: Its process.
        record: What its polling was.

    Raises:
        QmpError: As `visit`.
    """
    changed = [each for each in record.iothreads if each.set_ns]

    async def restore() -> tuple[Restored, ...]:
        return tuple([await _put_back(monitor, each) for each in changed])

    return await visit(monitor, pid, restore) if changed else ()


async def _put_back(monitor: BriefMonitor, record: IOThreadRecord) -> Restored:
    path = name_object(record.id)
    try:
        found = await monitor.qom_get(path, POLL_MAX_NS)
    except CommandRefusedError:
        return Restored(iothread=record.id, outcome="gone", poll_max_ns=None)
    if found == record.own_ns:
        return Restored(iothread=record.id, outcome="its own", poll_max_ns=found)
    if found not in record.set_ns:
        return Restored(iothread=record.id, outcome="somebody else's", poll_max_ns=found)
    await set_live(monitor, [LiveChange(path=path, property=POLL_MAX_NS, new=record.own_ns)])
    return Restored(iothread=record.id, outcome="restored", poll_max_ns=record.own_ns)
