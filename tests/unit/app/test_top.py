"""Setting the polling of a running guest's IOThread, and when it is refused."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from vmio.app.top import LiveGuests, RecordedGuests, open_recorded
from vmio.errors import CapabilityError, InputError, ToolError
from vmio.host.running import ProcessKey, QemuProcess
from vmio.managers.discovery import RunningGuest
from vmio.managers.owners import Manager
from vmio.observe.readings import Look, Observation
from vmio.observe.recording import create_recording
from vmio.observe.watching import HostWatcher
from vmio.qemu.brief import BriefMonitor
from vmio.report.live.rows import GuestRow, HostRows
from vmio.values import replace


class Watcher(HostWatcher):
    """Sees one guest, whose monitor is its manager's alone."""

    def __init__(self, guest: RunningGuest) -> None:
        self.guest = guest
        self.asked: list[ProcessKey] = []

    async def look(self, *, limit_s: float | None = None) -> Look:  # noqa: ARG002 - as HostWatcher has it
        """Returns a look without figures."""
        return Look(
            monotonic_ns=0,
            wall_ns=0,
            duration_s=0.0,
            observations=(Observation(guest=self.guest),),
        )

    def find_monitor(self, key: ProcessKey) -> tuple[BriefMonitor | None, str]:
        """Returns that there is none to use."""
        self.asked.append(key)
        return None, "its monitor is its manager's alone"


def make_guest(manager: Manager, name: str = "web db") -> RunningGuest:
    """Returns a guest."""
    process = QemuProcess(
        pid=100, started_ticks=5, inner_pid=100, owner=0, stopped=False, cgroup="", command=b""
    )
    return RunningGuest(process=process, manager=manager, id="3", name=name, uptime_s=1.0)


async def refuse(manager: Manager, iothread: str) -> CapabilityError:
    """Returns why polling is not set."""
    source = LiveGuests(Watcher(make_guest(manager)), confirm=True, limit_s=None)
    rows = await source.look()
    with pytest.raises(CapabilityError) as caught:
        await source.set_polling(rows.guests[0], iothread, {"poll-max-ns": 0, "poll-grow": 2})
    return caught.value


@pytest.mark.parametrize(
    ("manager", "iothread", "reason", "hint"),
    [
        (
            "libvirt",
            "iothread1",
            "its monitor is libvirt's alone",
            "virsh iothreadset 'web db' 1 --poll-max-ns 0 --poll-grow 2",
        ),
        ("libvirt", "mine", "its monitor is libvirt's alone", ""),
        ("kubevirt", "iothread1", "its monitor is its manager's alone", ""),
    ],
)
def test_monitor_that_is_its_managers_is_left_alone(
    manager: Manager, iothread: str, reason: str, hint: str
) -> None:
    """Libvirt's own command is told, ready to be pasted."""
    error = asyncio.run(refuse(manager, iothread))
    assert reason in error.message
    assert error.hint == hint


def test_guest_that_has_ended_or_is_another_is_not_changed() -> None:
    """The number can be given to another QEMU, whose start is another."""

    async def run() -> None:
        watcher = Watcher(make_guest("none"))
        source = LiveGuests(watcher, confirm=True, limit_s=None)
        rows: HostRows = await source.look()
        other: GuestRow = replace(rows.guests[0], started_ticks=6)
        with pytest.raises(ToolError, match="has ended"):
            await source.set_polling(other, "io0", {"poll-max-ns": 0})
        assert not watcher.asked

    asyncio.run(run())


def test_recording_without_a_look_is_refused(tmp_path: Path) -> None:
    """Before a screen begins."""
    path = tmp_path / "x.jsonl"
    with create_recording(path, interval_s=1, max_bytes=1 << 20):
        pass
    with pytest.raises(InputError, match="has no look"), open_recorded(str(path)):
        pass


def test_recording_gives_its_looks_once_and_refuses_changes() -> None:
    """A guest of then is none that runs."""

    async def run() -> None:
        watcher = Watcher(make_guest("none"))
        source = RecordedGuests([await watcher.look()])
        rows = await source.look()
        assert rows is not None
        assert [each.label for each in rows.guests] == ["web db"]
        assert await source.look() is None
        with pytest.raises(CapabilityError, match="of a recording"):
            await source.set_polling(rows.guests[0], "io0", {"poll-max-ns": 0})

    asyncio.run(run())
