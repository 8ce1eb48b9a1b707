"""A running guest's own parameters, which are recorded before they are changed for B."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from vmio.bench.in_guest import AgentSocket, LiveGuest, _Settings
from vmio.errors import (
    CapabilityError,
    ConflictError,
    GuestError,
    LibvirtError,
    QmpError,
    VmioError,
)
from vmio.host.running import QemuProcess
from vmio.managers.discovery import RunningGuest
from vmio.managers.live import LiveResult
from vmio.managers.live_records import GuestRecord, OwnValue, RecordFile, open_record
from vmio.model.plan import LiveChange
from vmio.model.topology import Topology
from vmio.values import replace

OWN = {"poll-max-ns": 32_768, "poll-grow": 0}
CHANGES = (
    LiveChange(path="/objects/io0", property="poll-max-ns", new=0),
    LiveChange(path="/objects/io0", property="poll-grow", new=2),
)


def make_live(pid: int) -> LiveGuest:
    """Returns a guest that is measured."""
    process = QemuProcess(
        pid=pid, started_ticks=5, inner_pid=pid, owner=0, stopped=False, cgroup="", command=b""
    )
    guest = RunningGuest(process=process, manager="none", id="", name="web", uptime_s=1.0)
    return LiveGuest(
        guest=guest,
        name="web",
        topology=Topology(),
        agent=AgentSocket(pid=pid, path=Path("/none")),
    )


LIVE = make_live(os.getpid())


class Setter:
    """A guest's parameters, and what its record had when they were changed.

    Attributes:
        values: What is in force.
        file: The record.
        recorded: The record at each change.
        error: What a change fails with.
    """

    def __init__(self, file: RecordFile) -> None:
        self.values = dict(OWN)
        self.file = file
        self.recorded: list[GuestRecord | None] = []
        self.error: VmioError | None = None

    async def read(self, changes: Sequence[LiveChange]) -> tuple[int | None, ...]:
        """Returns what is in force."""
        return tuple(self.values.get(each.property) for each in changes)

    async def set(self, changes: Sequence[LiveChange]) -> tuple[LiveResult, ...]:
        """Sets it."""
        self.recorded.append(self.file.read())
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        old = [self.values[each.property] for each in changes]
        self.values.update({each.property: each.new for each in changes})
        return tuple(
            LiveResult(change=change, old=value)
            for change, value in zip(changes, old, strict=True)
        )


def test_own_values_are_recorded_before_the_first_change(tmp_path: Path) -> None:
    """Each side has its parameters; in the end nothing is kept."""

    async def run(setter: Setter, settings: _Settings) -> None:
        await settings.record()
        await settings.turn_to("A")
        assert not setter.recorded
        await settings.turn_to("B")
        assert setter.values == {"poll-max-ns": 0, "poll-grow": 2}
        (record,) = setter.recorded
        assert record is not None
        assert (record.label, record.by) == ("web", "bench")
        assert [
            (each.iothread, each.parameter, each.own, each.ours) for each in record.values
        ] == [
            ("io0", "poll-max-ns", 32_768, (0,)),
            ("io0", "poll-grow", 0, (2,)),
        ]
        await settings.turn_to("A")
        assert setter.values == OWN
        await settings.turn_to("B")
        await settings.restore()
        assert setter.values == OWN

    with open_record(LIVE.guest.key, folder=tmp_path) as file:
        setter = Setter(file)
        asyncio.run(run(setter, _Settings(LIVE, setter, file, (CHANGES,))))
        assert file.read() is None


def test_each_choice_is_recorded_before_the_first_change(tmp_path: Path) -> None:
    """A choice sets its own parameters alone, from the guest's own values on."""
    choices = (CHANGES[:1], (replace(CHANGES[0], new=8_192), CHANGES[1]))

    async def run(setter: Setter, settings: _Settings) -> None:
        await settings.record()
        assert settings.own == {
            ("/objects/io0", "poll-max-ns"): 32_768,
            ("/objects/io0", "poll-grow"): 0,
        }
        await settings.turn_to("B")
        assert setter.values == {"poll-max-ns": 0, "poll-grow": 0}
        record = setter.recorded[0]
        assert record is not None
        assert [(each.parameter, each.ours) for each in record.values] == [
            ("poll-max-ns", (0, 8_192)),
            ("poll-grow", (2,)),
        ]
        await settings.choose(1)
        assert setter.values == OWN
        await settings.turn_to("B")
        assert setter.values == {"poll-max-ns": 8_192, "poll-grow": 2}
        await settings.choose(0)
        await settings.turn_to("B")
        assert setter.values == {"poll-max-ns": 0, "poll-grow": 0}
        await settings.restore()
        assert setter.values == OWN

    with open_record(LIVE.guest.key, folder=tmp_path) as file:
        setter = Setter(file)
        asyncio.run(run(setter, _Settings(LIVE, setter, file, choices)))
        assert file.read() is None


