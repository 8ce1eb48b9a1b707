"""Looks at the guests of this host again and again, while they come and go."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from msgspec import Struct

from vmio.errors import QmpError, ToolError, describe_bug
from vmio.host.pressure import IoWaits, read_io_waits
from vmio.host.running import ProcessKey
from vmio.managers.discovery import RunningGuest, discover
from vmio.managers.libvirt.running import find_daemon
from vmio.model.topology import Topology
from vmio.observe.domains import DomainDaemon, DomainReader
from vmio.observe.histograms import FINE_BOUNDARIES_NS, HISTOGRAM_KINDS, HistogramKeeper
from vmio.observe.leftovers import open_notes
from vmio.observe.plugging import add_disks, find_unknown, remove_disks
from vmio.observe.readings import Look, Observation
from vmio.observe.sample import DiskSample, Sample
from vmio.observe.sampler import GuestSampler, open_sampler
from vmio.qemu.brief import BriefMonitor
from vmio.qemu.live import read_live
from vmio.values import check_between, replace

__all__ = ["HostWatcher", "WatchOptions", "choose_monitor", "watch_host"]

_AT_ONCE: Final = 8
"""Guests that are asked: a QEMU takes longer to wake up and answer than vmio to read it."""
_SEARCH_S: Final = 5.0
"""Between two searches for guests that have come."""
_RETRY_S: Final = 5.0
"""Before a monitor is asked again for what it did not answer."""
_OWN_GROUP: Final = (".scope", ".service")


class WatchOptions(Struct, frozen=True, kw_only=True):
    """What is read of each guest besides its threads and its disks' counters."""

    limits: bool = True
    """What each disk may do at most."""
    queues: bool = False
    """What is in flight in each virtqueue, which takes QEMU half a millisecond for each."""
    latencies: bool = False
    """Whether QEMU counts requests by latency meanwhile, where nobody has it do so yet."""
    search_s: float = _SEARCH_S
    """Seconds between two searches for guests that have come."""

    def __post_init__(self) -> None:
        check_between("search_s", self.search_s, 0)


class _Watched:
    """One guest, with what is open for it."""

    def __init__(
        self,
        guest: RunningGuest,
        sampler: GuestSampler,
        monitor: BriefMonitor | None,
        domain: DomainReader | None,
        note: str,
    ) -> None:
        self.guest = guest
        self.sampler = sampler
        self.monitor = monitor
        self.domain = domain
        """What tells of it where its monitor is libvirt's."""
        self.note = note
        """Why nothing is asked about it."""
        self.stack = AsyncExitStack()
        self.keeper: HistogramKeeper | None = None
        self.left = open_notes(*guest.key)
        self.retry_s = 0.0
        """When to try again to have latencies counted."""
        self.configured: Topology | None = None
        self.layout = guest.layout
        """With the disks that were plugged since, and without those that were unplugged."""
        self.reported: frozenset[str] = frozenset()
        """The disks that its monitor reported when the layout was last brought up to date."""
        self.layout_retry_s = 0.0
        """When to try again to ask for the layout."""

    @property
    def starts_next(self) -> Topology | None:
        """The layout that it would have after a restart; None if not known."""
        if self.configured is None and self.domain is not None:
            return self.domain.configured
        return self.configured

    def describe(self) -> RunningGuest:
        """Returns the guest with its layout as it is now."""
        return replace(self.guest, layout=self.layout)


