"""Notes of the histograms that vmio set, so that the next vmio removes those of a killed one.

A note is a file of this user for one guest, locked as long as the vmio lives that wrote it: the
kernel drops the lock of a process however it ends. A guest is told by its process's number and
start, and this boot of the host, so that no note is taken for one of another guest.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Collection, Sequence
from contextlib import ExitStack, suppress
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from vmio.errors import OutputError, ToolError
from vmio.host.private import find_cache_folder, find_stranger, make_private_folder
from vmio.host.running import open_process, read_boot_id
from vmio.qemu.histograms import HistogramKind

__all__ = ["HistogramNotes", "Kept", "open_notes"]

Kept = tuple[str, HistogramKind]
"""A disk's `qdev`, and the kind of its requests that is counted."""

_MAX_BYTES: Final = 1 << 20
_MAX_NOTES: Final = 1 << 12


class _Note(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The content of a note."""

    boundaries_ns: tuple[int, ...]
    kept: tuple[Kept, ...]


class HistogramNotes:
    """The notes of one guest; `open_notes` makes it."""

    def __init__(self, folder: Path, boot: str, guest: str) -> None:
        self._folder = folder
        self._boot = boot
        self._guest = f"{boot}.{guest}"
        self._locks = ExitStack()
        self._paths: list[Path] = []
        self._left: list[_Note] = []

    @property
    def has_left(self) -> bool:
        """Whether a vmio was killed while it had something counted."""
        return bool(self._left)

    def find_left(self, boundaries_ns: Sequence[int]) -> frozenset[Kept]:
        """Returns what a killed vmio had counted with these boundaries."""
        bounds = tuple(boundaries_ns)
        return frozenset(
            kept for note in self._left if note.boundaries_ns == bounds for kept in note.kept
        )

    def write(self, boundaries_ns: Sequence[int], kept: Collection[Kept]) -> None:
        """Notes what is about to be counted; where that cannot be written, nothing is noted."""
        note = _Note(boundaries_ns=tuple(boundaries_ns), kept=tuple(sorted(kept)))
        path = self._folder / f"{self._guest}.{secrets.token_hex(8)}"
        with suppress(OSError, OutputError):
            make_private_folder(self._folder)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            self._locks.callback(os.close, descriptor)
            self._paths.append(path)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.write(descriptor, msgspec.json.encode(note))

    def take(self) -> None:
        """Takes over the notes of killed vmios, and removes those about guests that have ended."""
        with suppress(OSError):
            if find_stranger(self._folder):
                return
            for path in islice(self._folder.iterdir(), _MAX_NOTES):
                guest, _, _ = path.name.rpartition(".")
                if guest == self._guest:
                    self._take(path)
                elif _has_ended(guest, self._boot):
                    path.unlink(missing_ok=True)

    def _take(self, path: Path) -> None:
        with suppress(OSError, msgspec.MsgspecError), ExitStack() as stack:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            stack.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails while its vmio lives
            self._left.append(msgspec.json.decode(os.read(descriptor, _MAX_BYTES), type=_Note))
            self._paths.append(path)
            self._locks.push(stack.pop_all())

    def close(self, *, done: bool) -> None:
        """Unlocks the notes, and removes them if nothing is left that they are about."""
        for path in self._paths if done else ():
            with suppress(OSError):
                path.unlink()
        self._paths.clear()
        self._locks.close()


def open_notes(pid: int, started_ticks: int, *, folder: Path | None = None) -> HistogramNotes:
    """Opens the notes of a guest.

    Args:
        pid: Its process.
        started_ticks: When that started.
        folder: Where notes are; None for vmio's own folder of this user.
    """
    notes = HistogramNotes(folder or _find_folder(), read_boot_id(), f"{pid}.{started_ticks}")
    notes.take()
    return notes


def _find_folder() -> Path:
    try:
        return find_cache_folder() / "histograms"
    except RuntimeError:  # a user without a home, as in a container, has no place for notes
        return Path(os.devnull)


def _has_ended(guest: str, boot: str) -> bool:
    """Returns whether the guest of a note has ended; a file that is no note has not."""
    with suppress(ValueError):
        its_boot, pid, started_ticks = guest.split(".")
        try:
            with open_process(int(pid), int(started_ticks)):
                return its_boot != boot
        except ToolError:
            return True
    return False
