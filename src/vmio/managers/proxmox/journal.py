"""What vmio wrote over: the last states of each config, and what was done to it.

A state is two files, `00012.conf` with the very bytes and `00012.json` about them, so that a
person can put a config back without vmio too. Both are on the disk before the config is touched.
"""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from msgspec import Struct, ValidationError, convert, to_builtins

from vmio.bounds import check_document
from vmio.errors import InputError, OutputError
from vmio.host.private import find_stranger, make_private_folder, read_private_file
from vmio.host.save import write_file
from vmio.model.source import Source
from vmio.values import check_matches, replace

__all__ = ["Entry", "Journal", "find_state_folder", "list_journals", "make_run"]

KEPT = 20
"""So many states of a config are kept; a config is a few KiB."""

_MAX_BYTES = 16 << 20
_MAX_ENTRY_BYTES = 64 << 10
_NAME = re.compile(r"([0-9]{5,})\.(?:conf|json)", re.ASCII)
_DIGEST = r"[0-9a-f]{40}"
_LEVELS = 3
"""So many folders above a config's states are vmio's own, or XDG_STATE_HOME itself."""


def make_run() -> str:
    """Returns what names the changes that one undo takes back together."""
    return os.urandom(6).hex()


def find_state_folder() -> Path:
    """Returns vmio's folder under XDG_STATE_HOME, or root's, whether it exists or not.

    Raises:
        OutputError: This account has no place of its own.
    """
    home = os.environ.get("XDG_STATE_HOME", "")
    # The XDG specification has a relative path ignored.
    if home.startswith("/"):
        return Path(home) / "vmio"
    if os.geteuid() == 0:
        return Path("/var/lib/vmio")
    try:
        return Path("~/.local/state/vmio").expanduser()
    except RuntimeError as error:
        raise OutputError(
            "this account has no home to keep backups in", hint="XDG_STATE_HOME names a place"
        ) from error


class Entry(Struct, frozen=True, kw_only=True):
    """One change that vmio made, or was about to make, to a config."""

    number: int = 0
    path: str
    what: str
    time: str
    """In UTC, ISO 8601."""
    before: str
    """The digest of the state that is kept."""
    after: str
    """That of what was written instead."""
    undoes: int | None = None
    """The number of the change that this one took back."""
    run: str = ""
    """What the changes have in common that one call made; empty in those of older vmios."""

    def __post_init__(self) -> None:
        check_matches("time", self.time, r"[0-9T:.+-]{10,40}")
        check_matches("before", self.before, _DIGEST)
        check_matches("after", self.after, _DIGEST)
        check_matches("run", self.run, r"[0-9a-f]{0,32}")


