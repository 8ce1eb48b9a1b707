"""Backups of configs that vmio has changed: their last states, and what was changed.

A state is two files, `00012.conf` with the original bytes and `00012.json` with its description,
so that a person can also restore a config without vmio. Both are synced before the config is
changed.
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

__all__ = [
    "Entry",
    "Journal",
    "WrittenConfig",
    "find_state_folder",
    "list_journals",
    "make_run",
]

KEPT = 20
"""The number of states kept for a config; a config is a few KiB."""

_MAX_BYTES = 16 << 20
_MAX_ENTRY_BYTES = 64 << 10
_NAME = re.compile(r"([0-9]{5,})\.(?:conf|json)", re.ASCII)
_DIGEST = r"[0-9a-f]{40}"
_LEVELS = 3
"""The number of folders above a config's states that belong to vmio, or are XDG_STATE_HOME."""


def make_run() -> str:
    """Returns the id of the changes that one undo reverts together."""
    return os.urandom(6).hex()


def find_state_folder() -> Path:
    """Returns vmio's folder under XDG_STATE_HOME, or root's, whether or not it exists.

    Raises:
        OutputError: This account has no home folder.
    """
    home = os.environ.get("XDG_STATE_HOME", "")
    # The XDG specification requires that a relative path is ignored.
    if home.startswith("/"):
        return Path(home) / "vmio"
    if os.geteuid() == 0:
        return Path("/var/lib/vmio")
    try:
        return Path("~/.local/state/vmio").expanduser()
    except RuntimeError as error:
        raise OutputError(
            "this account has no home to keep backups in", hint="XDG_STATE_HOME sets another place"
        ) from error


class Entry(Struct, frozen=True, kw_only=True):
    """One change of a config that vmio made, or was about to make."""

    number: int = 0
    path: str
    what: str
    time: str
    """UTC, in ISO 8601."""
    before: str
    """The digest of the state that is kept."""
    after: str
    """The digest of the state that replaced it."""
    undoes: int | None = None
    """The number of the change that this one undid."""
    run: str = ""
    """The id that the changes of one call share; empty in entries of older vmios."""

    def __post_init__(self) -> None:
        check_matches("time", self.time, r"[0-9T:.+-]{10,40}")
        check_matches("before", self.before, _DIGEST)
        check_matches("after", self.after, _DIGEST)
        check_matches("run", self.run, r"[0-9a-f]{0,32}")


class WrittenConfig(Struct, frozen=True, kw_only=True):
    """The result for a config."""

    path: Path
    """The file itself, with symbolic links resolved."""
    before: str
    """The digest of the old content."""
    after: str
    """The digest of the current content."""
    backup: Path | None = None
    """The file with the old bytes; None if nothing was to change."""

    @property
    def changed(self) -> bool:
        """Whether the file was written."""
        return self.backup is not None


class Journal:
    """The kept states of one config."""

    def __init__(self, state: Path, path: Path) -> None:
        """Sets the folder; nothing is read or created yet.

        Args:
            state: vmio's own folder.
            path: The config, with symbolic links resolved.
        """
        key = sha256(os.fsencode(path)).hexdigest()[:12]
        self.folder = state / "backups" / f"{path.name[:60]}-{key}"
        self.path = path

    def entries(self) -> tuple[Entry, ...]:
        """Returns the entries of the kept states, oldest first."""
        return tuple(_read_entries(self.folder))

    def locate(self, entry: Entry) -> Path:
        """Returns the file with a state's bytes."""
        return self.folder / f"{entry.number:05}.conf"

    def read(self, entry: Entry) -> bytes:
        """Returns the bytes of a kept state.

        Raises:
            InputError: They cannot be read, or have changed since they were kept.
        """
        path = self.locate(entry)
        try:
            data = read_private_file(path, _MAX_BYTES)
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror}") from error
        if _digest(data) != entry.before:
            raise InputError(f"{path} is damaged: it has changed since it was kept")
        return data

    def record(
        self,
        old: bytes,
        new: bytes,
        *,
        what: str,
        run: str = "",
        undoes: int | None = None,
        after: str = "",
    ) -> Entry:
        """Keeps a state that is about to be replaced.

        Args:
            old: The state to keep.
            new: The state that replaces it.
            what: A short description of the change.
            run: The id of the changes that one undo reverts together; empty for this one alone.
            undoes: The number of the change that this one undoes.
            after: The digest by which the new state is recognized; empty for that of its bytes.

        Raises:
            OutputError: It cannot be kept.
        """
        entry = Entry(
            path=str(self.path),
            what=what,
            time=datetime.now(UTC).isoformat(timespec="milliseconds"),
            before=_digest(old),
            after=after or _digest(new),
            undoes=undoes,
            run=run or make_run(),
        )
        with self._naming_failure():
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
        """Raises the errors that `record` would raise now, as far as possible without writing.

        Raises:
            OutputError: No state can be kept.
        """
        with self._naming_failure():
            if stranger := find_stranger(self.folder, above=_LEVELS):
                raise OutputError(stranger)
            there = next(place for place in (self.folder, *self.folder.parents) if place.exists())
            if not os.access(there, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    @contextmanager
    def _naming_failure(self) -> Iterator[None]:
        try:
            yield
        except (OSError, OutputError) as error:
            reason = error.strerror if isinstance(error, OSError) else error.message
            raise OutputError(
                f"cannot keep a backup in {self.folder}: {reason}",
                hint="nothing was changed; XDG_STATE_HOME sets another place for backups",
            ) from error

    def forget(self, entry: Entry) -> None:
        """Removes a state whose config was not replaced after all."""
        for suffix in (".json", ".conf"):
            with suppress(OSError):
                self.locate(entry).with_suffix(suffix).unlink()

    def _prune(self) -> None:
        """Removes old states, and leftovers of killed runs."""
        with suppress(OSError):
            names = _list_names(self.folder)
            # Only counted, because a stray file may have any number.
            oldest = sorted({0, *map(_number, names)})[-KEPT:][0]
            for name in names:
                if name.startswith(".") or 0 < _number(name) < oldest:
                    # A file that cannot be removed does not prevent the others' removal.
                    with suppress(OSError):
                        (self.folder / name).unlink()


def list_journals(state: Path) -> tuple[Journal, ...]:
    """Returns the journals of all configs that vmio has changed, in order of their names.

    Raises:
        InputError: Other users can write to their folder, and could have forged them.
    """
    journals = []
    folder = state / "backups"
    # Checked from one level higher: older vmios let a group write to it, but not to the journals.
    if stranger := find_stranger(folder / "any", above=_LEVELS):
        raise InputError(stranger, hint="the backups there are not trusted")
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
    """Returns a kept file's number; 0 for a stray file."""
    match = _NAME.fullmatch(name)
    return int(match[1]) if match is not None else 0


def _read_entries(folder: Path) -> Iterator[Entry]:
    """Yields the readable entries; an unreadable one is not a backup, but does not hide others."""
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
    """Syncs a folder and those above it, so that their names are on the disk."""
    for place in (folder, *folder.parents[: count - 1]):
        descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with suppress(OSError):
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
