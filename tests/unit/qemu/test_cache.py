"""Kept answers are this user's own, or there are none."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from vmio.host.private import find_cache_folder
from vmio.qemu.cache import read_entry, write_entry

IDENTITY = ("/usr/bin/qemu", "1")


@pytest.fixture(name="entry")
def make_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns the file of an answer that was just kept."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_entry("kind", IDENTITY, {"answer": 1})
    (path,) = find_cache_folder().iterdir()
    return path


def test_answer_is_kept_for_its_user_only(entry: Path) -> None:
    """It is found again, in a folder that nobody else can enter."""
    assert read_entry("kind", IDENTITY) == {"answer": 1}
    assert entry.parent.stat().st_mode & 0o777 == 0o700
    assert entry.parent.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("level", [0, 1, 2])
def test_answer_of_somebody_else_is_none(
    entry: Path, give_away: Callable[[Path], None], level: int
) -> None:
    """Neither the file, nor its folder, nor the one above that may be another user's."""
    give_away((entry, *entry.parents)[level])
    assert read_entry("kind", IDENTITY) is None


def test_folder_of_everybody_is_neither_read_nor_written(entry: Path) -> None:
    """A cache that others can write in is no cache, and nothing fails because of it."""
    entry.parent.chmod(0o777)
    assert read_entry("kind", IDENTITY) is None
    write_entry("other", IDENTITY, 1)
    assert list(entry.parent.iterdir()) == [entry]


@pytest.mark.parametrize("kind", ["pipe", "link", "folder", "null", "deep"])
def test_odd_answer_is_none(entry: Path, kind: str) -> None:
    """Nobody is waited for at a pipe, and no link is followed."""
    data = entry.read_bytes()
    entry.unlink()
    match kind:
        case "pipe":
            os.mkfifo(entry)
        case "link":
            entry.with_name("data").write_bytes(data)
            entry.symlink_to("data")
        case "folder":
            entry.mkdir()
        case "null":
            entry.write_bytes(b"null")
        case _:
            entry.write_bytes(b"[" * 100_000)
    assert read_entry("kind", IDENTITY) is None
