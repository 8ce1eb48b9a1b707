"""Recordings of looks at running guests: a text file of JSON lines, which gives the looks again.

The first line says what the file is. Each further line is a look at all guests, written as a JSON
Merge Patch (RFC 7396) to the look before it, so that only what changed is there: a member that is
null has gone. A list of objects, and the counts of a histogram, are objects with the positions as
names, since a merge patch replaces a list as a whole; the observations are named by the number and
the start of the guest's process. What has its default value is not written.

A recording can be given to somebody else: the words of command lines, which can hold passwords,
are not in it, nor are names of images that can. What that leaves is in `conceal`.

Source: RFC 7396; docs/guide/record.md describes the file for people.
"""

from __future__ import annotations

import gzip
import io
import math
import os
import re
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, Final, cast, get_type_hints

import msgspec
from msgspec import Struct, ValidationError

from vmio import __version__
from vmio.bounds import MAX_PROCESSORS, MAX_QUEUES_IN_ALL, MAX_VCPUS, load_json
from vmio.errors import InputError, OutputError
from vmio.host.files import open_file
from vmio.host.save import check_writable, naming_failure
from vmio.managers.discovery import RunningGuest
from vmio.model.disk import Backing, Disk
from vmio.model.topology import AttachedDisk, Topology, count_queues
from vmio.observe.readings import Look, Observation
from vmio.observe.sample import Histogram, Operations, Sample
from vmio.values import check_between, explain, replace

__all__ = [
    "SCHEMA",
    "Header",
    "Recording",
    "RecordingWriter",
    "conceal",
    "create_recording",
    "open_recording",
    "read_recording",
]

SCHEMA: Final = 1
"""Of the lines. A later one may have fields that this vmio does not know."""

_FORMAT: Final = "vmio-recording"
_GZIP: Final = b"\x1f\x8b"
_GZIP_END_BYTES: Final = 64
"""At most, of what ends a compressed file."""
_MAX_LINE_BYTES: Final = 32 << 20
"""The first look of two thousand guests with thirty disks each."""
_MAX_STATE_BYTES: Final = 64 << 20
"""Of a look, written as a whole: many lines can make it grow."""
_MAX_BYTES: Final = 16 << 30
"""Of all lines: a small archive can hold that much of the same byte."""
_PLAIN_NAME: Final = re.compile(r"/[^\0]*|(?:[\w.+-]+:)?(?!//)[\w.+/-]+")
"""An image's path, or a name in a storage: neither has room for a password."""
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]{0,31}:", re.ASCII)
_PLAIN: Final = frozenset({bool, int, str})
"""What is no list, and always finite."""
_UNREADABLE: Final = "its command line cannot be read"


class Header(Struct, frozen=True, kw_only=True):
    """The first line of a recording."""

    format: str
    schema: int
    vmio: str
    """The version that wrote it."""
    interval_s: float
    """Between two looks, as was asked for."""

    def __post_init__(self) -> None:
        check_between("interval_s", self.interval_s, 0, 1e6)


