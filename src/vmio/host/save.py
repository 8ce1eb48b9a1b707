"""Files written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from vmio.errors import OutputError, UsageError

__all__ = ["check_writable", "open_whole", "telling_failure", "write_file"]


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
    with open_whole(path, force=force) as file, telling_failure(path):
        file.write(data)


@contextmanager
def open_whole(path: Path, *, force: bool) -> Iterator[BinaryIO]:
    """Opens another file beside the one that is meant, and lets it take its place at the end.

    What ends early leaves nothing behind. Writing to it fails as it does; see `telling_failure`.

    Args:
        path: The file.
        force: Whether a file that is there already, or comes there meanwhile, is replaced.

    Raises:
        UsageError: There is such a file.
        OutputError: It cannot be made or finished; what was there before is still there.
    """
    _refuse(path, force=force)
    temporary = None
    try:
        with telling_failure(path):
            descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:40]}-", dir=path.parent)
        temporary = Path(name)
        file = os.fdopen(descriptor, "wb")
        try:
            yield file
            with telling_failure(path):
                file.flush()
                # By its descriptor: where others can write, its name may lead elsewhere by now.
                os.fchmod(file.fileno(), _find_mode())
                os.fsync(file.fileno())
        finally:
            # What could not be written above cannot be here either.
            with suppress(OSError):
                file.close()
        _refuse(path, force=force)
        with telling_failure(path):
            temporary.replace(path)
        temporary = None
    finally:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink()


@contextmanager
def telling_failure(path: Path) -> Iterator[None]:
    """Says of which file it was that something could not be written.

    Raises:
        OutputError: What is done below failed as writing does.
    """
    try:
        yield
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise OutputError(f"cannot write {path}: {reason}") from error


def _find_mode() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return 0o666 & ~umask


def check_writable(path: Path, *, force: bool) -> None:
    """Finds out whether a file can be written, as far as that can be told without writing it.

    Raises:
        UsageError: There is such a file, and it is not to be replaced.
        OutputError: It cannot be written.
    """
    _refuse(path, force=force)
    with telling_failure(path), tempfile.TemporaryFile(dir=path.parent):
        pass


def _refuse(path: Path, *, force: bool) -> None:
    with telling_failure(path):
        if path.exists() and not path.is_file():
            raise OutputError(f"cannot write {path}: it is no plain file")
    # Checked, not locked: hard links, which could do both at once, are not for every file system.
    if not force and os.path.lexists(path):
        raise UsageError(f"{path} exists already", hint="--force replaces it")
