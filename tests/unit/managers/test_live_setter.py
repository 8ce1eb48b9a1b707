"""One way to set a running guest's parameters, by its monitor or by libvirt."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from vmio.errors import CapabilityError, InputError, LibvirtError, QmpError, UsageError, VmioError
from vmio.host.running import QemuProcess
from vmio.managers.discovery import RunningGuest
from vmio.managers.libvirt import visit
from vmio.managers.live import LiveResult
from vmio.managers.live_records import GuestRecord, OwnValue, open_record
from vmio.managers.live_setter import Restored, open_setter, put_back, take_over
from vmio.managers.owners import Manager
from vmio.model.plan import LiveChange
from vmio.qemu.brief import BriefMonitor

UUID = "18cf170e-b8ec-469c-84af-bf6f0add100c"
GUEST = RunningGuest(
    process=QemuProcess(
        pid=100, started_ticks=5, inner_pid=100, owner=0, stopped=False, cgroup="", command=b""
    ),
    manager="libvirt",
    id="3",
    name="web",
    uuid=UUID,
    uptime_s=1.0,
)
OWN = 32_768


def change(new: int, name: str = "poll-max-ns", iothread: int = 1) -> LiveChange:
    """Returns a change of an IOThread."""
    return LiveChange(path=f"/objects/iothread{iothread}", property=name, new=new)


class Daemon:
    """A daemon with one domain, as `Connection` speaks to it.

    Attributes:
        values: The polling of the domain's IOThreads.
        number: What it calls this run of the domain; -1 if the domain is off.
        refused: A value that QEMU refuses.
        is_gone: Whether nobody answers.
        held: What a change waits for, if anything.
        opened: How many connections were made.
        closed: How many of them were closed.
    """

    def __init__(self) -> None:
        self.values = {number: {"poll-max-ns": OWN, "poll-grow": 0} for number in (1, 2)}
        self.number = 3
        self.refused = -1
        self.is_gone = False
        self.held: threading.Event | None = None
        self.entered = threading.Event()
        self.opened = self.closed = 0

    @contextmanager
    def connect(
        self, uri: str, *, writes: bool, deadline_s: float, connect_s: float
    ) -> Iterator[Speaking]:
        """Connects to it."""
        assert (uri, writes) == ("test:///here", True)
        assert deadline_s > 0
        assert connect_s > 0
        if self.is_gone:
            raise LibvirtError(f"no libvirt daemon answers at {uri}")
        self.opened += 1
        yield Speaking(self)
        self.closed += 1


class Speaking:
    """A connection to the daemon."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon

    def _ask(self) -> None:
        if self.daemon.is_gone:
            raise LibvirtError("libvirt went away")

    def check_run(self, uuid: str, number: int) -> None:
        """Refuses another run of the domain."""
        self._ask()
        if (uuid, number) != (UUID, self.daemon.number):
            raise InputError("it does not run this domain")

    def read_threads(self, name: str) -> Mapping[int, Mapping[str, int]]:
        """Returns the polling of the domain's IOThreads."""
        assert name == "web"
        self._ask()
        return {number: dict(values) for number, values in self.daemon.values.items()}

    def set_thread(self, _name: str, number: int, values: Mapping[str, int]) -> None:
        """Sets polling by libvirt's names."""
        self._ask()
        self.daemon.entered.set()
        if self.daemon.held is not None:
            self.daemon.held.wait(20)
        for name, value in values.items():
            if value == self.daemon.refused:
                raise LibvirtError(f"QEMU refuses {value}")
            self.daemon.values[number][name.replace("_", "-")] = value


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Daemon:
    """The daemon that this account is pointed to."""
    daemon = Daemon()
    monkeypatch.setenv("LIBVIRT_DEFAULT_URI", "test:///here")
    monkeypatch.setattr("vmio.managers.libvirt.running.is_installed", lambda: True)
    monkeypatch.setattr(visit, "open_connection", daemon.connect)
    return daemon


async def set_in_domain(*changes: LiveChange) -> tuple[LiveResult, ...]:
    """Sets parameters of the domain."""
    setter = await open_setter(GUEST, None, "its monitor is its manager's alone")
    return await setter.set(changes)


def test_domain_is_set_by_libvirt_and_read_back(daemon: Daemon) -> None:
    """With what was there before; no connection stays."""
    results = asyncio.run(set_in_domain(change(0), change(2, "poll-grow", 2)))
    assert [each.old for each in results] == [OWN, 0]
    assert daemon.values == {
        1: {"poll-max-ns": 0, "poll-grow": 0},
        2: {"poll-max-ns": OWN, "poll-grow": 2},
    }
    assert (daemon.opened, daemon.closed) == (2, 2)


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ([change(0), change(9, "aio-max-batch")], UsageError),
        ([change(0), change(9, iothread=7)], LibvirtError),
        ([change(0), change(13)], LibvirtError),
    ],
)
def test_domain_is_unchanged_after_a_refusal(
    daemon: Daemon, changes: Sequence[LiveChange], kind: type[VmioError]
) -> None:
    """Of a parameter, a thread or a value."""
    daemon.refused = 13
    with pytest.raises(kind):
        asyncio.run(set_in_domain(*changes))
    assert daemon.values[1]["poll-max-ns"] == OWN


