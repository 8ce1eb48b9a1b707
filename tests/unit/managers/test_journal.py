"""What is in the place of kept states, whatever it is, is passed over or told."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vmio.errors import InputError, OutputError
from vmio.managers.journal import KEPT, Journal, list_journals
from vmio.testing import call

OLD, NEW = b"name: a\n", b"name: b\n"


@pytest.fixture(name="journal")
def make_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Journal:
    """Returns the journal of a config that vmio has changed once."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    path = tmp_path / "701.conf"
    path.write_bytes(NEW)
    journal = Journal(tmp_path / "vmio", path)
    journal.record(OLD, NEW, what="test")
    return journal


def describe(journal: Journal, **fields: object) -> bytes:
    """Returns a state's description with other fields."""
    (entry,) = journal.entries()
    table = json.loads(journal.locate(entry).with_suffix(".json").read_bytes())
    return json.dumps(table | fields).encode()


def test_state_is_kept_for_its_user_only(tmp_path: Path) -> None:
    """Whatever the umask, nobody else can read or write what configs were."""
    old = os.umask(0)
    try:
        Journal(tmp_path / "x" / "vmio", tmp_path / "1.conf").record(OLD, NEW, what="test")
    finally:
        os.umask(old)
    for folder in (tmp_path / "x" / "vmio" / "backups").iterdir():
        for place in (folder, *folder.parents[:3]):
            assert place.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "data",
    [
        *(b"null", b"7", b"[]", b'"a"', b"true", b"{}", b"", b"\xff", b"[" * 100_000),
        *(b"9" * 5000, b'{"a": 1e999}', b" " * (1 << 20) + b"{}"),
    ],
    ids=lambda data: repr(data[:12]),
)
def test_what_is_no_description_is_passed_over(journal: Journal, data: bytes) -> None:
    """It hides no other state, and the next one is kept behind it."""
    (journal.folder / "00002.json").write_bytes(data)
    assert [entry.number for entry in journal.entries()] == [1]
    assert journal.record(NEW, OLD, what="next").number == 3
    assert call("undo", "--list") == 0


@pytest.mark.parametrize(
    "fields",
    [
        {"path": 7},
        {"path": None},
        {"path": "\ud800"},
        {"what": ["a"]},
        {"what": "\ud800"},
        {"time": "yesterday\x1b"},
        {"time": 7},
        {"before": "0"},
        {"after": None},
        {"undoes": "1"},
        {"undoes": True},
        {"run": "\n"},
        {"run": 7},
    ],
    ids=str,
)
def test_description_of_wrong_types_is_passed_over(
    journal: Journal, fields: dict[str, Any]
) -> None:
    """A text for a number, or half of a surrogate pair, is none that vmio wrote."""
    (journal.folder / "00002.json").write_bytes(describe(journal, **fields))
    assert [entry.number for entry in journal.entries()] == [1]
    assert call("undo", "--list") == 0


def test_words_of_a_description_are_one_line(journal: Journal) -> None:
    """A state that can be put back is not lost for what is said about it."""
    (journal.folder / "00002.json").write_bytes(describe(journal, what="a\nb\x1b[2J\udcff"))
    assert [entry.what for entry in journal.entries()] == ["test", "a?b?[2J?"]


@pytest.mark.parametrize("kind", ["pipe", "link", "folder"])
@pytest.mark.parametrize("suffix", ["json", "conf"])
def test_what_is_no_plain_file_is_passed_over_or_told(
    journal: Journal, tmp_path: Path, kind: str, suffix: str
) -> None:
    """Nobody is waited for at a pipe, and no link is followed, to read or to write."""
    (entry,) = journal.entries()
    path = journal.locate(entry).with_suffix(f".{suffix}")
    path.rename(tmp_path / "moved")
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "link":
            path.symlink_to(tmp_path / "moved")
        case _:
            path.mkdir()
    if suffix == "json":
        assert journal.entries() == ()
        assert call("undo", "701", "--yes") == 2
    else:
        with pytest.raises(InputError, match="cannot read"):
            journal.read(entry)
        assert call("undo", "701", "--yes") == 3
    kept = (tmp_path / "moved").read_bytes()
    assert journal.record(NEW, OLD, what="next").number == 2
    assert (tmp_path / "moved").read_bytes() == kept


@pytest.mark.parametrize("name", ["999999999.json", "999999999.conf", "999999999999999999.json"])
def test_stray_number_decides_nothing(journal: Journal, name: str) -> None:
    """However large it is, the next state is found, and none of the last ones goes for it."""
    (journal.folder / name).write_bytes(b"null")
    for number in range(KEPT - 2):
        journal.record(NEW, OLD, what=f"next {number}")
    whats = [entry.what for entry in journal.entries()]
    assert whats == ["test", *(f"next {number}" for number in range(KEPT - 2))]
    assert call("undo", "--list", "701") == 0


def test_folder_in_the_place_of_an_old_state_keeps_no_other(journal: Journal) -> None:
    """What cannot be removed stays, and the rest is removed in its time."""
    (journal.folder / "00000.conf").mkdir()
    (journal.folder / "notes").write_bytes(b"mine")
    (entry,) = journal.entries()
    journal.locate(entry).unlink()
    journal.locate(entry).mkdir()
    for _ in range(KEPT + 3):
        journal.record(NEW, OLD, what="next")
    assert len(journal.entries()) == KEPT
    assert (journal.folder / "notes").read_bytes() == b"mine"


def test_states_of_somebody_else_are_not_trusted(
    journal: Journal, give_away: Callable[[Path], None]
) -> None:
    """They would be put back by whoever runs vmio, who may be root."""
    give_away(journal.folder.parent)
    with pytest.raises(InputError, match="belongs to another user"):
        list_journals(journal.folder.parents[1])
    with pytest.raises(OutputError, match="belongs to another user"):
        journal.record(NEW, OLD, what="next")
    assert call("undo", "--yes") == 3


def test_folder_that_others_can_write_in_is_passed_over(journal: Journal) -> None:
    """What is in it may be anybody's."""
    journal.folder.chmod(0o777)
    assert journal.entries() == ()
    assert call("undo", "--yes") == 2


def test_folder_of_an_older_vmio_is_read(journal: Journal) -> None:
    """Under a umask that lets a group write, all but the states' own folder were so."""
    for folder in (journal.folder.parent, journal.folder.parents[1]):
        folder.chmod(0o775)
    assert call("undo", "--list", "701") == 0
    assert journal.record(NEW, OLD, what="next").number == 2


@pytest.mark.parametrize("place", ["vmio", "backups"])
@pytest.mark.parametrize("kind", ["pipe", "file", "link"])
def test_no_folder_for_states_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, kind: str
) -> None:
    """A list and an undo end, and say where the fault is."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    path = tmp_path / "vmio" / place if place == "backups" else tmp_path / "vmio"
    path.parent.mkdir(exist_ok=True)
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "file":
            path.touch()
        case _:
            path.symlink_to(path)
    assert call("undo", "--list") == 3
    assert call("undo", "--yes") == 3
