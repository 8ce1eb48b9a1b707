"""Caches replies that take a second and change with a binary, in the user's cache folder.

A cache that cannot be read or written, or that others can write to, is ignored without an error.
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
from vmio.host.private import (
    find_cache_folder,
    find_stranger,
    make_private_folder,
    read_private_file,
)

__all__ = ["identify_file", "read_entry", "write_entry"]

_MAX_BYTES = 4 << 20


def identify_file(path: Path) -> tuple[str, ...]:
    """Returns an identity that changes when a file is replaced or rewritten.

    Raises:
        OSError: The file cannot be accessed.
    """
    real = path.resolve()
    status = real.stat()
    numbers = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    return (str(real), *map(str, numbers))


def read_entry(kind: str, identity: tuple[str, ...]) -> Any:  # noqa: ANN401 - its reader checks
    """Returns the value written for a kind and an identity; None if there is none."""
    path = _locate(kind, identity)
    if find_stranger(path.parent, above=1):
        return None
    with suppress(OSError, ValueError):
        entry = load_json(read_private_file(path, _MAX_BYTES))
        # The file is named by a hash; the full identity in it has to match.
        if isinstance(entry, dict) and entry.get("identity") == list(identity):
            return entry.get("value")
    return None


def write_entry(kind: str, identity: tuple[str, ...], value: object) -> None:
    """Writes a value; other processes see the old file or the new one, never a partial one."""
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
