"""Logs of what the autopilot saw and did: a text file of JSON lines, and what they come to.

The first line says what the file is. There is one for each look at event loops that share disks,
and one for each event, with its words. A vmio that is killed leaves a file that can be read.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct, ValidationError

from vmio import __version__
from vmio.autopilot.values import MOST_POLL_NS, Step
from vmio.bounds import load_json
from vmio.characters import printable
from vmio.errors import InputError, OutputError
from vmio.host.files import open_file
from vmio.host.save import check_writable, naming_failure
from vmio.units import format_bytes
from vmio.values import check_between, explain

__all__ = ["LogHeader", "LogLine", "LogReader", "LogWriter", "create_log", "open_log"]

_FORMAT: Final = "vmio-autopilot-log"
_SCHEMA: Final = 1
_MAX_LINE_BYTES: Final = 1 << 20
_MAX_BYTES: Final = 1 << 30
_MAX_CHARACTERS: Final = 4096
_MAX_NAME: Final = 256
_MAX_IOTHREADS: Final = 1024


class LogHeader(Struct, frozen=True, kw_only=True):
    """The first line of a log."""

    format: str
    schema: int
    vmio: str
    """The version that wrote it."""
    wall_ns: int
    """When it began, since 1970 in UTC."""

    def __post_init__(self) -> None:
        check_between("wall_ns", self.wall_ns, 0, 2**62)


class LogLine(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A look at event loops, or an event."""

    time_s: float
    """Since the log began."""
    guest: str = ""
    iothreads: tuple[str, ...] = ()
    step: Step | None = None
    """Of a look, what was seen and decided."""
    text: str = ""
    """Of an event, its words."""

    def __post_init__(self) -> None:
        check_between("time_s", self.time_s, 0, 1e10)
        check_between("number of iothreads", len(self.iothreads), 0, _MAX_IOTHREADS)
        for each in (self.guest, self.text, *self.iothreads):
            check_between("length of a text", len(each), 0, _MAX_CHARACTERS)
        if self.step is not None:
            _check(self.step)


def _check(step: Step) -> None:
    check_between("length of an address", len(step.address), 0, 256)
    numbers: list[tuple[str, float]] = [
        ("own_ns", step.own_ns),
        ("poll_max_ns", step.decision.poll_max_ns),
    ]
    found = step.interval
    if found is not None:
        numbers.append(("poll_max_ns", found.poll_max_ns))
        figures = (
            *(found.duration_s, found.requests, found.cpu_share, found.cpu_per_request_ns),
            *(found.latency_mean_ns, found.run_delay_share),
            *(found.load.requests_per_s, found.load.depth),
        )
        for value in figures:
            check_between("a figure", value, 0, 1e18)
    for name, number in numbers:
        check_between(name, number, 0, MOST_POLL_NS)