class RecordingWriter:
    """Appends looks to a file, each in a whole line; `create_recording` makes it."""

    def __init__(self, path: Path, descriptor: int, *, interval_s: float, max_bytes: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self._max_bytes = max_bytes
        self._packer = (
            zlib.compressobj(wbits=zlib.MAX_WBITS | 16) if path.suffix == ".gz" else None
        )
        self._last: Look | None = None
        self._concealed: dict[str, tuple[Observation, Observation]] = {}
        self.size_bytes = 0
        """What was written so far."""
        self.look_count = 0
        header = Header(
            format=_FORMAT, schema=SCHEMA, vmio=__version__, interval_s=float(interval_s)
        )
        self._append(msgspec.json.encode(header))

    def write(self, look: Look) -> bool:
        """Appends a look; returns False, and appends nothing, if the file would be too large.

        Raises:
            OutputError: It cannot be written; the lines before are still there.
        """
        look = self._conceal(look)
        if not self._append(_encode(_find_changes(self._last, look))):
            return False
        self._last = look
        self.look_count += 1
        return True

    def finish(self) -> None:
        """Ends the file.

        Raises:
            OutputError: It cannot be written.
        """
        with naming_failure(self._path):
            if self._packer is not None:
                self._put(self._packer.flush(zlib.Z_FINISH))
            os.fsync(self._descriptor)

    def _append(self, line: bytes) -> bool:
        data = line + b"\n"
        packer = self._packer
        if packer is not None:
            packer = packer.copy()
            # So that a crash leaves all lines readable.
            data = packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH)
        reserve = _GZIP_END_BYTES if packer is not None else 0
        if self.size_bytes + len(data) + reserve > self._max_bytes:
            return False
        with naming_failure(self._path):
            self._put(data)
        self._packer = packer
        return True

    def _put(self, data: bytes) -> None:
        """Writes bytes, all or none."""
        try:
            written = 0
            while written < len(data):
                written += os.write(self._descriptor, data[written:])
        except OSError:
            os.ftruncate(self._descriptor, self.size_bytes)
            raise
        self.size_bytes += len(data)

    def _conceal(self, look: Look) -> Look:
        """Returns a look without secrets; what is as it was is the same object again."""
        concealed: dict[str, tuple[Observation, Observation]] = {}
        for each in look.observations:
            key = _make_key(each.guest)
            concealed[key] = each, conceal(each, *self._concealed.get(key, (None, None)))
        self._concealed = concealed
        return replace(look, observations=tuple(own for _, own in concealed.values()))


