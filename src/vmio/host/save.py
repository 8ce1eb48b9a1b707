"""Writes files whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from vmio.errors import OutputError, UsageError

__all__ = ["check_writable", "naming_failure", "open_whole", "write_file"]


def write_file(path: Path, data: bytes, *, force: bool) -> None:
    """Writes a file through a temporary one beside it, so that nobody sees a partial file.

    Args:
        path: The file.
        data: The complete content.
        force: Whether to replace an existing file.

    Raises:
        UsageError: The file exists already.
        OutputError: It cannot be written; the old one is still there.
    """
    with open_whole(path, force=force) as file, naming_failure(path):
        file.write(data)


@contextmanager
def open_whole(path: Path, *, force: bool) -> Iterator[BinaryIO]:
    """Opens a temporary file beside the intended one, and moves it into place at the end.

    An early end leaves no file behind. Errors of writing are unchanged; see `naming_failure`.

    Args:
        path: The file.
        force: Whether to replace a file that exists already, or is created meanwhile.

    Raises:
        UsageError: The file exists already.
        OutputError: It cannot be created or finished; the old one is still there.
    """
    _refuse(path, force=force)
    temporary = None
    try:
        with naming_failure(path):
            descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:40]}-", dir=path.parent)
        temporary = Path(name)
        file = os.fdopen(descriptor, "wb")
        try:
            yield file
            with naming_failure(path):
                file.flush()
                # By its descriptor: where others can write, its name may lead elsewhere by now.
                os.fchmod(file.fileno(), _find_mode())
                os.fsync(file.fileno())
        finally:
            # A write that failed above would fail here, too.
            with suppress(OSError):
                file.close()
        _refuse(path, force=force)
        with naming_failure(path):
            temporary.replace(path)
        temporary = None
    finally:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink()


@contextmanager
def naming_failure(path: Path) -> Iterator[None]:
    """Turns errors of writing in its body into an error that names the file.

    Raises:
        OutputError: A write in the body failed.
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
    """Checks whether a file can be written, as far as possible without writing it.

    Raises:
        UsageError: The file exists, and `force` is not given.
        OutputError: It cannot be written.
    """
    _refuse(path, force=force)
    with naming_failure(path), tempfile.TemporaryFile(dir=path.parent):
        pass


def _refuse(path: Path, *, force: bool) -> None:
    with naming_failure(path):
        if path.exists() and not path.is_file():
            raise OutputError(f"cannot write {path}: it is not a plain file")
    # Checked, not locked: hard links could do both at once, but not on every file system.
    if not force and os.path.lexists(path):
        raise UsageError(f"{path} exists already", hint="--force replaces it")
