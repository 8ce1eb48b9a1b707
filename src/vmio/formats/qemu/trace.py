"""QEMU's trace lines, and recordings of an event loop with its inputs.

A trace is what the log backend writes: an event's name and its fields, after a thread and a time
if there are time stamps. A recording also has, in the loop's order, the readings of the clock, the
waits and the reads, so that the loop's decisions can be recomputed.

Source: QEMU 7.2.22, 10.0.2 and 11.1.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import NamedTuple

from msgspec import Struct, field

from vmio.errors import InputError

__all__ = [
    "Block",
    "Clock",
    "Event",
    "Handler",
    "Read",
    "Ready",
    "Record",
    "Wait",
    "parse_event",
    "parse_recording",
    "parse_trace",
]

_MAX_BYTES = 512 * 1024 * 1024
"""Minutes of a busy loop; a small archive must not become all of memory."""
_XZ = b"\xfd7zXZ\0"

_STAMP = re.compile(
    r"(?:(?P<tid>\d{1,10})@(?P<s>\d{1,12})\.(?P<us>\d{6}):"
    r"|(?P<iso>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6})Z )?",
    re.ASCII,
)
_NAME = re.compile(r"[a-z][a-z0-9_]{2,79}", re.ASCII)
_NUMBER = re.compile(r"-?\d{1,19}|0x[0-9a-f]{1,16}", re.ASCII)
_FIELDS = {
    "run_poll_handlers_begin": ("ctx", "max_ns", "timeout"),
    "run_poll_handlers_end": ("ctx", "progress", "timeout"),
    "poll_grow": ("ctx", "old", "new"),
    "poll_shrink": ("ctx", "old", "new"),
    "poll_add": ("ctx", "node", "fd", "revents"),
    "poll_remove": ("ctx", "node", "fd"),
}
"""The fields of the events about polling; `new timeout` is one field."""


class Handler(NamedTuple):
    """A file descriptor that a loop watches."""

    node: str
    """Its address in QEMU, unchanged while it is registered."""
    fd: int


class Event(Struct, frozen=True, kw_only=True):
    """One trace event."""

    name: str
    ctx: str = ""
    """The event loop of the event; empty for an event of no loop."""
    values: dict[str, int] = field(default_factory=dict)
    node: str = ""
    time_ns: int | None = None
    """Since the epoch; None without time stamps."""
    thread_id: int | None = None


class Clock(Struct, frozen=True, kw_only=True):
    """Consecutive readings of the clock.

    Units: ns of the host's monotonic clock.
    """

    count: int
    first_ns: int
    last_ns: int
    before_last_ns: int | None = None
    """The last but one; None if it was not recorded."""


class Wait(Struct, frozen=True, kw_only=True):
    """Entry to `ppoll`: its time limit, and the descriptors that are watched."""

    timeout: int
    fds: tuple[int, ...]


class Ready(Struct, frozen=True, kw_only=True):
    """Return from `ppoll` with what is ready; None for another wait, which does not report it."""

    fds: tuple[int, ...] | None


class Read(Struct, frozen=True, kw_only=True):
    """A read of an eventfd, and its result: 8, or -1 if there was nothing to read."""

    fd: int
    result: int


class Block(Struct, frozen=True, kw_only=True):
    """A wait as the loop itself measured it, with all polled handlers and whether each was hit."""

    ctx: str
    block_ns: int
    handlers: tuple[tuple[Handler, bool], ...]


Record = Event | Clock | Wait | Ready | Read | Block


def parse_event(line: str) -> Event | None:
    """Returns the event of a trace line; None for another line or an unknown event."""
    match = _STAMP.match(line)
    assert match is not None  # noqa: S101 - the pattern matches nothing as well
    name, _, rest = line[match.end() :].partition(" ")
    if not _NAME.fullmatch(name):
        return None
    time_ns = None
    if match["s"]:
        time_ns = int(match["s"]) * 10**9 + int(match["us"]) * 1000
    elif match["iso"]:
        try:
            stamp = datetime.fromisoformat(f"{match['iso']}+00:00")
        except ValueError:
            return None
        time_ns = int(stamp.timestamp()) * 10**9 + stamp.microsecond * 1000
    fields = _read_fields(rest.replace("new timeout", "timeout"))
    if fields is None:
        return None
    values = {
        key: int(text, 16 if text.startswith("0x") else 10)
        for key, text in fields.items()
        if key not in {"ctx", "node"} and _NUMBER.fullmatch(text)
    }
    if any(
        key not in (fields if key in {"ctx", "node"} else values) for key in _FIELDS.get(name, ())
    ):
        return None
    return Event(
        name=name,
        ctx=fields.get("ctx", ""),
        node=fields.get("node", ""),
        values=values,
        time_ns=time_ns,
        thread_id=int(match["tid"]) if match["tid"] else None,
    )


def parse_trace(name: str, lines: Iterable[bytes]) -> Iterator[Event]:
    """Yields the events of a trace line by line, so that it need not fit in memory.

    Args:
        name: The trace's name in messages.
        lines: Its lines with their ends.

    Raises:
        InputError: The last line has no end, or an event about polling is cut off.
    """
    for number, data in enumerate(lines, start=1):
        line = data.decode("utf-8", "replace").strip()
        event = parse_event(line)
        if event is not None and data.endswith(b"\n"):
            yield event
        elif event is not None or _is_known(line):
            raise _cut_off(name, number, line)


def parse_recording(name: str, lines: Iterable[bytes]) -> Iterator[Record]:
    """Yields the content of a recording line by line, so that it need not fit in memory.

    Args:
        name: The recording's name in messages.
        lines: Its lines with their ends.

    Raises:
        InputError: A line is not one of a recording, or is cut off.
    """
    for number, data in enumerate(lines, start=1):
        line = data.decode("utf-8", "replace").strip()
        if not data.endswith(b"\n"):
            # Its last number could lack digits, which nothing else would show.
            raise _cut_off(name, number, line)
        if not line:
            continue
        try:
            record = _parse_record(line)
        except (ValueError, IndexError):
            raise _cut_off(name, number, line) from None
        if record is not None:
            yield record


def _parse_record(line: str) -> Record | None:
    kind, _, rest = line.partition(" ")
    match kind:
        case "C":
            return _parse_clock(tuple(map(_to_int, rest.split())))
        case "P":
            timeout, number, *fds = rest.split()
            if number != f"n={len(fds)}":
                raise ValueError
            return Wait(timeout=_to_int(timeout), fds=tuple(map(_to_int, fds)))
        case "R":
            return _parse_ready(tuple(map(_to_int, rest.split())))
        case "V":
            _to_int(rest)
            return Ready(fds=None)
        case "U":
            # No decision depends on it.
            _to_int(rest)
            return None
        case "E":
            descriptor, result = map(_to_int, rest.split())
            return Read(fd=descriptor, result=result)
        case "probe":
            return _parse_block(rest)
        case _:
            event = parse_event(rest if kind == "T" else line)
            if event is None or not (event.ctx or kind == "T"):
                raise ValueError
            return event


def _parse_clock(numbers: tuple[int, ...]) -> Clock:
    """Reads the number of readings, the first, perhaps the last but one, and the last."""
    if len(numbers) not in {3, 4} or numbers[0] < 1:
        raise ValueError
    count, first, *between, last = numbers
    before_last = between[0] if between and count > 1 else None
    if count == 2:  # noqa: PLR2004 - of two readings the first is the last but one
        before_last = first
    return Clock(count=count, first_ns=first, last_ns=last, before_last_ns=before_last)


def _parse_ready(numbers: tuple[int, ...]) -> Ready:
    """Reads what `ppoll` returned, and the descriptors that are ready."""
    if max(numbers[0], 0) != len(numbers) - 1:
        raise ValueError
    return Ready(fds=numbers[1:])


def _parse_block(text: str) -> Block:
    words = text.split()
    if words[:1] != ["ctx"] or words[2:3] != ["block"] or words[4:5] != ["handlers"]:
        raise ValueError
    handlers = []
    for word in words[5:]:
        node, descriptor, active = word.split(":")
        if active not in {"0", "1"}:
            raise ValueError
        handlers.append((Handler(node, _to_int(descriptor)), active == "1"))
    return Block(ctx=words[1], block_ns=_to_int(words[3]), handlers=tuple(handlers))


def _read_fields(text: str) -> dict[str, str] | None:
    """Returns `key value` pairs; None if a key has no value."""
    words = text.split()
    fields = dict(zip(words[::2], words[1::2], strict=False))
    return None if len(words) % 2 and words[-1] in {"ctx", "node", "timeout", "new"} else fields


def _to_int(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise ValueError
    return int(text)


def _is_known(line: str) -> bool:
    match = _STAMP.match(line)
    assert match is not None  # noqa: S101 - the pattern matches nothing as well
    return line[match.end() :].partition(" ")[0] in _FIELDS


def _cut_off(name: str, number: int, line: str) -> InputError:
    return InputError(
        f"{name}:{number}: a line that is cut off or of another kind: {line[:80]!r}",
        hint="a recording begins and ends with whole lines",
    )
