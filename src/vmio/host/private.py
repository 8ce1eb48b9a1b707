"""Folders and files that nobody else can write: what is kept there can be trusted later."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from vmio.errors import OutputError

__all__ = ["find_stranger", "make_private_folder", "read_private_file"]

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