@contextmanager
def create_recording(
    path: Path, *, interval_s: float, max_bytes: int, force: bool = False
) -> Iterator[RecordingWriter]:
    """Creates a recording, compressed if its name ends in `.gz`, and ends it after the body.

    Each look is in the file as soon as it is written. A vmio that is killed leaves a file that can
    be read.

    Args:
        path: The file.
        interval_s: Between two looks.
        max_bytes: The most that the file may hold.
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
        writer = RecordingWriter(path, descriptor, interval_s=interval_s, max_bytes=max_bytes)
        try:
            yield writer
        except OutputError:  # there is no room for an end either
            raise
        except BaseException:
            writer.finish()
            raise
        writer.finish()
    finally:
        os.close(descriptor)


class Recording:
    """Yields the looks of a recording, once; `open_recording` makes it."""

    def __init__(self, name: str, stream: IO[bytes], descriptor: int | None = None) -> None:
        self._name = name
        self._descriptor = descriptor
        """Of the file; None for a stream."""
        self._lines = _read_lines(stream)
        self._number = 0
        self.note = ""
        """What is missing at its end, in one line, after the last look; empty if it is whole."""
        self.header = self._read_header()

    def find_share(self) -> float | None:
        """Returns how much of the file was read, 0 to 1; None of what has no size."""
        if self._descriptor is None:
            return None
        size_bytes = os.fstat(self._descriptor).st_size
        if not size_bytes:
            return None
        return min(1.0, os.lseek(self._descriptor, 0, os.SEEK_CUR) / size_bytes)

    def __iter__(self) -> Iterator[Look]:
        state: dict[str, Any] = {}
        reader = _LookReader()
        grown_bytes = 0
        last_ns: int | None = None
        while (line := self._next_line()) is not None:
            try:
                patch = load_json(line)
                if not isinstance(patch, dict):
                    raise ValueError("it is not a look")  # noqa: TRY004, TRY301 - as all others
                _merge(state, patch)
                grown_bytes += len(line)
                if grown_bytes > _MAX_STATE_BYTES:
                    grown_bytes = len(msgspec.json.encode(state))
                    check_between("the size of a look", grown_bytes, 0, _MAX_STATE_BYTES // 2)
                look = reader.read(state, patch)
                check_between("monotonic_ns", look.monotonic_ns, (last_ns or 0))
            except ValidationError as error:
                raise self._refuse(explain(error, "a look")) from error
            except (ValueError, RecursionError) as error:
                raise self._refuse(str(error)) from error
            last_ns = look.monotonic_ns
            yield look

    def _read_header(self) -> Header:
        hint = "vmio record writes recordings"
        try:
            header: Header = _convert_value(load_json(self._next_line() or b""), Header)
        except (ValueError, ValidationError) as error:
            raise InputError(f"{self._name} is not a recording of guests", hint=hint) from error
        if header.format != _FORMAT:
            raise InputError(f"{self._name} is not a recording of guests", hint=hint)
        if header.schema != SCHEMA:
            raise InputError(
                f"{self._name} was recorded by vmio {header.vmio}, whose schema is"
                f" {header.schema}; this vmio reads {SCHEMA}"
            )
        return header

    def _next_line(self) -> bytes | None:
        """Returns the next whole line; None at the end."""
        self._number += 1
        try:
            line = next(self._lines, b"")
        except EOFError:
            self.note = f"{self._name} ends in the middle of an archive: it was not ended"
            return None
        except (zlib.error, gzip.BadGzipFile, OSError) as error:
            reason = (error.strerror if isinstance(error, OSError) else "") or str(error)
            raise InputError(f"cannot read {self._name}: {reason}") from error
        except ValueError as error:
            raise self._refuse(str(error)) from error
        if not line:
            return None
        if not line.endswith(b"\n"):
            self.note = (
                f"{self._name} ends in the middle of line {self._number}, which was left out"
            )
            return None
        return line

    def _refuse(self, reason: str) -> InputError:
        return InputError(f"{self._name}, line {self._number}: {reason}")


@contextmanager
def open_recording(path: str) -> Iterator[Recording]:
    """Opens a recording, compressed or not; `-` for standard input.

    Its iterator raises InputError at a line that is no look, or has one that could not have been.

    Raises:
        InputError: The file cannot be read, or is not a recording, or one of a later vmio.
    """
    with ExitStack() as stack:
        try:
            descriptor: int | None = None
            if path == "-":
                stream: IO[bytes] = sys.stdin.buffer
            else:
                stream = stack.enter_context(os.fdopen(open_file(path), "rb"))
                descriptor = stream.fileno()
            head = stream.peek(len(_GZIP)) if isinstance(stream, io.BufferedReader) else b""
            if head.startswith(_GZIP):
                stream = cast("IO[bytes]", stack.enter_context(gzip.GzipFile(fileobj=stream)))
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise InputError(f"cannot read {path}: {reason or error}") from error
        yield Recording("standard input" if path == "-" else path, stream, descriptor)


def read_recording(path: str) -> Iterator[Look]:
    """Yields the looks of a recording, from which `HostTracker` makes the readings of then.

    Args:
        path: The recording; `-` for standard input.

    Raises:
        InputError: The file cannot be read, or is not a recording; or a line is no look.
    """
    with open_recording(path) as recording:
        yield from recording


def conceal(
    observation: Observation,
    before: Observation | None = None,
    concealed: Observation | None = None,
) -> Observation:
    """Returns an observation without what a command line can hold of secrets.

    What remains of its guest is its process without its words, who manages it, its names and
    monitors, and the layout. Of an image that is not a path or a plain name of a volume, there
    remains the scheme, as `https:`; of its block driver's options nothing.

    Args:
        observation: The guest's.
        before: The one before it, None for the first.
        concealed: What this function made of that.
    """
    guest = observation.guest
    layout, configured = guest.layout, observation.configured
    if before is not None and concealed is not None:
        old_layout = before.guest.layout
        layout = concealed.guest.layout if layout is old_layout else _conceal_layout(layout)
        is_same = configured is before.configured
        configured = concealed.configured if is_same else _conceal_layout(configured)
    else:
        layout, configured = _conceal_layout(layout), _conceal_layout(configured)
    return replace(
        observation,
        guest=replace(
            guest,
            process=replace(guest.process, command=b""),
            layout=layout,
            problem=_UNREADABLE if guest.problem else "",
        ),
        configured=configured,
    )


def _conceal_layout(layout: Topology | None) -> Topology | None:
    if layout is None:
        return None
    return replace(layout, disks=tuple(map(_conceal_attached, layout.disks)))


def _conceal_attached(attached: AttachedDisk) -> AttachedDisk:
    disk: Disk = attached.disk
    backing: Backing | None = disk.backing
    if backing is not None:
        backing = replace(
            backing,
            filename=_conceal_name(backing.filename),
            options=(),
            parents=tuple(map(_conceal_name, backing.parents)),
            error="",
        )
    return replace(
        attached, disk=replace(disk, volume=_conceal_name(disk.volume), backing=backing)
    )


def _conceal_name(name: str) -> str:
    if not name or _PLAIN_NAME.fullmatch(name):
        return name
    scheme = _SCHEME.match(name)
    return scheme[0] if scheme is not None else ""


def _make_key(guest: RunningGuest) -> str:
    return "{}-{}".format(*guest.key)


# What is written


@lru_cache(maxsize=256)
def _list_fields(kind: type[Struct]) -> tuple[tuple[str, object], ...]:
    """Returns the fields of a class that are written, each with its default."""
    return tuple(
        (
            each.name,
            each.default if each.default_factory is msgspec.NODEFAULT else each.default_factory(),
        )
        for each in msgspec.structs.fields(kind)
        if each.name != "where"  # of a text that no recording has
    )


def _find_changes(before: Struct | None, after: Struct) -> dict[str, object]:
    """Returns the merge patch that turns a value into another of its class; None for no value."""
    patch: dict[str, object] = {}
    for name, default in _list_fields(type(after)):
        new = getattr(after, name)
        old = default if before is None else getattr(before, name)
        if new is old or new == old:
            continue
        patch[name] = None if new == default else _describe_change(name, old, new)
    return patch


def _describe_change(name: str, old: object, new: object) -> object:
    if isinstance(new, Struct):
        return _find_changes(old if isinstance(old, Struct) else None, new)
    if not isinstance(new, tuple) or not new:
        return new
    if isinstance(new[0], Observation):
        return _compare(_name_observations(old), _name_observations(new))
    if isinstance(new[0], Struct) or name == "counts":
        return _compare(_number(old), _number(new))
    return new


def _compare(old: Mapping[str, object], new: Mapping[str, object]) -> dict[str, object]:
    patch: dict[str, object] = {}
    for key, value in new.items():
        before = old.get(key)
        if value is before or value == before:
            continue
        if isinstance(value, Struct):
            patch[key] = _find_changes(before if isinstance(before, Struct) else None, value)
        else:
            patch[key] = value
    return patch | dict.fromkeys(old.keys() - new.keys())


def _number(values: object) -> dict[str, object]:
    return {str(at): each for at, each in enumerate(values if isinstance(values, tuple) else ())}


def _name_observations(values: object) -> dict[str, object]:
    found = values if isinstance(values, tuple) else ()
    return {_make_key(each.guest): each for each in found}


def _encode(patch: Mapping[str, object]) -> bytes:
    try:
        return msgspec.json.encode(patch)
    except UnicodeEncodeError:  # a byte that is not UTF-8, in a name
        return msgspec.json.encode(_replace_surrogates(patch))


def _replace_surrogates(value: Any) -> Any:  # noqa: ANN401 - whatever JSON has
    match value:
        case str():
            return value.encode("utf-8", "replace").decode()
        case dict():
            return {key: _replace_surrogates(each) for key, each in value.items()}
        case tuple() | list():
            return [_replace_surrogates(each) for each in value]
        case _:
            return value


# What is read


def _read_lines(stream: IO[bytes]) -> Iterator[bytes]:
    """Yields lines with their ends.

    Raises:
        ValueError: A line is too long, or all of them are.
        EOFError: An archive ends too early.
    """
    size_bytes = 0
    while line := stream.readline(_MAX_LINE_BYTES + 1):
        size_bytes += len(line)
        check_between("the size of the line", len(line), 0, _MAX_LINE_BYTES)
        check_between("the size of all lines", size_bytes, 0, _MAX_BYTES)
        yield line


def _merge(state: dict[str, Any], patch: Mapping[str, Any]) -> None:
    """Applies a merge patch. `vmio.bounds` has limited how deeply it is nested."""
    for name, change in patch.items():
        if change is None:
            state.pop(name, None)
        elif isinstance(change, dict):
            target = state.get(name)
            if not isinstance(target, dict):
                target = state[name] = {}
            _merge(target, change)
        else:
            state[name] = change


class _LookReader:
    """Makes looks of what the lines come to; what did not change is not made again."""

    def __init__(self) -> None:
        self._fields: dict[str, dict[str, Any]] = {}
        """The fields of each guest's observation, by the name of the observation."""

    def read(self, state: Mapping[str, Any], patch: Mapping[str, Any]) -> Look:
        """Returns the look of a state, which a patch led to.

        Raises:
            ValueError: It is none, or could not have been.
        """
        changes = patch.get("observations") or {}
        found = state.get("observations") or {}
        if not isinstance(changes, dict) or not isinstance(found, dict):
            raise ValueError("'observations' are not named")  # noqa: TRY004 - as all others
        for key in changes.keys() | self._fields.keys():
            if key not in found:
                self._fields.pop(key, None)
            elif key in changes:
                self._update(key, found[key], changes[key])
        observations = [_make_observation(key, each) for key, each in self._fields.items()]
        observations.sort(key=lambda each: each.guest.key)
        look: Look = _convert_value({**state, "observations": []}, Look)
        check_between("wall_ns", look.wall_ns, 0)
        check_between("duration_s", look.duration_s, 0)
        check_between("host_processors", look.host_processors, 0, MAX_PROCESSORS)
        return replace(look, observations=tuple(observations))

    def _update(self, key: str, state: object, change: object) -> None:
        if not isinstance(state, dict) or not isinstance(change, dict):
            raise ValueError(f"'{key[:80]}' is not an observation")  # noqa: TRY004 - as all others
        types = _find_types()
        fields = self._fields.setdefault(key, {})
        for name in change:
            if name not in types:
                raise ValueError(f"an observation has no key '{name[:80]}'")
            if name in state:
                fields[name] = value = _convert_value(state[name], types[name])
                _check(value)
            else:
                fields.pop(name, None)