class Journal:
    """The kept states of one config."""

    def __init__(self, state: Path, path: Path) -> None:
        """Names the folder; nothing is read or made yet.

        Args:
            state: vmio's own folder.
            path: The config, without symbolic links.
        """
        key = sha256(os.fsencode(path)).hexdigest()[:12]
        self.folder = state / "backups" / f"{path.name[:60]}-{key}"
        self.path = path

    def entries(self) -> tuple[Entry, ...]:
        """Returns what is known about each kept state, the oldest first."""
        return tuple(_read_entries(self.folder))

    def locate(self, entry: Entry) -> Path:
        """Returns the file that holds a state's bytes."""
        return self.folder / f"{entry.number:05}.conf"

    def read(self, entry: Entry) -> bytes:
        """Returns the bytes of a kept state.

        Raises:
            InputError: They cannot be read, or are not what was kept.
        """
        path = self.locate(entry)
        try:
            data = read_private_file(path, _MAX_BYTES)
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror}") from error
        if _digest(data) != entry.before:
            raise InputError(f"{path} is damaged: it is not what was kept")
        return data

    def record(
        self, old: bytes, new: bytes, *, what: str, run: str = "", undoes: int | None = None
    ) -> Entry:
        """Keeps a state that is about to be written over.

        Args:
            old: The state.
            new: What is written instead.
            what: What the change is, in a few words.
            run: What names the changes that one undo takes back together; empty for this alone.
            undoes: The number of the change that this one takes back.

        Raises:
            OutputError: It cannot be kept.
        """
        entry = Entry(
            path=str(self.path),
            what=what,
            time=datetime.now(UTC).isoformat(timespec="milliseconds"),
            before=_digest(old),
            after=_digest(new),
            undoes=undoes,
            run=run or make_run(),
        )
        with self._telling_failure():
            make_private_folder(self.folder, above=_LEVELS)
            numbers = map(_number, _list_names(self.folder))
            entry = replace(entry, number=max(numbers, default=0) + 1)
            about = json.dumps(to_builtins(entry) | {"schema": 1}, indent=2) + "\n"
            try:
                write_file(self.locate(entry), old, force=True)
                write_file(self.locate(entry).with_suffix(".json"), about.encode(), force=True)
                _flush_folders(self.folder, 3)
            except (OSError, OutputError):
                self.forget(entry)
                raise
        self._prune()
        return entry

    def check_recordable(self) -> None:
        """Refuses what `record` would refuse now, as far as can be told without writing.

        Raises:
            OutputError: No state can be kept.
        """
        with self._telling_failure():
            if stranger := find_stranger(self.folder, above=_LEVELS):
                raise OutputError(stranger)
            there = next(place for place in (self.folder, *self.folder.parents) if place.exists())
            if not os.access(there, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    @contextmanager
    def _telling_failure(self) -> Iterator[None]:
        try:
            yield
        except (OSError, OutputError) as error:
            reason = error.strerror if isinstance(error, OSError) else error.message
            raise OutputError(
                f"cannot keep a backup in {self.folder}: {reason}",
                hint="nothing was changed; XDG_STATE_HOME names another place for backups",
            ) from error

    def forget(self, entry: Entry) -> None:
        """Drops a state whose config was not written over after all."""
        for suffix in (".json", ".conf"):
            with suppress(OSError):
                self.locate(entry).with_suffix(suffix).unlink()

    def _prune(self) -> None:
        """Removes old states, and what a run that was killed has left."""
        with suppress(OSError):
            names = _list_names(self.folder)
            # Counted, not reckoned with: a stray one may have any number.
            oldest = sorted({0, *map(_number, names)})[-KEPT:][0]
            for name in names:
                if name.startswith(".") or 0 < _number(name) < oldest:
                    # One that cannot be removed keeps no other one.
                    with suppress(OSError):
                        (self.folder / name).unlink()


def list_journals(state: Path) -> tuple[Journal, ...]:
    """Returns the journals of all configs that vmio has changed, in the order of their names.

    Raises:
        InputError: Somebody else can write where they are, and so could have made them up.
    """
    journals = []
    folder = state / "backups"
    # As one above the journals: older vmios have let a group write in it, not in those.
    if stranger := find_stranger(folder / "any", above=_LEVELS):
        raise InputError(stranger, hint="what is kept there is not trusted")
    with suppress(OSError):
        for name in sorted(_list_names(folder)):
            entries = list(_read_entries(folder / name))
            journal = Journal(state, Path(entries[-1].path)) if entries else None
            if journal is not None and journal.folder.name == name:
                journals.append(journal)
    return tuple(journals)


def _list_names(folder: Path) -> list[str]:
    with os.scandir(folder) as found:
        return [entry.name for entry in found]


def _digest(data: bytes) -> str:
    return Source(name="", data=data).digest


def _number(name: str) -> int:
    """Returns a kept file's number; 0 for a stray one."""
    match = _NAME.fullmatch(name)
    return int(match[1]) if match is not None else 0


def _read_entries(folder: Path) -> Iterator[Entry]:
    """Yields what can be read; what cannot is no backup, but hides no other one."""
    try:
        names = [] if find_stranger(folder) else sorted(_list_names(folder), key=_number)
    except OSError:
        return
    for name in names:
        if _number(name) and name.endswith(".json"):
            with suppress(OSError, ValueError, RecursionError, ValidationError):
                table = json.loads(read_private_file(folder / name, _MAX_ENTRY_BYTES))
                if not isinstance(table, dict):
                    continue
                check_document(table, paths=True)
                entry = convert(table, Entry)
                what = "".join(sign if sign.isprintable() else "?" for sign in entry.what)
                yield replace(entry, number=_number(name), what=what)


def _flush_folders(folder: Path, count: int) -> None:
    """Puts the names in a folder, and in those above it, on the disk."""
    for place in (folder, *folder.parents[: count - 1]):
        descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with suppress(OSError):
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
