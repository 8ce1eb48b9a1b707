"""Looks at the running guests of this host, while they come and go."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import wraps
from pathlib import Path

from vmio.managers.discovery import RunningGuest
from vmio.observe.readings import HostTracker, Look
from vmio.observe.watching import HostWatcher, WatchOptions, watch_host
from vmio.qemu.folder import open_runtime_folder
from vmio.qemu.process import QemuProcess

BARE = (
    *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-S"),
    *("-machine", "pc", "-accel", "tcg", "-m", "16", "-object", "iothread,id=io0"),
    *("-blockdev", "driver=null-co,node-name=n0"),
    *("-device", "virtio-blk-pci,iothread=io0,drive=n0,id=vd0"),
)
OPTIONS = WatchOptions(search_s=0.0)


def in_event_loop(test: Callable[[], Coroutine[None, None, None]]) -> Callable[[], None]:
    """Returns a test that runs a coroutine."""

    @wraps(test)
    def run() -> None:
        asyncio.run(asyncio.wait_for(test(), 120))

    return run


@asynccontextmanager
async def started(name: str, *, folder: Path | None = None) -> AsyncIterator[QemuProcess]:
    """Starts a guest of a name, with a monitor that others may use."""
    with open_runtime_folder() as own:
        argv = (*BARE, "-name", f"{name},debug-threads=on")
        async with QemuProcess.start(argv, qmp_socket=(folder or own) / name) as guest:
            yield guest


def matches(*names: str) -> Callable[[RunningGuest], bool]:
    """Returns what chooses the guests of a test among all that run here."""
    return lambda guest: guest.name in names


def list_states(look: Look) -> dict[str, str]:
    """Returns what became of the monitor of each guest of a look, by name."""
    return {
        each.guest.name: each.sample.monitor if each.sample is not None else each.problem
        for each in look.observations
    }


async def wait_for(watcher: HostWatcher, **states: str) -> Look:
    """Returns the first look that has these guests with these states of their monitors.

    The monitor of a guest on a busy host may take longer to greet than a stranger waits.
    """
    while True:
        look = await watcher.look()
        if list_states(look) == states:
            return look
        await asyncio.sleep(0.05)


@in_event_loop
async def test_look_finds_guests_that_come_and_forgets_those_that_end() -> None:
    """Each look has the guests that run at that moment, with their disks."""
    async with watch_host(OPTIONS, matches=matches("come", "gone")) as watcher:
        assert not (await watcher.look()).observations
        async with started("come"):
            async with started("gone"):
                look = await wait_for(watcher, come="answered", gone="answered")
                assert all(
                    [disk.id for disk in each.sample.disks] == ["vd0"]
                    for each in look.observations
                    if each.sample is not None
                )
            await wait_for(watcher, come="answered")
        assert not (await watcher.look()).observations


@in_event_loop
async def test_readings_follow_one_guest_and_not_its_number() -> None:
    """The first reading has no rates, the second has; a guest of the same name starts anew."""
    tracker = HostTracker()
    async with watch_host(OPTIONS, matches=matches("same")) as watcher:
        async with started("same"):
            (first,) = tracker.add(await wait_for(watcher, same="answered"))
            (second,) = tracker.add(await wait_for(watcher, same="answered"))
            assert first.rates is None
            assert second.rates is not None
            assert [each.id for each in second.rates.disks] == ["vd0"]
            assert second.observation.qemu_version is not None
            assert second.layout is not None
            assert [each.poll_max_ns for each in second.layout.iothreads] == [32768]
        async with started("same"):
            (again,) = tracker.add(await watcher.look())
            assert again.rates is None


@in_event_loop
async def test_stopped_guest_delays_no_other_and_keeps_its_threads() -> None:
    """A QEMU under SIGSTOP is not asked; what /proc says of it is in the look."""
    async with started("stopped") as stopped, started("runs"):
        os.kill(stopped.pid, signal.SIGSTOP)
        try:
            async with watch_host(OPTIONS, matches=matches("stopped", "runs")) as watcher:
                look = await wait_for(watcher, stopped="silent", runs="answered")
        finally:
            os.kill(stopped.pid, signal.SIGCONT)
    found = {each.guest.name: each for each in look.observations}["stopped"]
    assert found.sample is not None
    assert {each.name for each in found.sample.threads} >= {"main loop"}


@in_event_loop
async def test_look_with_a_time_limit_says_which_guests_were_not_read() -> None:
    """What is not done in time has no sample, and says so."""
    async with started("late"), watch_host(OPTIONS, matches=matches("late")) as watcher:
        look = await watcher.look(limit_s=0.0)
        assert list_states(look) == {"late": "not read within 0 s"}
        await wait_for(watcher, late="answered")


@in_event_loop
async def test_latencies_are_counted_while_a_host_is_watched() -> None:
    """QEMU counts them while the body runs, and no longer than that."""
    options = WatchOptions(search_s=0.0, latencies=True)
    async with started("counted"):
        for _ in range(2):
            async with watch_host(OPTIONS, matches=matches("counted")) as watcher:
                assert _list_histograms(await wait_for(watcher, counted="answered")) == [False]
            async with watch_host(options, matches=matches("counted")) as watcher:
                while _list_histograms(await wait_for(watcher, counted="answered")) != [True]:
                    pass  # they are asked for again if the monitor did not answer


def _list_histograms(look: Look) -> list[bool]:
    """Returns for each disk whether its reads are counted by latency."""
    samples = [each.sample for each in look.observations if each.sample is not None]
    return [disk.reads.histogram is not None for each in samples for disk in each.disks]
