"""A real libvirt daemon for tests: a session's own, of a user without rights, without systemd.

It touches nothing of the host: its sockets, domains and logs are in one folder, and it ends with
the tests that started it.

Source: libvirt 11.3.0 of Debian, run.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from msgspec import Struct

__all__ = ["SessionDaemon", "find_missing", "run_session_daemon"]

_PATH: Final = "/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin:/bin"
_USER: Final = "nobody"
_START_TIMEOUT_S: Final = 30.0
_END_TIMEOUT_S: Final = 20.0
_CHECK_S: Final = 0.02


class SessionDaemon(Struct, frozen=True, kw_only=True):
    """A running daemon."""

    uri: str
    pid: int
    folder: Path
    """Where it has everything; its guests can read what is in it and may be read by all."""


def find_missing() -> str:
    """Returns what a session daemon requires and is not here, in one line; empty if nothing."""
    missing = [
        name
        for name in ("libvirtd", "qemu-system-x86_64", "setpriv")
        if shutil.which(name, path=_PATH) is None
    ]
    if find_spec("libvirt") is None:
        missing.append("libvirt-python")
    return " and ".join(missing)


@contextmanager
def run_session_daemon() -> Iterator[SessionDaemon]:
    """Starts a daemon, and ends it with all its guests.

    Raises:
        TimeoutError: It does not start.
    """
    # Short, because a socket's path has at most 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="vmio-lv-", dir="/tmp"))
    try:
        with _start(folder) as daemon:
            yield daemon
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _start(folder: Path) -> Iterator[SessionDaemon]:
    run, settings = folder / "run", folder / ".config/libvirt"
    run.mkdir(mode=0o700)
    settings.mkdir(parents=True)
    # Else each guest requires virtlogd, a second daemon.
    (settings / "qemu.conf").write_text('stdio_handler = "file"\n')
    folder.chmod(0o755)
    argv = ["setpriv", "--pdeathsig", "TERM"]
    if os.geteuid() == 0:
        user = pwd.getpwnam(_USER)
        for path in (folder, run, folder / ".config", settings, settings / "qemu.conf"):
            os.chown(path, user.pw_uid, user.pw_gid)
        argv += [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    socket = run / "libvirt/libvirt-sock"
    with (folder / "daemon.log").open("wb") as log:
        child = subprocess.Popen(
            [*argv, "libvirtd"],
            env={"PATH": _PATH, "HOME": str(folder), "XDG_RUNTIME_DIR": str(run)},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    uri = f"qemu+unix:///session?socket={socket}"
    try:
        _wait_for(socket, child)
        yield SessionDaemon(uri=uri, pid=child.pid, folder=folder)
    finally:
        _stop_guests(uri)
        _end(child)


def _wait_for(socket: Path, child: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _START_TIMEOUT_S
    while not socket.exists():
        if child.poll() is not None or time.monotonic() > end:
            raise TimeoutError("libvirtd did not open its socket")
        time.sleep(_CHECK_S)


def _stop_guests(uri: str) -> None:
    """Stops all guests, which else outlive their daemon."""
    libvirt = import_module("libvirt")
    try:
        connection = libvirt.open(uri)
        for domain in connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE):
            domain.destroy()
        connection.close()
    except libvirt.libvirtError:
        return  # the test has ended the daemon itself


def _end(child: subprocess.Popen[bytes]) -> None:
    child.send_signal(signal.SIGCONT)
    child.terminate()
    try:
        child.wait(_END_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
