"""Reads files from users whole and within limits."""

from __future__ import annotations

import os
import stat
import sys
import time
from contextlib import suppress
from pathlib import Path

from vmio.errors import InputError
from vmio.model.source import Source

__all__ = [
    "MAX_INPUT_BYTES",
    "is_file",
    "is_folder",
    "is_there",
    "open_file",
    "read_source",
]

MAX_INPUT_BYTES = 16 * 1024 * 1024
"""Much larger than any config, storage.cfg or host description; reading stops there."""

_PIECE_BYTES = 64 * 1024
"""Enough for a config in one read."""

_REPLACED_S = 0.01
"""Replacing a file in /etc/pve takes 0.3 ms on one node, and longer with messages to others."""


def read_source(path: str) -> Source:
    """Returns a file's bytes with its name; `-` for standard input.

    Raises:
        InputError: The file cannot be read, or is larger than any config.
    """
    try:
        if path == "-":
            data = sys.stdin.buffer.read(MAX_INPUT_BYTES + 1)
        else:
            descriptor = open_file(path)
            try:
                data = _read(descriptor)
            finally:
                os.close(descriptor)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(f"cannot read {path}: {reason or error}") from error
    if len(data) > MAX_INPUT_BYTES:
        raise InputError(f"{path} is too large: more than {MAX_INPUT_BYTES} bytes")
    return Source(name="<stdin>" if path == "-" else path, data=data)


def open_file(path: str, flags: int = 0, *, folder: int | None = None) -> int:
    """Opens a file for reading and returns its descriptor; tries once more if it is missing.

    While a file in /etc/pve is replaced and another process reads it, its name is missing for a
    moment. Opening does not wait for a named pipe, which would hang.

    Source: pmxcfs of 2026-05, run.

    Args:
        path: The file.
        flags: Additional flags for `os.open`.
        folder: The descriptor of the folder for a relative path.

    Raises:
        OSError: It cannot be opened.
    """
    flags |= os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        return os.open(path, flags, dir_fd=folder)
    except FileNotFoundError:
        time.sleep(_REPLACED_S)
        return os.open(path, flags, dir_fd=folder)


def _read(descriptor: int) -> bytes:
    """Returns a file's content, up to one byte more than the limit; a pipe may be empty yet."""
    pieces: list[bytes] = []
    size = 0
    with suppress(BlockingIOError):
        while size <= MAX_INPUT_BYTES and (piece := os.read(descriptor, _PIECE_BYTES)):
            pieces.append(piece)
            size += len(piece)
    return b"".join(pieces)


def is_there(path: str | Path) -> bool:
    """Returns whether a name exists; False if that cannot be seen.

    Unlike this, `Path.exists` and similar methods raise an error for a name that is too long, and
    for one in a folder that this user cannot enter.
    """
    return _read_mode(path) != 0


def is_file(path: str | Path) -> bool:
    """Returns whether a name is a plain file that can be seen."""
    return stat.S_ISREG(_read_mode(path))


def is_folder(path: str | Path) -> bool:
    """Returns whether a name is a folder that can be seen."""
    return stat.S_ISDIR(_read_mode(path))


def _read_mode(path: str | Path) -> int:
    if path == "":  # which Path takes for the current folder
        return 0
    try:
        return Path(path).stat().st_mode
    except (OSError, ValueError):
        return 0
