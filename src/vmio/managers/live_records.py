"""What a running guest's own parameters were, in a file from before the first change on.

A record is for one guest, told by its process's number and start and this boot of the host, so
that it is never taken for another guest's. A lock beside it is held as long as whoever changes the
guest lives: an autopilot that steers it, or a benchmark that measures it, never both. The kernel
drops the lock however that ends. Then the next of either, or `vmio autopilot restore`, puts back
what the record has.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Final, Literal

import msgspec
from msgspec import Struct

from vmio.characters import printable
from vmio.errors import ConflictError, OutputError, ToolError
from vmio.host.private import find_stranger, make_private_folder, read_private_file
from vmio.host.running import ProcessKey, open_process, read_boot_id
from vmio.host.save import write_file
from vmio.managers.journal import find_state_folder
from vmio.values import check_between, check_matches, replace

__all__ = [
    "FoundRecord",
    "GuestRecord",
    "OwnValue",
    "RecordFile",
    "find_records_folder",
    "is_running",
    "list_records",
    "open_record",
]

_MAX_BYTES: Final = 1 << 20
_MAX_VALUES: Final = 4096
_MOST: Final = 2**63 - 1
_MAX_RECORDS: Final = 1 << 12
_TRIES: Final = 4
_PAUSE_S: Final = 0.01
_NAME: Final = re.compile(r"([0-9a-f-]{0,64})\.([0-9]{1,10})\.([0-9]{1,20})\.json", re.ASCII)
_IOTHREAD: Final = r"[A-Za-z][A-Za-z0-9._-]{0,255}"
_PARAMETER: Final = r"[a-z][a-z-]{0,63}"
_WHY: Final = r"[a-z ]{0,40}"


class OwnValue(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A parameter of an IOThread that is changed for a while."""

    iothread: str
    parameter: str = "poll-max-ns"
    own: int
    """Its value before the first change."""
    ours: tuple[int, ...] = ()
    """What may be in force now by a change of ours, the latest last: a change is recorded before
    it is made. Anything else was set by somebody else."""
    why: str = ""
    """The latest change: the kind of an autopilot's decision; empty for a benchmark's."""
    wall_ns: int = 0
    """When, since 1970 in UTC; 0 without a change."""

    def __post_init__(self) -> None:
        check_matches("iothread", self.iothread, _IOTHREAD)
        check_matches("parameter", self.parameter, _PARAMETER)
        check_matches("why", self.why, _WHY)
        for each in (self.own, *self.ours, self.wall_ns):
            check_between("value", each, 0, _MOST)


class GuestRecord(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A guest whose parameters are changed, or were until whoever did that was killed."""

    label: str
    """What people call the guest."""
    by: Literal["autopilot", "bench"] = "autopilot"
    """Who changes them."""
    values: tuple[OwnValue, ...] = ()

    def __post_init__(self) -> None:
        check_between("number of values", len(self.values), 0, _MAX_VALUES)


class FoundRecord(Struct, frozen=True, kw_only=True):
    """A record, and whether somebody is at work on its guest."""

    key: ProcessKey
    record: GuestRecord
    is_active: bool


class RecordFile:
    """The record of one guest, whose lock is held; `open_record` makes it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> GuestRecord | None:
        """Returns what a killed vmio left; None without a record.

        Raises:
            OutputError: There is one that cannot be read, so that nothing may be changed.
        """
        try:
            return _read(self._path)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError, RecursionError) as error:
            raise OutputError(
                f"cannot read {self._path}, which has what a guest's parameters were: {error}",
                hint="set the guest's parameters by hand, and remove the file",
            ) from error

    def write(self, record: GuestRecord) -> None:
        """Writes the record, whole and synced.

        Raises:
            OutputError: It cannot be written.
        """
        # A name of bytes that are not UTF-8 cannot be encoded.
        known = replace(record, label=printable(record.label))
        write_file(self._path, msgspec.json.encode(known), force=True)

    def remove(self) -> None:
        """Removes the record: nothing is left to be restored."""
        with suppress(OSError):
            self._path.unlink()


def find_records_folder() -> Path:
    """Returns the folder of this user's records, whether or not it exists.

    Raises:
        OutputError: This account has no home folder.
    """
    return find_state_folder() / "autopilot"


@contextmanager
def open_record(key: ProcessKey, *, folder: Path) -> Iterator[RecordFile]:
    """Holds the lock of a guest's record.

    Args:
        key: The guest.
        folder: Where records are.

    Raises:
        ConflictError: Another autopilot or benchmark is at work on the guest.
        OutputError: The folder cannot be written, or others can write to it.
    """
    make_private_folder(folder)
    path = folder / f"{read_boot_id()}.{key[0]}.{key[1]}.json"
    lock = path.with_suffix(".lock")
    try:
        descriptor = _lock(lock)
    except BlockingIOError as error:
        raise ConflictError(
            f"another autopilot or benchmark is at work on pid:{key[0]}",
            hint="vmio autopilot status",
        ) from error
    except OSError as error:
        raise OutputError(f"cannot write {lock}: {error.strerror}") from error
    try:
        yield RecordFile(path)
    finally:
        # Removed while it is held: who opens it next makes a new one.
        with suppress(OSError):
            lock.unlink()
        os.close(descriptor)


def list_records(folder: Path) -> tuple[FoundRecord, ...]:
    """Returns the records of guests that still run; those of others are removed.

    A record that cannot be read is left out.

    Args:
        folder: Where records are.

    Raises:
        OutputError: Others can write to the folder.
    """
    stranger = find_stranger(folder)
    if stranger:
        raise OutputError(stranger)
    found: list[FoundRecord] = []
    boot = read_boot_id()
    names: list[str] = []
    with suppress(FileNotFoundError):
        names = sorted(each.name for each in islice(folder.iterdir(), _MAX_RECORDS))
    for name in names:
        match = _NAME.fullmatch(name)
        if match is None:
            continue
        key = (int(match[2]), int(match[3]))
        path = folder / name
        is_active = _is_locked(path.with_suffix(".lock"))
        if match[1] != boot or not is_running(key):
            if not is_active:
                path.unlink(missing_ok=True)
            continue
        with suppress(OSError, msgspec.MsgspecError, RecursionError):
            found.append(FoundRecord(key=key, record=_read(path), is_active=is_active))
    return tuple(found)


def _read(path: Path) -> GuestRecord:
    return msgspec.json.decode(read_private_file(path, _MAX_BYTES), type=GuestRecord)


def _lock(path: Path) -> int:
    """Returns the descriptor of a lock file that is held and still has its name.

    Raises:
        BlockingIOError: Another process holds it for longer than `_is_locked` does.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    for left in reversed(range(_TRIES)):
        descriptor = os.open(path, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with suppress(FileNotFoundError):
                if path.stat().st_ino == os.fstat(descriptor).st_ino:
                    return descriptor
            os.close(descriptor)
        except OSError as error:
            os.close(descriptor)
            if not isinstance(error, BlockingIOError) or not left:
                raise
            time.sleep(_PAUSE_S)
    raise BlockingIOError(errno.EWOULDBLOCK, os.strerror(errno.EWOULDBLOCK), str(path))


def _is_locked(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def is_running(key: ProcessKey) -> bool:
    """Returns whether a guest has not ended."""
    try:
        with open_process(*key):
            return True
    except ToolError:
        return False
