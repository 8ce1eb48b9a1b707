"""A search's results in a file, a line of JSON each, so that it goes on where it was ended."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from vmio.errors import ConflictError, InputError, OutputError, UsageError
from vmio.host.files import MAX_INPUT_BYTES, read_source
from vmio.host.save import naming_failure
from vmio.tune.objective import Gains
from vmio.values import check_between, check_matches

__all__ = ["Journal", "TrialResult", "open_journal"]

_SCHEMA: Final = 1
_MOST_TRIALS: Final = 100_000
_LONGEST_FAILURE: Final = 1000


class _Head(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The first line: what is searched, so that results of another search are not taken."""

    schema: int
    task: str
    """A digest of everything that decides the trials."""

    def __post_init__(self) -> None:
        check_matches("task", self.task, r"[0-9a-f]{64}")


class TrialResult(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What came of a trial."""

    number: int
    pairs: tuple[tuple[Gains, ...], ...] = ()
    """The gains in each job, for each pair of the trial."""
    failure: str = ""
    """Why it has no gains; empty if it has."""

    def __post_init__(self) -> None:
        check_between("number", self.number, 0, _MOST_TRIALS)
        if len(self.failure) > _LONGEST_FAILURE or bool(self.failure) == bool(self.pairs):
            raise ValueError("a trial has gains or a failure")


class Journal:
    """The results so far, kept in a file if there is one."""

    def __init__(
        self, results: Sequence[TrialResult] = (), file: tuple[Path, int] | None = None
    ) -> None:
        self.results = list(results)
        self._file = file

    def append(self, result: TrialResult) -> None:
        """Adds a result; it is on the disk when this returns.

        Raises:
            OutputError: The file cannot be written, as on a full disk; it ends with a whole line.
        """
        if self._file is not None:
            path, descriptor = self._file
            with naming_failure(path):
                _write_line(descriptor, _encode(result))
        self.results.append(result)


@contextmanager
def open_journal(path: Path | None, task: str) -> Iterator[Journal]:
    """Opens the journal of a search, or begins one; nobody else can write to it meanwhile.

    A line that a crash left unfinished is removed.

    Args:
        path: The file; None keeps the results in memory only.
        task: A digest of what is searched, 64 hexadecimal digits.

    Raises:
        UsageError: It is the journal of another search.
        InputError: It is no journal.
        ConflictError: Another process writes to it.
        OutputError: It cannot be written.
    """
    if path is None:
        yield Journal()
        return
    with naming_failure(path):
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW
        descriptor = os.open(path, flags, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in {errno.EAGAIN, errno.EACCES}:
                raise OutputError(f"cannot lock {path}: {error.strerror}") from error
            raise ConflictError(f"{path} is the journal of a search that is running") from error
        with naming_failure(path):
            results = _read(path, descriptor, task)
        yield Journal(results, (path, descriptor))
    finally:
        os.close(descriptor)


def _read(path: Path, descriptor: int, task: str) -> tuple[TrialResult, ...]:
    """Returns the results of a journal; begins it if it is empty.

    Nothing is changed before it is known to be this search's.
    """
    data = read_source(str(path)).data
    head_line = _encode(_Head(schema=_SCHEMA, task=task))
    if head_line.startswith(data):  # empty, or ended while it was begun
        os.ftruncate(descriptor, 0)
        _write_line(descriptor, head_line)
        return ()
    whole = data[: data.rfind(b"\n") + 1]
    lines = whole.splitlines()
    try:
        head = msgspec.json.decode(lines[0] if lines else b"", type=_Head)
        results = tuple(msgspec.json.decode(line, type=TrialResult) for line in lines[1:])
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise _refuse(path) from error
    if head.schema != _SCHEMA or head.task != task:
        raise UsageError(
            f"{path} is the journal of another search",
            hint="name another --journal, or call vmio with the same options as before",
        )
    if [result.number for result in results] != list(range(len(results))):
        raise _refuse(path)
    if whole != data:
        os.ftruncate(descriptor, len(whole))
    return results


def _refuse(path: Path) -> InputError:
    return InputError(f"{path} is not a journal of vmio tune", hint="name another --journal")


def _encode(value: Struct) -> bytes:
    return msgspec.json.encode(value) + b"\n"


def _write_line(descriptor: int, line: bytes) -> None:
    """Appends a line, or nothing if it cannot be written whole."""
    before = os.fstat(descriptor).st_size
    if before + len(line) > MAX_INPUT_BYTES:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    try:
        is_whole = os.write(descriptor, line) == len(line)
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, before)
        raise
    if not is_whole:
        os.ftruncate(descriptor, before)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