class LogWriter:
    """Appends to a log until that is not possible any more; `create_log` makes it.

    What is steered does not depend on it: a full disk ends the log alone.
    """

    def __init__(self, path: Path, descriptor: int, max_bytes: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self._max_bytes = max_bytes
        self._size_bytes = 0
        self._began_s = time.monotonic()
        self._has_ended = False

    def begin(self) -> None:
        """Writes the first line.

        Raises:
            OutputError: It cannot be written.
        """
        header = LogHeader(
            format=_FORMAT, schema=_SCHEMA, vmio=__version__, wall_ns=time.time_ns()
        )
        with naming_failure(self._path):
            self._put(msgspec.json.encode(header) + b"\n")

    def write(
        self, guest: str, iothreads: tuple[str, ...], *, step: Step | None = None, text: str = ""
    ) -> str:
        """Appends a look or an event.

        Returns:
            Why the log ends before it, once; empty otherwise.
        """
        if self._has_ended:
            return ""
        # A name of a guest or an IOThread need not be valid text.
        line = LogLine(
            time_s=time.monotonic() - self._began_s,
            guest=printable(guest)[:_MAX_CHARACTERS],
            iothreads=tuple(printable(each)[:_MAX_NAME] for each in iothreads[:_MAX_IOTHREADS]),
            step=step,
            text=printable(text)[:_MAX_CHARACTERS],
        )
        data = msgspec.json.encode(line) + b"\n"
        if self._size_bytes + len(data) > self._max_bytes:
            return self._end(f"it has reached {format_bytes(self._max_bytes)}")
        try:
            self._put(data)
        except OSError as error:
            return self._end(error.strerror or str(error))
        return ""

    def _end(self, reason: str) -> str:
        self._has_ended = True
        return f"{self._path} ends here: {reason}; guests are steered further"

    def _put(self, data: bytes) -> None:
        """Writes bytes, all or none."""
        try:
            written = 0
            while written < len(data):
                written += os.write(self._descriptor, data[written:])
        except OSError:
            with suppress(OSError):  # a device has no length
                os.ftruncate(self._descriptor, self._size_bytes)
            raise
        self._size_bytes += len(data)


@contextmanager
def create_log(path: Path, *, max_bytes: int, force: bool = False) -> Iterator[LogWriter]:
    """Creates a log, whose first line is written.

    Args:
        path: The file.
        max_bytes: The most that it may hold.
        force: Whether to replace a file that exists already.

    Raises:
        UsageError: The file exists already.
        OutputError: It cannot be written.
    """
    check_writable(path, force=force)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    with naming_failure(path):
        descriptor = os.open(path, flags | (os.O_TRUNC if force else os.O_EXCL), 0o666)
    try:
        writer = LogWriter(path, descriptor, max_bytes)
        try:
            writer.begin()
        except OutputError:
            with suppress(OSError):
                path.unlink()
            raise
        yield writer
    finally:
        os.close(descriptor)


class LogReader:
    """Yields the lines of a log, once; `open_log` makes it."""

    def __init__(self, path: str, lines: Iterator[bytes]) -> None:
        self._path = path
        self._lines = lines
        self._number = 0
        self.note = ""
        """What is missing at its end, after the last line; empty if it is whole."""
        self.header = self._read_header()

    def __iter__(self) -> Iterator[LogLine]:
        last_s = 0.0
        while (data := self._next_line()) is not None:
            try:
                line = msgspec.convert(load_json(data), LogLine)
                check_between("time_s", line.time_s, last_s)
            except ValidationError as error:
                raise self._refuse(explain(error, "a line of a log")) from error
            except (ValueError, RecursionError) as error:
                raise self._refuse(str(error)) from error
            last_s = line.time_s
            yield line

    def _read_header(self) -> LogHeader:
        try:
            header = msgspec.convert(load_json(self._next_line() or b""), LogHeader)
        except (ValueError, ValidationError, RecursionError) as error:
            raise self._refuse_file() from error
        if header.format != _FORMAT:
            raise self._refuse_file()
        if header.schema != _SCHEMA:
            raise InputError(
                f"{self._path} was written by vmio {header.vmio[:40]}, whose schema is"
                f" {header.schema}; this vmio reads {_SCHEMA}"
            )
        return header

    def _next_line(self) -> bytes | None:
        self._number += 1
        try:
            line = next(self._lines, b"")
        except OSError as error:
            raise InputError(f"cannot read {self._path}: {error.strerror}") from error
        if not line:
            return None
        if not line.endswith(b"\n"):
            if len(line) >= _MAX_LINE_BYTES:
                raise self._refuse("it is too long")
            self.note = f"{self._path} ends in the middle of line {self._number}"
            return None
        return line

    def _refuse(self, reason: str) -> InputError:
        return InputError(f"{self._path}, line {self._number}: {reason}")

    def _refuse_file(self) -> InputError:
        return InputError(
            f"{self._path} is not a log of the autopilot",
            hint="vmio autopilot run --log FILE writes one",
        )


@contextmanager
def open_log(path: str) -> Iterator[LogReader]:
    """Opens a log. Its iterator raises InputError at a line that is none.

    Raises:
        InputError: The file cannot be read, or is not a log, or one of another vmio.
    """
    try:
        stream = os.fdopen(open_file(path), "rb")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(f"cannot read {path}: {reason or error}") from error

    def read_lines() -> Iterator[bytes]:
        left = _MAX_BYTES
        while left > 0 and (line := stream.readline(min(_MAX_LINE_BYTES, left))):
            left -= len(line)
            yield line

    with stream:
        yield LogReader(path, read_lines())
