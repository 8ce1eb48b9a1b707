"""The QEMUs that run on a host, whatever else runs there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from vmio.host.running import RunningQemus, find_qemus

Start = Callable[..., None]


@pytest.fixture(name="start")
def make_start(tmp_path: Path) -> Start:
    """Returns what puts a process into a proc of the test's own."""

    def start(pid: int, *words: str, binary: str = "", parent: int = 1, comm: str = "x") -> None:
        home = tmp_path / "proc" / str(pid)
        home.mkdir(parents=True)
        (home / "cmdline").write_bytes("".join(f"{word}\0" for word in words).encode())
        (home / "stat").write_text(f"{pid} ({comm}) S {parent} {pid} {pid} 0 -1\n")
        if binary:
            (home / "exe").symlink_to(binary)

    return start


@pytest.mark.parametrize(
    ("word", "binary"),
    [
        ("/usr/bin/kvm", "/usr/bin/qemu-system-x86_64"),
        ("/usr/bin/qemu-system-x86_64", "/usr/bin/qemu-system-x86_64 (deleted)"),
        ("/usr/libexec/qemu-kvm", "/usr/libexec/qemu-kvm"),
        ("qemu-system-aarch64", ""),
        ("/nix/store/x/bin/.qemu-system-x86_64-wrapped", ""),
    ],
)
def test_qemu_is_found_by_its_program(
    word: str, binary: str, start: Start, tmp_path: Path
) -> None:
    """By its first word, whichever package it is from; another user's program cannot be read."""
    start(7, word, "-S", binary=binary)

    assert find_qemus(tmp_path).pids == (7,)


@pytest.mark.parametrize(
    ("word", "binary"),
    [
        ("qemu-img", ""),
        ("qemu-nbd", ""),
        ("/usr/sbin/qemu-ga", ""),
        ("qemu-storage-daemon", ""),
        ("qemu-x86_64-static", ""),
        ("[kvm-nx-lpage-re]", ""),
        ("bash qemu-system-x86_64", ""),
        ("qemu-system-x86_64", "/usr/bin/sleep"),
        ("qemu-system-x86_64\n", ""),
    ],
)
def test_process_that_only_looks_like_a_qemu_is_none(
    word: str, binary: str, start: Start, tmp_path: Path
) -> None:
    """A tool of QEMU's runs no guest, and neither does a program that calls itself QEMU."""
    start(7, word, "-S", binary=binary)

    assert find_qemus(tmp_path).pids == ()


def test_guests_come_in_the_order_of_their_processes(start: Start, tmp_path: Path) -> None:
    """What is no process, has no words or has ended is passed over."""
    for pid in (1000, 200, 99):
        start(pid, "kvm", "-id", str(pid), comm="a) b (c")
    start(5)
    (tmp_path / "proc" / "6").mkdir()
    (tmp_path / "proc" / "7x").mkdir()
    (tmp_path / "proc" / "version").touch()

    assert find_qemus(tmp_path) == RunningQemus(pids=(99, 200, 1000))


def test_child_of_a_qemu_is_no_guest_of_its_own(start: Start, tmp_path: Path) -> None:
    """It has its parent's command line; a QEMU that another one starts has its own."""
    start(20, "kvm", "-id", "1")
    start(21, "kvm", "-id", "1", parent=20, comm="cleanup/20")
    start(22, "kvm", "-id", "2", parent=20)

    assert find_qemus(tmp_path).pids == (20, 22)


def test_what_cannot_be_seen_is_told(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Processes that may not be looked at are counted; where they are hidden, that is said."""
    start(7, "kvm", "-S")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert find_qemus(tmp_path).unseen == ""
    mounts = tmp_path / "proc" / "self" / "mountinfo"
    mounts.parent.mkdir()
    mounts.write_text("22 29 0:21 / /proc rw,relatime - proc proc rw,hidepid=off\n")
    assert find_qemus(tmp_path).unseen == ""
    mounts.write_text("22 29 0:21 / /proc rw,relatime - proc proc rw,gid=3,hidepid=invisible\n")
    assert find_qemus(tmp_path).unseen.startswith("/proc hides the processes of other users")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert find_qemus(tmp_path).unseen == ""


def test_process_that_may_not_be_looked_at_is_counted(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are found all the same."""
    start(7, "kvm", "-S")
    start(8, "kvm", "-S")
    real = open

    def refuse(path: str, mode: str) -> object:
        if path.endswith("/8/cmdline"):
            raise PermissionError
        return real(path, mode)

    monkeypatch.setattr("builtins.open", refuse)
    found = find_qemus(tmp_path)

    assert found.pids == (7,)
    assert found.unseen == "a process of other users cannot be looked at; root sees all guests"


def test_host_without_proc_has_no_guests(tmp_path: Path) -> None:
    """It is no error."""
    assert find_qemus(tmp_path) == RunningQemus(pids=())
