"""Answers that cost a second to get and change with a binary, kept in the user's cache folder.

A cache that cannot be read or written, or that others can write in, is no cache: nothing fails
because of it.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from vmio.bounds import load_json
from vmio.errors import OutputError
from vmio.host.private import find_stranger, make_private_folder, read_private_file

__all__ = ["find_cache_folder", "identify_file", "read_entry", "write_entry"]

_MAX_BYTES = 4 << 20


def find_cache_folder() -> Path:
    """Returns vmio's folder under XDG_CACHE_HOME, whether it exists or not."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification has a relative path ignored.
    return (Path(home) if home.startswith("/") else Path("~/.cache").expanduser()) / "vmio"


def identify_file(path: Path) -> tuple[str, ...]:
    """Returns what changes when a file is replaced or rewritten.

    Raises:
        OSError: It cannot be looked at.
    """
    real = path.resolve()
    status = real.stat()
    numbers = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    return (str(real), *map(str, numbers))


def read_entry(kind: str, identity: tuple[str, ...]) -> Any:  # noqa: ANN401 - its reader checks
    """Returns what was written under a kind and an identity, None if there is nothing."""
    path = _locate(kind, identity)
    if find_stranger(path.parent, above=1):
        return None
    with suppress(OSError, ValueError):
        entry = load_json(read_private_file(path, _MAX_BYTES))
        # A hash names the file; the whole identity in it is what counts.
        if isinstance(entry, dict) and entry.get("identity") == list(identity):
            return entry.get("value")
    return None


def write_entry(kind: str, identity: tuple[str, ...], value: object) -> None:
    """Keeps a value; other processes see the old file or the new one, never a half."""
    path = _locate(kind, identity)
    with suppress(OSError, OutputError):
        make_private_folder(path.parent, above=1)
        descriptor, name = tempfile.mkstemp(prefix=".", dir=path.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump({"identity": identity, "value": value}, file)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def _locate(kind: str, identity: tuple[str, ...]) -> Path:
    digest = hashlib.sha256("\0".join(identity).encode("utf-8", "surrogateescape")).hexdigest()
    return find_cache_folder() / f"{kind}-{digest[:16]}.json"