def test_what_a_killed_run_left_is_put_back_first(tmp_path: Path) -> None:
    """Else its values would be taken for the guest's own."""
    with open_record(LIVE.guest.key, folder=tmp_path) as file:
        setter = Setter(file)
        setter.values["poll-max-ns"] = 8_192
        left = OwnValue(iothread="io0", own=32_768, ours=(0, 8_192), why="try")
        file.write(GuestRecord(label="web", values=(left,)))
        asyncio.run(_Settings(LIVE, setter, file, (CHANGES,)).record())
        assert setter.values == OWN
        record = file.read()
        assert record is not None
        assert [each.own for each in record.values] == [32_768, 0]


def test_parameter_that_the_guest_lacks_is_refused(tmp_path: Path) -> None:
    """Before anything is recorded or changed."""
    with open_record(LIVE.guest.key, folder=tmp_path) as file:
        setter = Setter(file)
        del setter.values["poll-grow"]
        with pytest.raises(CapabilityError, match="io0 has no poll-grow"):
            asyncio.run(_Settings(LIVE, setter, file, (CHANGES,)).record())
        assert not setter.recorded
        assert file.read() is None


@pytest.mark.parametrize("kind", [LibvirtError, QmpError])
def test_record_stays_if_the_values_cannot_be_restored(
    tmp_path: Path, kind: type[VmioError]
) -> None:
    """Who puts them back is told; a guest that has ended needs nothing."""

    async def leave(setter: Setter, settings: _Settings) -> None:
        await settings.record()
        await settings.turn_to("B")
        setter.error = kind("it does not answer")
        await settings.restore()

    for pid in (os.getpid(), 2**22 + 1):
        live = make_live(pid)
        with open_record(live.guest.key, folder=tmp_path) as file:
            setter = Setter(file)
            settings = _Settings(live, setter, file, (CHANGES,))
            if pid == os.getpid():
                with pytest.raises(kind, match="could not be restored") as caught:
                    asyncio.run(leave(setter, settings))
                assert caught.value.hint == "vmio autopilot restore"
                assert file.read() is not None
            else:
                asyncio.run(leave(setter, settings))
                assert file.read() is None


def test_cancelling_while_values_are_restored_waits_for_it(tmp_path: Path) -> None:
    """Ctrl-C twice leaves no B behind."""

    async def run(setter: Setter, settings: _Settings) -> None:
        await settings.record()
        await settings.turn_to("B")
        task = asyncio.create_task(settings.restore())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert setter.values == OWN

    with open_record(LIVE.guest.key, folder=tmp_path) as file:
        setter = Setter(file)
        asyncio.run(run(setter, _Settings(LIVE, setter, file, (CHANGES,))))
        assert file.read() is None


def test_value_that_somebody_else_has_set_meanwhile_is_left(tmp_path: Path) -> None:
    """At the end, as the autopilot does."""

    async def run(setter: Setter, settings: _Settings) -> None:
        await settings.record()
        await settings.turn_to("B")
        setter.values["poll-max-ns"] = 555
        await settings.restore()

    with open_record(LIVE.guest.key, folder=tmp_path) as file:
        setter = Setter(file)
        asyncio.run(run(setter, _Settings(LIVE, setter, file, (CHANGES,))))
        assert setter.values == {"poll-max-ns": 555, "poll-grow": 0}


def test_socket_that_somebody_holds_is_left_to_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nothing is connected to."""
    monkeypatch.setattr("vmio.bench.in_guest.count_clients", lambda *_, **__: 1)
    monkeypatch.setattr("vmio.bench.in_guest._HELD_S", 0.1)
    with pytest.raises(ConflictError, match="is held by another client"):
        asyncio.run(connect(tmp_path))


def test_connection_of_ours_that_is_still_listed_is_none_of_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """QEMU takes a moment to notice that the one of the last run was closed."""
    clients = [1, 1, 0]
    monkeypatch.setattr("vmio.bench.in_guest.count_clients", lambda *_, **__: clients.pop(0))
    with pytest.raises(GuestError, match="no guest agent's socket"):
        asyncio.run(connect(tmp_path))
    assert clients == []


async def connect(folder: Path) -> None:
    """Connects to a socket that is not there."""
    async with AgentSocket(pid=1, path=folder / "a").connect():
        pass
