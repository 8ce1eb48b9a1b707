"""Which monitor of a guest is asked."""

from __future__ import annotations

import os
import socket
from contextlib import nullcontext
from pathlib import Path

import pytest

from vmio.host.running import QemuProcess
from vmio.managers.discovery import Monitor, RunningGuest
from vmio.managers.owners import Access
from vmio.observe.watching import HostWatcher, WatchOptions, choose_monitor
from vmio.values import replace


def make_guest(path: Path, access: Access = "any") -> RunningGuest:
    """Returns a guest with a monitor."""
    process = QemuProcess(
        pid=100, started_ticks=5, inner_pid=100, owner=0, stopped=False, cgroup="", command=b""
    )
    monitor = Monitor(
        protocol="qmp", transport="unix", address=str(path), state="free", access=access
    )
    return RunningGuest(
        process=process, manager="none", id="", name="x", uptime_s=1.0, monitors=(monitor,)
    )


def test_monitor_that_this_user_may_not_connect_to_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be refused each time, and is no fault of the guest."""
    path = tmp_path / "q"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
    assert choose_monitor(make_guest(path))[0] is not None
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    assert choose_monitor(make_guest(path)) == (None, "its monitor is another user's")


def test_monitor_that_is_not_there_is_asked_and_says_so(tmp_path: Path) -> None:
    """A socket that was removed is a fault, and a name that no file can have too."""
    for name in ("absent", "nul\0"):
        assert choose_monitor(make_guest(tmp_path / name))[0] is not None


def test_monitor_that_connects_to_who_started_the_guest_is_left_alone(tmp_path: Path) -> None:
    """Nobody else can connect to it, and there need be no manager."""
    guest = make_guest(tmp_path / "q", "none")
    (monitor,) = guest.monitors
    guest = replace(guest, monitors=(replace(monitor, state="outgoing"),))
    assert choose_monitor(guest) == (None, "its monitor is its starter's alone")


def test_monitor_of_its_manager_is_left_alone(tmp_path: Path) -> None:
    """Whoever may connect to it."""
    found = choose_monitor(make_guest(tmp_path / "q", "none"))
    assert found == (None, "its monitor is its manager's alone")


def test_guest_that_is_not_libvirts_is_told_why_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever started it by hand reads that its starter has its monitor, not a manager."""
    monkeypatch.setattr("vmio.observe.watching.open_sampler", lambda *_, **__: nullcontext())
    watcher = HostWatcher(WatchOptions(), lambda _: True, lambda _: None, tmp_path)
    guest = make_guest(tmp_path / "q", "none")
    (monitor,) = guest.monitors
    watched = watcher._open(replace(guest, monitors=(replace(monitor, state="outgoing"),)))
    assert watched is not None
    assert watched.note == "its monitor is its starter's alone"
    watched = watcher._open(replace(guest, manager="libvirt", monitors=guest.monitors))
    assert watched is not None
    assert watched.note.startswith("its monitor is libvirt's alone")
