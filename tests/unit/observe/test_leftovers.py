"""Notes of histograms that a vmio set, for the next one if it is killed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vmio.host.running import open_process, read_qemu
from vmio.observe import leftovers
from vmio.observe.leftovers import HistogramNotes, Kept, open_notes

BOUNDS = (10, 100)
KEPT: frozenset[Kept] = frozenset({("/machine/peripheral/vd0", "reads"), ("sd0", "flushes")})


@pytest.fixture(name="folder")
def make_folder(tmp_path: Path) -> Path:
    """Returns where notes are, which is made by the first."""
    return tmp_path / "notes"


def find_self() -> tuple[int, int]:
    """Returns the number and start of a process that runs, in place of a guest's."""
    with open_process(os.getpid()) as descriptor:
        return os.getpid(), read_qemu(descriptor, os.getpid()).started_ticks


def write(folder: Path) -> HistogramNotes:
    """Notes what is counted of a guest, as a vmio that lives."""
    notes = open_notes(*find_self(), folder=folder)
    notes.write(BOUNDS, KEPT)
    return notes


def test_notes_of_a_killed_vmio_are_taken_over_until_all_is_removed(folder: Path) -> None:
    """Its lock has gone with it, and its notes have not."""
    write(folder).close(done=False)

    second = open_notes(*find_self(), folder=folder)
    assert second.has_left
    assert second.find_left(BOUNDS) == KEPT
    assert second.find_left((10, 1000)) == frozenset()
    assert not open_notes(*find_self(), folder=folder).has_left  # the second one lives
    second.close(done=False)
    third = open_notes(*find_self(), folder=folder)
    assert third.find_left(BOUNDS) == KEPT
    third.close(done=True)
    assert [*folder.iterdir()] == []


def test_notes_of_a_vmio_that_lives_are_its_own(folder: Path) -> None:
    """And are gone when it has removed what it set."""
    first = write(folder)
    assert not open_notes(*find_self(), folder=folder).has_left
    first.close(done=True)
    first.close(done=False)
    assert [*folder.iterdir()] == []


def test_notes_of_another_guest_are_not_taken(folder: Path) -> None:
    """Another process, another start of the same number, or another boot of the host."""
    write(folder).close(done=False)
    pid, started_ticks = find_self()

    assert not open_notes(1, started_ticks, folder=folder).has_left
    assert not open_notes(pid, started_ticks + 1, folder=folder).has_left
    assert open_notes(pid, started_ticks, folder=folder).has_left


def test_notes_of_ended_guests_are_removed(folder: Path) -> None:
    """So that the folder does not grow; what is no note of vmio's stays."""
    pid, started_ticks = find_self()
    write(folder).close(done=False)
    (boot,) = {each.name.split(".")[0] for each in folder.iterdir()}
    for name in (f"{boot}.{pid}.{started_ticks + 1}.aa", f"other.{pid}.{started_ticks}.aa"):
        (folder / name).write_text("{}")
    (folder / "README").touch()

    open_notes(1, 1, folder=folder)
    assert {each.name.split(".")[0] for each in folder.iterdir()} == {"README", boot}


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"boundaries_ns":[],"kept":[["a"]]}'])
def test_note_that_cannot_be_read_is_none(folder: Path, content: bytes) -> None:
    """Whatever is in it."""
    write(folder).close(done=False)
    (note,) = folder.iterdir()
    note.write_bytes(content)

    assert not open_notes(*find_self(), folder=folder).has_left
    os.mkfifo(folder / f"{note.name}2")
    (folder / f"{note.name}3").symlink_to(note)
    assert not open_notes(*find_self(), folder=folder).has_left


def test_notes_that_others_could_have_written_are_none(folder: Path) -> None:
    """Nothing is removed from a guest because another user says so."""
    write(folder).close(done=False)
    folder.chmod(0o777)

    assert not open_notes(*find_self(), folder=folder).has_left


def test_without_a_place_nothing_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A vmio that may write nowhere counts latencies all the same, or whose user has no home."""

    def fail() -> Path:
        raise RuntimeError("no home directory")

    monkeypatch.setattr(leftovers, "find_cache_folder", fail)
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file" / "notes", None):
        notes = open_notes(*find_self(), folder=folder)
        notes.write(BOUNDS, KEPT)
        notes.close(done=True)
        assert not notes.has_left
