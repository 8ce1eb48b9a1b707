"""Folders for a QEMU's sockets and scratch files, which are always removed eventually.

Such a folder is locked while its owner lives. A `kill -9` leaves an unlocked folder, which the
next start removes: no record of process ids is needed, so a reused number cannot mislead it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vmio.errors import OutputError

__all__ = ["open_runtime_folder"]

_PREFIX = "vmio-run-"
_MAX_SOCKET_BYTES = 107
_ROOM_FOR_NAME_BYTES = 32
_MAX_STALE = 100


@contextmanager
def open_runtime_folder(parent: Path | None = None) -> Iterator[Path]:
    """Creates a folder that only this user can enter, and removes it with its content.

    Args:
        parent: Where to create it; None for the folder of temporary files, or /tmp if the path of
            a
            unix socket in it would be too long.

    Raises:
        OutputError: It cannot be created.
    """
    root = _choose_root() if parent is None else parent
    _remove_stale(root)
    try:
        path, lock = _make_locked(root)
    except OSError as error:
        raise OutputError(
            f"cannot make a folder in {root}: {error.strerror}",
            hint="TMPDIR sets another place",
        ) from error
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def _choose_root() -> Path:
    root = tempfile.gettempdir()
    room_bytes = _MAX_SOCKET_BYTES - _ROOM_FOR_NAME_BYTES - len(_PREFIX) - 8
    return Path(root if len(os.fsencode(root)) < room_bytes else "/tmp")  # noqa: S108 - mode 0700


def _make_locked(root: Path) -> tuple[Path, int]:
    while True:
        path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=root))
        # Another start may have removed the folder before it was locked, as a stale one.
        with suppress(FileNotFoundError):
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if path.exists():
                return path, lock
            os.close(lock)


def _remove_stale(root: Path) -> None:
    with suppress(OSError):
        names = [entry.name for entry in os.scandir(root) if entry.name.startswith(_PREFIX)]
        for name in sorted(names)[:_MAX_STALE]:
            _remove_unlocked(root / name)


def _remove_unlocked(path: Path) -> None:
    try:
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if os.fstat(lock).st_uid == os.getuid():
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
    except BlockingIOError:
        pass  # its owner is alive
    finally:
        os.close(lock)