@lru_cache(maxsize=1)
def _find_types() -> Mapping[str, Any]:
    return get_type_hints(Observation)


def _make_observation(key: str, fields: Mapping[str, Any]) -> Observation:
    guest = fields.get("guest")
    if guest is None or _make_key(guest) != key:
        raise ValueError(f"'{key[:80]}' is not the name of its guest")
    observation = Observation(**fields)
    check_between("duration_s", observation.duration_s, 0)
    return observation


def _convert_value(tree: object, kind: Any) -> Any:  # noqa: ANN401 - a type, and a value of it
    return msgspec.convert(_restore_lists(tree), kind)


def _restore_lists(tree: object) -> object:
    """Returns a tree in which objects that are named by positions are lists again.

    Raises:
        ValueError: A position is missing, or a number is not finite.
    """
    if isinstance(tree, float) and not math.isfinite(tree):
        raise ValueError("a number in it is not finite")
    if isinstance(tree, dict):
        if not tree or not all(map(str.isdecimal, tree)):
            return {
                name: each if type(each) in _PLAIN else _restore_lists(each)
                for name, each in tree.items()
            }
        try:
            tree = [tree[str(at)] for at in range(len(tree))]
        except KeyError as error:
            raise ValueError("a position is missing in a list") from error
    if isinstance(tree, list):
        return [each if type(each) in _PLAIN else _restore_lists(each) for each in tree]
    return tree


