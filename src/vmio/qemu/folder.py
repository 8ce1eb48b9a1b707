"""Folders that nobody else can write in: those that stay, and those for sockets and scratch files.

Of the latter none is left behind for long. Such a folder is locked while its owner lives. What a
`kill -9` leaves is an unlocked folder, which the next start removes: no record of process ids is
needed, and a number that was used twice cannot mislead it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vmio.errors import OutputError

__all__ = ["find_stranger", "make_private_folder", "open_runtime_folder", "read_private_file"]

_PREFIX = "vmio-run-"
_MAX_SOCKET_BYTES = 107
_ROOM_FOR_NAME_BYTES = 32
_MAX_STALE = 100
_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def find_stranger(folder: Path, *, above: int = 0) -> str:
    """Returns who else may put something into a folder, in words; empty if nobody can.

    Who may write in a folder above it may put another one in its place. There a group may write:
    where each user has a group of their own, new folders let it.

    Args:
        folder: The folder; one that is not there is nobody's.
        above: How many of the folders above it are looked at, too.
    """
    places = (folder, *folder.parents[:above])
    for place in places:
        own = place == folder
        try:
            status = place.lstat() if own else place.stat()
        except FileNotFoundError:
            continue
        except OSError as error:
            return f"{place}: {error.strerror}"
        if not stat.S_ISDIR(status.st_mode):
            return f"{place} is {'a link' if stat.S_ISLNK(status.st_mode) else 'no folder'}"
        if not _is_trusted(status):
            return f"{place} belongs to another user"
        shared = status.st_mode & (_BY_OTHERS if own else stat.S_IWOTH)
        if shared and (own or not status.st_mode & stat.S_ISVTX):
            return f"{place} can be written by others"
    return ""


def make_private_folder(folder: Path, *, above: int = 0) -> None:
    """Makes a folder, and those above it that are missing, for this user only.

    Args:
        folder: The folder.
        above: How many of the folders above it nobody else may be able to write in either.

    Raises:
        OutputError: It cannot be made, or somebody else can write there.
    """
    try:
        for place in (*reversed(folder.parents), folder):
            if not place.exists():
                place.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make {folder}: {error.strerror}") from error
    if stranger := find_stranger(folder, above=above):
        raise OutputError(
            stranger, hint="choose a place of your own, or take it: chown, and chmod go-w"
        )


def read_private_file(path: Path, max_bytes: int) -> bytes:
    """Returns what a file of this user's holds; a link is not followed, a pipe not waited for.

    Raises:
        OSError: It cannot be read, is larger, no plain file, or somebody else's.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path, flags)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or not _is_trusted(status):
            raise PermissionError(errno.EACCES, "not a plain file of this user's", str(path))
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(max_bytes + 1)
    finally:
        os.close(descriptor)
    if len(data) > max_bytes:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
    return data


def _is_trusted(status: os.stat_result) -> bool:
    return status.st_uid in {os.geteuid(), 0}


@contextmanager
def open_runtime_folder(parent: Path | None = None) -> Iterator[Path]:
    """Makes a folder that only this user can enter, and removes it with all that is in it.

    Args:
        parent: Where to make it; None for the folder of temporary files, or /tmp where the name of
            a unix socket in it would grow too long.

    Raises:
        OutputError: It cannot be made.
    """
    root = _choose_root() if parent is None else parent
    _remove_stale(root)
    try:
        path, lock = _make_locked(root)
    except OSError as error:
        raise OutputError(
            f"cannot make a folder in {root}: {error.strerror}",
            hint="TMPDIR names another place",
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
        # Another start may have seen the folder before it was locked, and taken it for stale.
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
        pass  # its owner lives
    finally:
        os.close(lock)
