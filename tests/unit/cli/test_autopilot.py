"""`vmio autopilot`: what it refuses, and what it says where nothing is steered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vmio.app import autopilot, ps
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
        (("1", "--tolerance", "0"), "--tolerance"),
        (("1", "--ceiling", str(2**63)), "--ceiling"),
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
