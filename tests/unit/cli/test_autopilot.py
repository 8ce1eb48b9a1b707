"""`vmio autopilot`: what it refuses, and what it says where nothing is steered."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest

from vmio import app
from vmio.app import autopilot, ps
from vmio.autopilot.pilot import AutopilotEvent
from vmio.autopilot.values import Decision, Step
from vmio.host.running import QemuProcess
from vmio.managers.discovery import Monitor, RunningGuest, RunningGuests
from vmio.model.iothread import IOThread
from vmio.model.topology import Topology
from vmio.testing import call

DOMAIN = RunningGuest(
    process=QemuProcess(
        pid=21, started_ticks=7, inner_pid=21, owner=0, stopped=False, cgroup="", command=b"kvm\0"
    ),
    manager="libvirt",
    id="4",
    name="data base",
    uptime_s=5,
    monitors=(
        Monitor(
            protocol="qmp",
            transport="unix",
            address="/var/lib/libvirt/qemu/domain-4-db/monitor.sock",
            state="held",
            access="none",
        ),
    ),
    layout=Topology(iothreads=(IOThread(id="other"), IOThread(id="iothread2"))),
)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for records, and a host with a libvirt domain."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(ps, "discover", lambda: RunningGuests(guests=(DOMAIN,)))
    return tmp_path / "vmio" / "autopilot"


def test_domain_of_libvirt_is_refused_with_its_command(
    capsys: pytest.CaptureFixture[str], state: Path
) -> None:
    """Its daemon holds the monitor; nothing is kept of it."""
    assert call("autopilot", "run", "data base") == 4
    said = capsys.readouterr().err
    assert "error: data base cannot be steered: its monitor is libvirt's alone" in said
    assert "virsh iothreadset 'data base' 2 --poll-max-ns NANOSECONDS" in said
    assert not state.exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "name the guests to steer, or use --all"),
        (("1", "--all"), "exclude each other"),
        (("1", "--floor", "9", "--ceiling", "8"), "--ceiling 8 is below --floor 9"),
        (("1", "--interval", "0.5"), "--interval"),
        (("1", "--interval", "nan"), "nan is not a number"),
        (("1", "--tolerance", "nan"), "nan is not a number"),
        (("1", "--max-run-delay", "nan"), "nan is not a number"),
        (("1", "--tolerance", "0"), "--tolerance"),
        (("1", "--ceiling", str(2**63)), "--ceiling"),
        (("1", "--force"), "--force is for --log"),
        (("1", "--log", "x", "--max-log-size", "3"), "is not a size"),
    ],
)
def test_wrong_usage_is_refused(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    """In words, with exit status 2."""
    assert call("autopilot", "run", *words) == 2
    assert said in capsys.readouterr().err


def test_nothing_steered_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """By status, also as JSON; to restore nothing is no failure."""
    assert call("autopilot", "status") == 0
    assert "no autopilot of this user steers a guest" in capsys.readouterr().err
    assert call("autopilot", "status", "--json") == 0
    assert json.loads(capsys.readouterr().out)["data"] == {"guests": []}
    assert call("autopilot", "restore") == 0
    assert call("autopilot", "restore", "nobody") == 3


def test_interval_of_a_program_has_limits() -> None:
    """Below a second the kernel's figures say nothing."""
    with pytest.raises(ValueError, match="interval_s"):
        autopilot.steer_guests(interval_s=0.1).send(None)


def steer_once() -> Callable[..., Coroutine[None, None, None]]:
    """Returns a `steer_guests` that reports a look and a change, and ends."""

    async def steer(
        *_args: object, report: Callable[[AutopilotEvent], None], **_more: object
    ) -> None:
        decision = Decision(kind="try", poll_max_ns=0)
        step = Step(address="pid:21", own_ns=8, interval=None, decision=decision)
        report(AutopilotEvent(guest="db", iothreads=("io0",), step=step))
        report(AutopilotEvent(guest="db", iothreads=("io0",), old_ns=8, decision=decision))

    return steer


def test_log_has_looks_and_what_was_said(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looks are not said; the log is reported, with a page."""
    log, page = tmp_path / "a.jsonl", tmp_path / "a.html"
    monkeypatch.setattr(app, "steer_guests", steer_once())
    assert call("autopilot", "run", "db", "--log", str(log)) == 0
    words = "db: io0: poll-max-ns is now 0 instead of 8: a trial"
    assert capsys.readouterr().err.splitlines() == [f"vmio: {words}"]
    assert call("autopilot", "report", str(log), "-o", str(page)) == 0
    out, err = capsys.readouterr()
    assert "1 group of IOThreads" in out
    assert f"wrote {page}" in err
    assert words in page.read_text()
    assert call("autopilot", "run", "db", "--log", str(log)) == 2
    assert "exists already" in capsys.readouterr().err
    assert call("autopilot", "run", "db", "--log", str(log), "--force") == 0


def test_log_on_a_full_disk_ends_alone(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line says so; what is steered goes on."""
    log = tmp_path / "a.jsonl"
    monkeypatch.setattr(app, "steer_guests", steer_once())
    monkeypatch.setattr("vmio.autopilot.log.LogWriter._put", fail_after_first())
    assert call("autopilot", "run", "db", "--log", str(log)) == 0
    said = capsys.readouterr().err.splitlines()
    assert said == [
        f"vmio: {log} ends here: No space left on device; guests are steered further",
        "vmio: db: io0: poll-max-ns is now 0 instead of 8: a trial",
    ]


def fail_after_first() -> Callable[[object, bytes], None]:
    """Returns what writes the first line of a log, and then finds a full disk."""
    written: list[bytes] = []

    def put(_writer: object, data: bytes) -> None:
        if written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written.append(data)

    return put


def test_page_does_not_replace_its_log(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The same file by another name, too."""
    log = tmp_path / "a.jsonl"
    log.write_text("")
    assert call("autopilot", "report", str(log), "-o", f"{tmp_path}/./a.jsonl") == 2
    assert "would replace the log" in capsys.readouterr().err
    assert call("autopilot", "report", str(log)) == 3
    assert "is not a log of the autopilot" in capsys.readouterr().err