def _check(value: object) -> None:
    """Refuses a value that no guest has, and that the code after it could not work with.

    Raises:
        ValueError: It is one.
    """
    match value:
        case RunningGuest():
            check_between("uptime_s", value.uptime_s, 0)
            _check(value.layout)
        case Topology():
            check_between("vcpus", value.vcpus, 0, MAX_VCPUS)
            queues = count_queues(value.controllers, value.default_queues or value.vcpus)
            check_between("the number of all queues", queues, 0, MAX_QUEUES_IN_ALL)
        case Sample():
            _check_histograms(value)
        case _:
            pass


def _check_histograms(sample: Sample) -> None:
    for disk in sample.disks:
        kinds: Sequence[Operations] = (disk.reads, disk.writes, disk.flushes, disk.unmaps)
        for histogram in (*(each.histogram for each in kinds), disk.zone_appends):
            if histogram is not None:
                _check_histogram(histogram)


def _check_histogram(histogram: Histogram) -> None:
    bounds = histogram.boundaries_ns
    check_between("a boundary", min(bounds, default=0), 0)
    if len(histogram.counts) != len(bounds) + 1 or list(bounds) != sorted(set(bounds)):
        raise ValueError("a histogram does not fit its boundaries")
    check_between("a count", min(histogram.counts), 0)
