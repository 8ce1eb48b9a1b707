"""One file of a person's, held under a lock and replaced whole or not at all."""

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
"""How a file system says that it cannot lock a folder; NFS is one."""
_NO_FLUSH = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
_NO_QUORUM = "the cluster has no quorum"
_LONGEST_PART = 200
_WRITABLE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


class LockedFile(Struct, frozen=True, kw_only=True):
    """A file that no other vmio changes, and with its lock file nor does Proxmox VE."""

    path: Path
    """Its own place: no part of it is a symbolic link."""
    folder: int
    """The descriptor of its folder, so that nobody can swap that for another meanwhile."""
    locked: bool
    """False on a file system without locks, where only the comparison in `replace` protects."""
    tree: Path | None = None
    """The /etc/pve that it is in; None for a copy."""

    def read(self) -> bytes:
        """Returns what the file holds now.

        Raises:
            InputError: It cannot be read, or is no plain file, or larger than any config is.
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
        """Refuses what `replace` would refuse now, as far as can be told without writing.

        Raises:
            ConflictError: The file no longer holds the old bytes.
            OutputError: It cannot be written.
        """
        with self._telling_failure():
            self._check_modes()
            if not os.access(".", os.W_OK | os.X_OK, dir_fd=self.folder, effective_ids=True):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        self._compare(old)

    def replace(self, old: bytes, new: bytes) -> None:
        """Puts new bytes in the place of the old ones, on the disk too, in one instant.

        Mode and owner stay, as far as the file system and this account allow.

        Raises:
            ConflictError: The file no longer holds the old ones.
            OutputError: It cannot be written; unless the message says so, the old ones are there.
        """
        self._sweep()
        temporary = f"{self._prefix}{os.urandom(4).hex()}.tmp"
        try:
            with self._telling_failure():
                self._write(temporary, new)
                # Not everybody heeds the lock: an editor does not.
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
        """No `.conf` at the end and a dot at the start: nothing takes it for a VM's config."""
        return f".{self.path.name[:_LONGEST_PART]}.vmio-"

    def _sweep(self) -> None:
        """Removes what a run that was killed has left; under the lock nobody else's is here."""
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
        """Refuses a file that is not to be written, and so is not to be replaced either.

        Nor by root, who could. Without quorum all files in /etc/pve have such a mode.
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
            # In /etc/pve both are fixed, and an ordinary account cannot give a file away.
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
    def _telling_failure(self) -> Iterator[None]:
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
    """Holds a file's lock; it ends with the process, however that ends.

    Args:
        path: The file; where it is a symbolic link, the file that it leads to.
        lock: The lock file of those who share the file; None to lock its folder, which needs no
            file that would lie about afterwards.
        tree: The /etc/pve that it is in; None for a copy.
        timeout_s: How long to wait for others.
        shared: Whether others who change nothing either may hold it, too.

    Raises:
        InputError: There is no such file.
        ConflictError: Somebody else keeps the lock.
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
        # Not blocking: the folder of locks is everybody's, and a named pipe would hang the tool.
        return os.open(path, flags | os.O_NONBLOCK, 0o644)
    except OSError as error:
        raise OutputError(f"cannot open the lock {path}: {error.strerror}") from error


def _wait(descriptor: int, path: Path, timeout_s: float, *, shared: bool) -> bool:
    """Returns whether the lock is held now; False where there are none."""
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
                    hint="wait until what is under way has ended",
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
