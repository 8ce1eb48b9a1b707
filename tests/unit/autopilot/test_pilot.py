"""The autopilot's guests: each by whoever sets its parameters, none waiting for another."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

from vmio.autopilot import pilot
from vmio.autopilot.pilot import AutopilotEvent, fly
from vmio.autopilot.values import PollingGoal
from vmio.errors import LibvirtError
from vmio.host.running import ProcessKey, QemuProcess
from vmio.managers.discovery import RunningGuest
from vmio.managers.live import LiveResult
from vmio.managers.live_records import GuestRecord, OwnValue, list_records, open_record
from vmio.managers.live_setter import Setter
from vmio.model.iothread import IOThread
from vmio.model.plan import LiveChange
from vmio.model.topology import Topology
from vmio.observe.readings import Look, Observation
from vmio.observe.watching import HostWatcher
from vmio.qemu.brief import BriefMonitor

OWN_NS: Final = 32_768
LIMIT_S: Final = 60


def make_guest(pid: int) -> RunningGuest:
    """Returns a domain."""
    process = QemuProcess(
        pid=pid, started_ticks=5, inner_pid=pid, owner=0, stopped=False, cgroup="", command=b""
    )
    return RunningGuest(
        process=process,
        manager="libvirt",
        id="3",
        name=f"web{pid}",
        uuid="18cf170e-b8ec-469c-84af-bf6f0add100c",
        uptime_s=1.0,
        layout=Topology(iothreads=(IOThread(id="iothread1"),)),
    )


GUESTS: Final = (make_guest(100), make_guest(101))


class Watcher(HostWatcher):
    """Sees domains that do nothing.

    Attributes:
        looks: How often it was asked.
    """

    def __init__(self) -> None:
        self.looks = 0
        self.looked = asyncio.Event()

    async def look(self, *, limit_s: float | None = None) -> Look:  # noqa: ARG002 - as HostWatcher has it
        """Returns a look without figures."""
        self.looks += 1
        if self.looks > 2:
            self.looked.set()
        return Look(
            monotonic_ns=0,
            wall_ns=0,
            duration_s=0.0,
            observations=tuple(Observation(guest=each) for each in GUESTS),
        )

    def find_monitor(self, _key: ProcessKey) -> tuple[BriefMonitor | None, str]:
        """Returns that there is none to use."""
        return None, "its monitor is libvirt's alone"


class Polling:
    """What sets a domain's polling, which a killed autopilot has changed."""

    def __init__(self) -> None:
        self.now = 0

    async def read(self, changes: Sequence[LiveChange]) -> tuple[int | None, ...]:
        """Returns what is in force."""
        return tuple(self.now for _ in changes)

    async def set(self, changes: Sequence[LiveChange]) -> tuple[LiveResult, ...]:
        """Sets it."""
        for each in changes:
            self.now = each.new
        return ()


async def steer(
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    open_setter: Callable[[RunningGuest], Awaitable[Setter]],
) -> list[AutopilotEvent]:
    """Steers both domains for some looks."""
    events: list[AutopilotEvent] = []
    watcher = Watcher()

    async def open_it(guest: RunningGuest, _monitor: BriefMonitor | None, _reason: str) -> Setter:
        return await open_setter(guest)

    monkeypatch.setattr(pilot, "open_setter", open_it)
    task = asyncio.create_task(
        fly(watcher, PollingGoal(), interval_s=0.0, folder=folder, report=events.append)
    )
    async with asyncio.timeout(LIMIT_S):
        await watcher.looked.wait()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    return events


def test_guest_that_does_not_answer_makes_no_other_wait(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The first answers when the second was asked."""

    async def run() -> list[AutopilotEvent]:
        asked = asyncio.Event()

        async def open_setter(guest: RunningGuest) -> Setter:
            if guest is GUESTS[0]:
                await asked.wait()
            asked.set()
            return Polling()

        return await steer(monkeypatch, tmp_path, open_setter)

    assert asyncio.run(run()) == []
    assert list_records(tmp_path) == ()


def test_refusal_is_told_once_with_what_a_person_can_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Though it is tried again at each look; the other guest is steered."""

    async def run() -> list[AutopilotEvent]:
        async def open_setter(guest: RunningGuest) -> Setter:
            if guest is GUESTS[0]:
                raise LibvirtError("no libvirt daemon answers")
            return Polling()

        return await steer(monkeypatch, tmp_path, open_setter)

    (event,) = asyncio.run(run())
    assert event.problem is not None
    assert event.problem.message == "web100 cannot be steered: no libvirt daemon answers"
    assert event.problem.hint == "virsh iothreadset web100 1 --poll-max-ns NANOSECONDS"


def test_what_a_killed_one_left_is_put_back_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Also by a benchmark; then the record is the autopilot's."""
    with open_record(GUESTS[1].key, folder=tmp_path) as file:
        left = OwnValue(iothread="iothread1", own=OWN_NS, ours=(0,))
        file.write(GuestRecord(label="web", by="bench", values=(left,)))
    polling = Polling()

    async def run() -> list[AutopilotEvent]:
        async def open_setter(guest: RunningGuest) -> Setter:
            return Polling() if guest is GUESTS[0] else polling

        return await steer(monkeypatch, tmp_path, open_setter)

    (event,) = asyncio.run(run())
    assert event.restored is not None
    assert (event.restored.outcome, event.restored.value) == ("restored", OWN_NS)
    assert polling.now == OWN_NS
    assert not list(tmp_path.iterdir())
