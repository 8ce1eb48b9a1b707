"""Folders and files that no other user can write, so that their content can be trusted later."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from vmio.errors import OutputError

__all__ = ["find_cache_folder", "find_stranger", "make_private_folder", "read_private_file"]

_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def find_cache_folder() -> Path:
    """Returns vmio's folder under XDG_CACHE_HOME, whether or not it exists."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification requires that a relative path is ignored.
    return (Path(home) if home.startswith("/") else Path("~/.cache").expanduser()) / "vmio"


def find_stranger(folder: Path, *, above: int = 0) -> str:
    """Returns who else can write to a folder, in words; empty if nobody can.

    Whoever can write to a folder above it can replace it. A group may write to those above: where
    each user has a group of their own, new folders allow it.

    Args:
        folder: The folder; a missing one belongs to nobody.
        above: How many of the folders above it are checked, too.
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
            return f"{place} is {'a link' if stat.S_ISLNK(status.st_mode) else 'not a folder'}"
        if not _is_trusted(status):
            return f"{place} belongs to another user"
        shared = status.st_mode & (_BY_OTHERS if own else stat.S_IWOTH)
        if shared and (own or not status.st_mode & stat.S_ISVTX):
            return f"{place} can be written by other users"
    return ""


def make_private_folder(folder: Path, *, above: int = 0) -> None:
    """Creates a folder and missing ones above it, for this user only.

    Args:
        folder: The folder.
        above: How many of the folders above it must not be writable by others either.

    Raises:
        OutputError: It cannot be created, or other users can write to it.
    """
    try:
        for place in (*reversed(folder.parents), folder):
            if not place.exists():
                place.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make {folder}: {error.strerror}") from error
    if stranger := find_stranger(folder, above=above):
        raise OutputError(
            stranger, hint="choose another folder, or fix this one with chown and chmod go-w"
        )


def read_private_file(path: Path, max_bytes: int) -> bytes:
    """Returns the content of a file of this user; does not follow a link or wait for a pipe.

    Raises:
        OSError: It cannot be read, is larger, is not a plain file, or belongs to another user.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path, flags)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or not _is_trusted(status):
            raise PermissionError(errno.EACCES, "not a plain file of this user", str(path))
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(max_bytes + 1)
    finally:
        os.close(descriptor)
    if len(data) > max_bytes:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
    return data


def _is_trusted(status: os.stat_result) -> bool:
    return status.st_uid in {os.geteuid(), 0}