class HostWatcher:
    """Looks at the guests of this host; `watch_host` makes it.

    Nothing that is open for a guest shows another process, even if it gets the same number.
    """

    def __init__(
        self,
        options: WatchOptions,
        matches: Callable[[RunningGuest], bool],
        find_configured: Callable[[RunningGuest], Topology | None],
        root: Path,
    ) -> None:
        self._options = options
        self._matches = matches
        self._find_configured = find_configured
        self._root = root
        self._watched: dict[ProcessKey, _Watched] = {}
        self._known: tuple[RunningGuest, ...] = ()
        self._unseen: tuple[str, ...] = ()
        self._searched_s: float | None = None
        self._has_lost = False
        self._with_queues: frozenset[ProcessKey] = frozenset()
        self._daemons: dict[str, DomainDaemon] = {}

    def ask_for_queues(self, guests: Iterable[ProcessKey]) -> None:
        """Chooses the guests whose virtqueues are read from now on, if `options` does not."""
        self._with_queues = frozenset(guests)
        for key, each in self._watched.items():
            each.sampler.ask_for_queues(wanted=self._options.queues or key in self._with_queues)

    def find_monitor(self, key: ProcessKey) -> tuple[BriefMonitor | None, str]:
        """Returns the monitor of a guest, to be used between two looks; None and why without one.

        A second connection would find the one of the last look still closing.
        """
        watched = self._watched.get(key)
        if watched is None:
            return None, "it has ended"
        if watched.domain is not None:
            return None, "its monitor is libvirt's alone"
        return watched.monitor, watched.note

    async def look(self, *, limit_s: float | None = None) -> Look:
        """Looks at each guest, a few at a time.

        A guest that ends is left out. A monitor that does not answer delays no other guest for
        long: `vmio.qemu.brief` has the limits of one conversation.

        Args:
            limit_s: Seconds for all of it; guests that are not done by then have no sample. None
                for no limit.
        """
        monotonic_ns, wall_ns = time.monotonic_ns(), time.time_ns()
        await self._search()
        few = asyncio.Semaphore(_AT_ONCE)
        tasks = {
            key: asyncio.create_task(self._observe(each, few))
            for key, each in self._watched.items()
        }
        observations: list[Observation] = []
        try:
            if tasks:
                await asyncio.wait(tasks.values(), timeout=limit_s)
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)
        for key, task in tasks.items():
            problem = _find_problem(task, limit_s)
            if problem:
                watched = self._watched[key]
                observations.append(
                    Observation(
                        guest=watched.describe(),
                        problem=problem,
                        duration_s=(time.monotonic_ns() - monotonic_ns) / 1e9,
                        configured=watched.starts_next,
                    )
                )
            elif (observation := task.result()) is not None:
                observations.append(observation)
            else:
                await self._drop(key)
        return Look(
            monotonic_ns=monotonic_ns,
            wall_ns=wall_ns,
            duration_s=(time.monotonic_ns() - monotonic_ns) / 1e9,
            observations=tuple(sorted(observations, key=lambda each: each.guest.key)),
            unseen=self._unseen,
            host_processors=os.cpu_count(),
        )

    async def close(self) -> None:
        """Closes all that is open, and has the latencies that vmio asked for counted no more."""
        drops = [self._drop(key, ended=False) for key in tuple(self._watched)]
        for error in await asyncio.gather(*drops, return_exceptions=True):
            if isinstance(error, BaseException):
                raise error
        for daemon in self._daemons.values():
            daemon.close()
        self._daemons.clear()

    async def _search(self) -> None:
        """Finds guests that have come, now and then, and at once when one has gone."""
        now_s = time.monotonic()
        if (
            self._searched_s is not None
            and not self._has_lost
            and now_s - self._searched_s < self._options.search_s
        ):
            return
        self._searched_s, self._has_lost = now_s, False
        found = discover(root=self._root, known=self._known)
        self._known, self._unseen = found.guests, found.unseen
        chosen = {each.key: each for each in found.guests if self._matches(each)}
        for key in self._watched.keys() - chosen.keys():
            await self._drop(key)
        for key, guest in chosen.items():
            watched = self._watched.get(key)
            if watched is None:
                watched = self._open(guest)
                if watched is None:
                    continue
                self._watched[key] = watched
            watched.guest = guest
            watched.configured = self._find_configured(guest)
        self._has_lost = False

    def _open(self, guest: RunningGuest) -> _Watched | None:
        """Opens what is needed to look at a guest; None if it has ended."""
        monitor, note = choose_monitor(guest)
        domain = None
        best = guest.monitor
        if guest.manager == "libvirt" and best is not None and best.access == "none":
            domain, note = self._choose_domain(guest)
        stack = AsyncExitStack()
        queues = self._options.queues or guest.key in self._with_queues
        try:
            sampler = stack.enter_context(
                open_sampler(
                    guest.process.pid,
                    monitor,
                    reader=domain,
                    limits=self._options.limits,
                    queues=queues,
                )
            )
        except ToolError:
            return None
        watched = _Watched(guest, sampler, monitor, domain, note)
        watched.stack = stack
        stack.callback(watched.left.close, done=False)
        if monitor is not None:
            stack.callback(monitor.close)
        if domain is not None:
            stack.callback(domain.forget)
        return watched

    def _choose_domain(self, guest: RunningGuest) -> tuple[DomainReader | None, str]:
        """Returns what reads a guest of libvirt's, or why nothing does."""
        uri, note = find_daemon(guest)
        if not uri:
            return None, note
        daemon = self._daemons.get(uri)
        if daemon is None:
            daemon = self._daemons[uri] = DomainDaemon(uri)
        return DomainReader(daemon, guest), ""

    async def _drop(self, key: ProcessKey, *, ended: bool = True) -> None:
        watched = self._watched.pop(key)
        self._has_lost = True
        if ended and watched.keeper is not None:
            watched.keeper.forget()
        await watched.stack.aclose()

    async def _observe(self, watched: _Watched, few: asyncio.Semaphore) -> Observation | None:
        """Returns an observation of a guest, None if it has ended."""
        async with few:
            began_ns = time.monotonic_ns()
            notes = [watched.note] if watched.note else []
            notes += await self._count_latencies(watched)
            sample, problem = None, ""
            try:
                sample = await watched.sampler.take()
                if sample is None or _is_of_another(watched.guest, sample):
                    return None
            except ToolError as error:
                problem = error.message
            if watched.keeper is not None and sample is not None:
                watched.keeper.note(sample.disks)
            if sample is not None and sample.disks:
                await _follow_plugging(watched, sample.disks)
            return Observation(
                guest=watched.describe(),
                sample=sample,
                problem=problem,
                duration_s=(time.monotonic_ns() - began_ns) / 1e9,
                configured=watched.starts_next,
                qemu_version=watched.monitor.version if watched.monitor is not None else None,
                io_waits=_read_waits(watched.guest),
                notes=tuple(notes),
            )

    async def _count_latencies(self, watched: _Watched) -> tuple[str, ...]:
        """Has a guest's latencies counted, if they are not yet; returns what could not be done.

        What a killed vmio had counted is taken over in any case, and removed in the end.
        """
        wanted = self._options.latencies
        if watched.monitor is None or not (wanted or watched.left.has_left):
            return ()
        if watched.keeper is None:
            watched.keeper = HistogramKeeper(
                watched.monitor,
                FINE_BOUNDARIES_NS,
                kinds=HISTOGRAM_KINDS if wanted else (),
                left=watched.left,
            )
            # In the end, also if a look has no time left for the answer to what it began.
            watched.stack.push_async_callback(watched.keeper.stop)
        if not watched.keeper.has_started and time.monotonic() >= watched.retry_s:
            watched.retry_s = time.monotonic() + _RETRY_S
            with suppress(QmpError):  # the sample says why its monitor does not answer
                await watched.keeper.start()
        return watched.keeper.notes


