"""Files that people hand over, read whole and within bounds."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from vmio.errors import InputError
from vmio.model.source import Source

__all__ = ["MAX_INPUT_BYTES", "find_storage_cfg", "read_source"]

MAX_INPUT_BYTES = 16 * 1024 * 1024
"""No config, storage.cfg or host description comes near; reading stops there."""

_PIECE_BYTES = 64 * 1024
"""A config comes in one."""

_ETC_STORAGE = Path("/etc/pve/storage.cfg")
_LEVELS_UP = 4
"""`storage.cfg` lies this far above a VM's config at most: /etc/pve/nodes/NODE/qemu-server."""


def read_source(path: str) -> Source:
    """Returns a file's bytes with its name; `-` is standard input.

    Raises:
        InputError: The file cannot be read, or is larger than any config is.
    """
    try:
        if path == "-":
            data = sys.stdin.buffer.read(MAX_INPUT_BYTES + 1)
        else:
            # Not blocking: a named pipe that nobody writes to must not hang the tool.
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
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


def _read(descriptor: int) -> bytes:
    """Returns what a file holds, up to a byte more than is taken; a pipe may hold nothing yet."""
    pieces: list[bytes] = []
    size = 0
    with suppress(BlockingIOError):
        while size <= MAX_INPUT_BYTES and (piece := os.read(descriptor, _PIECE_BYTES)):
            pieces.append(piece)
            size += len(piece)
    return b"".join(pieces)


def find_storage_cfg(folder: Path) -> Path | None:
    """Returns the storage.cfg that a folder's configs go by: in it, above it, or this host's."""
    absolute = folder.absolute()
    for candidate in (absolute, *absolute.parents[:_LEVELS_UP]):
        path = candidate / "storage.cfg"
        if path.is_file():
            return path
    return _ETC_STORAGE if _ETC_STORAGE.is_file() else None
