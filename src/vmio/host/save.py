"""Files written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from vmio.errors import OutputError, UsageError

__all__ = ["write_file"]


def write_file(path: Path, data: bytes, *, force: bool) -> None:
    """Writes a file by way of another one beside it, so that nobody ever sees half of it.

    Args:
        path: The file.
        data: All that it shall hold.
        force: Whether a file that is there already is replaced.

    Raises:
        UsageError: There is such a file already.
        OutputError: It cannot be written; what was there before is still there.
    """
    # Checked, not locked: hard links, which could do both at once, are not for every file system.
    if not force and os.path.lexists(path):
        raise UsageError(f"{path} exists already", hint="--force replaces it")
    temporary = None
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:40]}-", dir=path.parent)
        temporary = Path(name)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
        temporary = None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise OutputError(f"cannot write {path}: {reason}") from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink()