def _find_problem(task: asyncio.Task[Observation | None], limit_s: float | None) -> str:
    """Returns why a task has no observation, in one line; empty if it has one."""
    if task.cancelled():
        return f"not read within {limit_s:g} s"
    error = task.exception()
    if isinstance(error, Exception):  # one guest must not hide all others
        return f"not read, {describe_bug(error)}"
    return ""


async def _follow_plugging(watched: _Watched, disks: Sequence[DiskSample]) -> None:
    """Brings a guest's layout up to date when its monitor reports other disks than before."""
    reported = frozenset(each.id for each in disks)
    if watched.layout is None or reported == watched.reported:
        return
    unknown = find_unknown(watched.layout, disks)
    if any(each.id not in watched.reported for each in unknown):
        live = await _read_layout(watched)
        if live is None:
            return
        watched.layout = add_disks(watched.layout, live, unknown)
    watched.layout = remove_disks(watched.layout, disks)
    watched.reported = reported


async def _read_layout(watched: _Watched) -> Topology | None:
    """Returns a guest's layout as it runs; None if nobody tells at the moment."""
    if watched.domain is not None:
        return watched.domain.layout
    if watched.monitor is None or time.monotonic() < watched.layout_retry_s:
        return None
    watched.layout_retry_s = time.monotonic() + _RETRY_S
    with suppress(QmpError):  # the next samples say why its monitor does not answer
        return await read_live(watched.monitor, pid=watched.guest.process.pid)
    return None


def choose_monitor(guest: RunningGuest) -> tuple[BriefMonitor | None, str]:
    """Returns the monitor to ask, or why there is none."""
    best = guest.monitor
    if best is None:
        return None, "it has no monitor for programs"
    if best.state == "outgoing":
        return None, "its monitor is its starter's alone"
    if best.access == "none":
        return None, "its monitor is its manager's alone"
    if best.transport not in {"unix", "fd"} or not best.address.startswith("/"):
        return None, "its monitor is not a socket in the file system"
    if not _may_connect(best.address):
        return None, "its monitor is another user's"
    return BriefMonitor(Path(best.address), pid=guest.process.pid), ""


def _may_connect(path: str) -> bool:
    """Returns whether this user may connect to a socket, as far as its file tells."""
    try:
        os.stat(path)  # noqa: PTH116 - a path is not needed
    except PermissionError:
        return False
    except (OSError, ValueError):  # the conversation says what is wrong
        return True
    return os.access(path, os.W_OK, effective_ids=True)


def _is_of_another(guest: RunningGuest, sample: Sample) -> bool:
    """Returns whether another process got the guest's number before it was opened."""
    main = next((each for each in sample.threads if each.thread_id == guest.process.pid), None)
    return main is None or main.started_ticks not in {None, guest.process.started_ticks}


def _read_waits(guest: RunningGuest) -> IoWaits | None:
    """Returns how long a guest has waited for I/O, if it has a control group of its own."""
    group = guest.process.cgroup
    if guest.manager == "none":
        return None
    parts = group.split("/")
    own = next((at for at in reversed(range(len(parts))) if parts[at].endswith(_OWN_GROUP)), None)
    return None if own is None else read_io_waits("/".join(parts[: own + 1]))


@asynccontextmanager
async def watch_host(
    options: WatchOptions | None = None,
    *,
    matches: Callable[[RunningGuest], bool] = lambda _: True,
    find_configured: Callable[[RunningGuest], Topology | None] = lambda _: None,
    root: Path = Path("/"),
) -> AsyncIterator[HostWatcher]:
    """Watches the guests of this host while the body runs.

    Args:
        options: What is read of each guest.
        matches: Returns whether to watch a guest.
        find_configured: Returns the layout that a guest would have after a restart, None if it is
            not known; called at each search for guests.
        root: The file system with the `proc` to look into.
    """
    watcher = HostWatcher(options or WatchOptions(), matches, find_configured, root)
    try:
        yield watcher
    finally:
        await watcher.close()