@pytest.mark.parametrize(
    ("spoil", "kind", "told"),
    [
        (lambda daemon: setattr(daemon, "is_gone", True), LibvirtError, "no libvirt daemon"),
        (lambda daemon: setattr(daemon, "number", 4), InputError, "does not run this domain"),
    ],
)
def test_domain_that_cannot_be_reached_is_refused_before_anything(
    daemon: Daemon, spoil: Callable[[Daemon], None], kind: type[VmioError], told: str
) -> None:
    """No daemon, or another run of the domain."""
    spoil(daemon)
    with pytest.raises(kind, match=told):
        asyncio.run(set_in_domain(change(0)))
    assert daemon.values[1]["poll-max-ns"] == OWN


@pytest.mark.parametrize("manager", ["kubevirt", "proxmox", "none"])
def test_guest_of_another_manager_is_refused_with_its_reason(manager: Manager) -> None:
    """Nobody else sets its parameters."""
    guest = RunningGuest(process=GUEST.process, manager=manager, id="", name="", uptime_s=1.0)
    with pytest.raises(CapabilityError, match="it has none"):
        asyncio.run(open_setter(guest, None, "it has none"))


def test_daemon_that_is_back_is_asked_again(daemon: Daemon) -> None:
    """A daemon that was restarted has the domain with the same number."""

    async def run() -> None:
        setter = await open_setter(GUEST, None, "")
        daemon.is_gone = True
        with pytest.raises(LibvirtError):
            await setter.read([change(0)])
        daemon.is_gone = False
        assert await setter.read([change(0), change(0, iothread=7)]) == (OWN, None)

    asyncio.run(run())


def test_change_that_is_cancelled_is_set_back(daemon: Daemon) -> None:
    """Though libvirt's call cannot be broken off."""

    async def run() -> None:
        setter = await open_setter(GUEST, None, "")
        daemon.held = threading.Event()
        task = asyncio.create_task(setter.set([change(7)]))
        await asyncio.to_thread(daemon.entered.wait, 20)
        task.cancel()
        await asyncio.sleep(0)
        daemon.held.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await setter.read([change(0)]) == (OWN,)

    asyncio.run(run())


VALUES = (
    OwnValue(iothread="iothread1", own=OWN, ours=(0, 7)),
    OwnValue(iothread="iothread1", parameter="poll-grow", own=4, ours=(2,)),
    OwnValue(iothread="iothread2", own=OWN, ours=(0,)),
    OwnValue(iothread="iothread7", own=OWN, ours=(0,)),
    OwnValue(iothread="iothread8", own=OWN),
)


def test_what_somebody_else_has_set_is_left(daemon: Daemon) -> None:
    """What is ours is put back; a thread that has gone is no problem."""

    async def run() -> tuple[Restored, ...]:
        return await put_back(await open_setter(GUEST, None, ""), VALUES)

    daemon.values = {
        1: {"poll-max-ns": 7, "poll-grow": 2},
        2: {"poll-max-ns": 555, "poll-grow": 0},
    }
    found = asyncio.run(run())
    assert [(each.iothread, each.parameter, each.outcome, each.value) for each in found] == [
        ("iothread1", "poll-max-ns", "restored", OWN),
        ("iothread1", "poll-grow", "restored", 4),
        ("iothread2", "poll-max-ns", "somebody else's", 555),
        ("iothread7", "poll-max-ns", "gone", None),
    ]
    assert daemon.values[1] == {"poll-max-ns": OWN, "poll-grow": 4}
    assert [each.outcome for each in asyncio.run(run())][:2] == ["its own", "its own"]


def test_record_stays_where_the_daemon_is_gone(daemon: Daemon, tmp_path: Path) -> None:
    """The next one that holds it puts back what it has."""

    async def run() -> None:
        setter = await open_setter(GUEST, None, "")
        with open_record((100, 5), folder=tmp_path) as file:
            assert await take_over(setter, file) == ()
            file.write(GuestRecord(label="web", by="bench", values=VALUES))
            daemon.values[1]["poll-max-ns"] = 7
            daemon.is_gone = True
            with pytest.raises(LibvirtError):
                await take_over(setter, file)
            daemon.is_gone = False
            assert (await take_over(setter, file))[0].outcome == "restored"
            assert file.read() is not None

    asyncio.run(run())
    assert daemon.values[1]["poll-max-ns"] == OWN


def test_monitor_that_may_be_used_is_preferred(tmp_path: Path) -> None:
    """That its socket is not there is no reason to ask libvirt."""

    async def run() -> None:
        setter = await open_setter(GUEST, BriefMonitor(tmp_path / "q", pid=100), "")
        await setter.set([change(0)])

    with pytest.raises(QmpError, match="cannot connect"):
        asyncio.run(run())
