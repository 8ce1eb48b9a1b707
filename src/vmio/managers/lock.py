"""Holds a lock on a person's file, and replaces the file whole or not at all."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from msgspec import Struct

from vmio.errors import ConflictError, InputError, OutputError
from vmio.host.files import open_file

__all__ = ["LockedFile", "open_locked"]

LOCK_TIMEOUT_S = 10.0
"""As long as Proxmox VE itself waits (qemu-server 9.2.6)."""

_MAX_BYTES = 16 << 20
_RETRY_S = 0.02
_NO_LOCKS = frozenset({errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP})
"""Errors of file systems that cannot lock a folder, such as NFS."""
_NO_FLUSH = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
_NO_QUORUM = "the cluster has no quorum"
_LONGEST_PART = 200
_WRITABLE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


class LockedFile(Struct, frozen=True, kw_only=True):
    """A file that no other vmio can change, nor, through its lock file, Proxmox VE."""

    path: Path
    """The real path, without symbolic links."""
    folder: int
    """The descriptor of its folder, so that the folder cannot be swapped meanwhile."""
    locked: bool
    """False on a file system without locks, where only the comparison in `replace` protects."""
    tree: Path | None = None
    """The /etc/pve that contains it; None for a copy."""

    def read(self) -> bytes:
        """Returns the file's current content.

        Raises:
            InputError: It cannot be read, is not a plain file, or is larger than any config.
        """
        try:
            descriptor = open_file(self.path.name, os.O_NOFOLLOW, folder=self.folder)
            try:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise InputError(f"{self.path} is not a plain file")
                with os.fdopen(descriptor, "rb", closefd=False) as file:
                    data = file.read(_MAX_BYTES + 1)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise InputError(f"cannot read {self.path}: {error.strerror}") from error
        if len(data) > _MAX_BYTES:
            raise InputError(f"{self.path} is too large: more than {_MAX_BYTES} bytes")
        return data

    def check_replaceable(self, old: bytes) -> None:
        """Raises the errors that `replace` would raise now, as far as possible without writing.

        Raises:
            ConflictError: The file's content has changed.
            OutputError: It cannot be written.
        """
        with self._naming_failure():
            self._check_modes()
            if not os.access(".", os.W_OK | os.X_OK, dir_fd=self.folder, effective_ids=True):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        self._compare(old)

    def replace(self, old: bytes, new: bytes) -> None:
        """Replaces the old bytes by new ones atomically, and syncs them to the disk.

        Mode and owner are kept, as far as the file system and this account allow.

        Raises:
            ConflictError: The file's content has changed.
            OutputError: It cannot be written; unless the message says so, the old file is kept.
        """
        self._sweep()
        temporary = f"{self._prefix}{os.urandom(4).hex()}.tmp"
        try:
            with self._naming_failure():
                self._write(temporary, new)
                # Not every program uses the lock; an editor does not.
                self._compare(old)
                os.replace(
                    temporary, self.path.name, src_dir_fd=self.folder, dst_dir_fd=self.folder
                )
        finally:
            with suppress(OSError):
                os.unlink(temporary, dir_fd=self.folder)
        try:
            _flush(self.folder)
        except OSError as error:
            raise OutputError(
                f"{self.path} is written, but may not be on the disk yet: {error.strerror}"
            ) from error

    @property
    def _prefix(self) -> str:
        """Starts with a dot and does not end in `.conf`, so that nothing takes it for a config."""
        return f".{self.path.name[:_LONGEST_PART]}.vmio-"

    def _sweep(self) -> None:
        """Removes leftovers of killed runs; under the lock they cannot be another process's."""
        if not self.locked:
            return
        with suppress(OSError):
            with os.scandir(self.folder) as found:
                names = [entry.name for entry in found]
            for name in names:
                if name.startswith(self._prefix) and name.endswith(".tmp"):
                    os.unlink(name, dir_fd=self.folder)

    def _compare(self, old: bytes) -> None:
        if self.read() != old:
            raise ConflictError(f"{self.path} has just been changed", hint="try again")

    def _check_modes(self) -> os.stat_result:
        """Refuses a file that is not writable, and so must not be replaced either.

        This applies to root, too. Without quorum all files in /etc/pve have such a mode.
        """
        status = os.stat(self.path.name, dir_fd=self.folder, follow_symlinks=False)
        for place in (status, os.fstat(self.folder)):
            if not place.st_mode & _WRITABLE:
                reason = _NO_QUORUM if self.tree is not None else os.strerror(errno.EACCES)
                raise PermissionError(errno.EACCES, reason)
        flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        os.close(os.open(self.path.name, flags, dir_fd=self.folder))
        return status

    def _write(self, name: str, data: bytes) -> None:
        status = self._check_modes()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(name, flags, 0o600, dir_fd=self.folder)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            # In /etc/pve both are fixed, and an ordinary account cannot change a file's owner.
            for owner in ((status.st_uid, status.st_gid), (-1, status.st_gid)):
                with suppress(OSError):
                    os.fchown(descriptor, *owner)
                    break
            with suppress(OSError):
                os.fchmod(descriptor, stat.S_IMODE(status.st_mode))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    @contextmanager
    def _naming_failure(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(
                f"cannot write {self.path}: {error.strerror}", hint=self._explain(error)
            ) from error

    def _explain(self, error: OSError) -> str:
        if self.tree is None or error.errno not in {errno.EACCES, errno.EROFS}:
            return ""
        return f"without quorum {self.tree} is read-only; `pvecm status` shows who is missing"


@contextmanager
def open_locked(
    path: Path,
    *,
    lock: Path | None = None,
    tree: Path | None = None,
    timeout_s: float = LOCK_TIMEOUT_S,
    shared: bool = False,
) -> Iterator[LockedFile]:
    """Holds a file's lock, which is released at the latest when the process ends.

    Args:
        path: The file; a symbolic link is followed.
        lock: The lock file of the programs that share the file; None to lock its folder, which
            leaves no file behind.
        tree: The /etc/pve that contains it; None for a copy.
        timeout_s: How long to wait for others.
        shared: Whether other readers may hold it at the same time.

    Raises:
        InputError: There is no such file.
            ConflictError: Another process holds the lock.
        OutputError: It cannot be locked.
    """
    try:
        real = path.resolve(strict=True)
        folder = os.open(real.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (OSError, RuntimeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(f"cannot read {path}: {reason}") from error
    holder = folder
    try:
        if lock is not None:
            holder = _open_lock(lock)
        locked = _wait(holder, real, timeout_s, shared=shared)
        yield LockedFile(path=real, folder=folder, locked=locked, tree=tree)
    finally:
        if holder != folder:
            os.close(holder)
        os.close(folder)


def _open_lock(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        # Non-blocking: everybody can write to the folder of locks, and a named pipe would hang.
        return os.open(path, flags | os.O_NONBLOCK, 0o644)
    except OSError as error:
        raise OutputError(f"cannot open the lock {path}: {error.strerror}") from error


def _wait(descriptor: int, path: Path, timeout_s: float, *, shared: bool) -> bool:
    """Returns whether the lock is held now; False if the file system has none."""
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    end = time.monotonic() + timeout_s
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= end:
                waited = f" for {timeout_s:g} s" if timeout_s else ""
                raise ConflictError(
                    f"{path} is locked by another process{waited}",
                    hint="try again when that operation has ended",
                ) from error
            time.sleep(_RETRY_S)
        except OSError as error:
            if error.errno in _NO_LOCKS:
                return False
            raise OutputError(f"cannot lock {path}: {error.strerror}") from error
        else:
            return True


def _flush(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FLUSH:
            raise
