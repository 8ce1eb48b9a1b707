"""Running guests as rows, for screens and streams; and what can be changed on them meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from itertools import chain
from typing import Final, Literal, Protocol

from msgspec import Struct

from vmio.app.live import watch_guests
from vmio.errors import CapabilityError, InputError, ToolError
from vmio.host.running import ProcessKey
from vmio.managers.discovery import RunningGuest
from vmio.managers.live import tell_manager
from vmio.managers.live_setter import open_setter
from vmio.model.plan import LiveChange
from vmio.observe.readings import HostTracker, Look
from vmio.observe.watching import HostWatcher, WatchOptions
from vmio.report.live.rows import GuestRow, HostRows, make_rows

__all__ = [
    "POLL_PARAMETERS",
    "LiveGuests",
    "PollParameter",
    "PollingChange",
    "RecordedGuests",
    "TopSource",
    "open_recorded",
    "open_top",
]

PollParameter = Literal["poll-max-ns", "poll-grow", "poll-shrink"]
POLL_PARAMETERS: Final[tuple[PollParameter, ...]] = ("poll-max-ns", "poll-grow", "poll-shrink")


class PollingChange(Struct, frozen=True, kw_only=True):
    """Polling parameters of a running guest's IOThread that were changed."""

    address: str
    started_ticks: int
    label: str
    """What people call the guest."""
    iothread: str
    old: Mapping[PollParameter, int]
    new: Mapping[PollParameter, int]


class TopSource(Protocol):
    """Where looks at guests come from."""

    is_live: bool
    """Whether the guests run at this moment, so that something can be changed on them."""

    async def look(self) -> HostRows | None:
        """Returns the rows of the next look; None if there are no more."""

    def ask_for_queues(self, guest: GuestRow | None) -> None:
        """Chooses the guest whose virtqueues are read from now on; None for none."""

    async def set_polling(
        self, guest: GuestRow, iothread: str, values: Mapping[PollParameter, int]
    ) -> PollingChange:
        """Sets polling parameters of a running guest."""


class LiveGuests:
    """The guests of this host; `open_top` makes it."""

    is_live = True

    def __init__(self, watcher: HostWatcher, *, confirm: bool, limit_s: float | None) -> None:
        self._watcher = watcher
        self._tracker = HostTracker(confirm=confirm)
        self._limit_s = limit_s
        self._guests: Mapping[ProcessKey, RunningGuest] = {}
        self._one_at_a_time = asyncio.Lock()

    async def look(self) -> HostRows:
        """Returns the rows of a look now; the first one has no rates."""
        async with self._one_at_a_time:
            look = await self._watcher.look(limit_s=self._limit_s)
        self._guests = {each.guest.key: each.guest for each in look.observations}
        return make_rows(look, self._tracker.add(look))

    def ask_for_queues(self, guest: GuestRow | None) -> None:
        """Chooses the guest whose virtqueues are read from now on; None for none."""
        self._watcher.ask_for_queues([] if guest is None else [_find_key(guest)])

    async def set_polling(
        self, guest: GuestRow, iothread: str, values: Mapping[PollParameter, int]
    ) -> PollingChange:
        """Sets polling parameters of a running guest's IOThread; on a failure none is changed.

        Args:
            guest: The guest, as of a look.
            iothread: The id of its IOThread.
            values: The new values.

        Returns:
            The change; its `old` values undo it.

        Raises:
            CapabilityError: Its monitor is its manager's alone, or it has none, or libvirt does
                not let this account set them; the hint says how its manager sets them.
            InputError: libvirt does not run this guest any more.
            ToolError: The guest has ended.
            QmpError: The monitor is in use or does not answer, or QEMU refuses a value.
            LibvirtError: libvirt does not answer, or refuses a value.
        """
        async with self._one_at_a_time:
            running = self._guests.get(_find_key(guest))
            if running is None:
                raise ToolError(f"{guest.label} ({guest.address}) has ended")
            changes = [
                LiveChange(path=f"/objects/{iothread}", property=name, new=value)
                for name, value in values.items()
            ]
            try:
                setter = await open_setter(running, *self._watcher.find_monitor(_find_key(guest)))
                results = await setter.set(changes)
            except CapabilityError as error:
                raise CapabilityError(
                    f"{guest.label}: its parameters are not set from here: {error.message}",
                    hint=tell_manager(running, iothread, values.items()),
                ) from error
        old = {name: each.old for name, each in zip(values, results, strict=True)}
        return PollingChange(
            address=guest.address,
            started_ticks=guest.started_ticks,
            label=guest.label,
            iothread=iothread,
            old=old,
            new=dict(values),
        )


class RecordedGuests:
    """The guests of a recording, one look after the other; `open_recorded` makes it."""

    is_live = False

    def __init__(self, looks: Iterable[Look]) -> None:
        self._looks: Iterator[Look] = iter(looks)
        self._tracker = HostTracker()

    async def look(self) -> HostRows | None:
        """Returns the rows of the next look; None after the last one."""
        look = next(self._looks, None)
        return None if look is None else make_rows(look, self._tracker.add(look))

    def ask_for_queues(self, guest: GuestRow | None) -> None:
        """Does nothing: a recording has the virtqueues that were recorded."""

    async def set_polling(
        self,
        guest: GuestRow,
        iothread: str,
        values: Mapping[PollParameter, int],  # noqa: ARG002 - as TopSource has it
    ) -> PollingChange:
        """Refuses.

        Raises:
            CapabilityError: Always.
        """
        raise CapabilityError(f"{guest.label}: {iothread} is of a recording")


@asynccontextmanager
async def open_top(
    addresses: Sequence[str] = (),
    *,
    latencies: bool = False,
    confirm: bool = True,
    limit_s: float | None = None,
) -> AsyncIterator[LiveGuests]:
    """Watches guests of this host while the body runs.

    Args:
        addresses: Which of them, as for `list_running`; all without any.
        latencies: Whether QEMU counts requests by latency meanwhile, so that there are quantiles.
        confirm: Whether a verdict has to hold in two successive windows.
        limit_s: Seconds for one look; guests that are not done by then have no figures.

    Raises:
        ConflictError: An address is the config of another node.
    """
    options = WatchOptions(latencies=latencies)
    async with watch_guests(addresses, options=options) as watcher:
        yield LiveGuests(watcher, confirm=confirm, limit_s=limit_s)


@contextmanager
def open_recorded(path: str) -> Iterator[RecordedGuests]:
    """Opens a recording of `vmio record` while the body runs.

    Raises:
        InputError: It cannot be read, or has no look. A line that is no look is found later, by
            `RecordedGuests.look`.
    """
    from vmio.observe.recording import open_recording

    with open_recording(path) as recording:
        looks = iter(recording)
        first = next(looks, None)
        if first is None:
            raise InputError(f"{path} has no look")
        yield RecordedGuests(chain([first], looks))


def _find_key(guest: GuestRow) -> ProcessKey:
    return int(guest.address.removeprefix("pid:")), guest.started_ticks
