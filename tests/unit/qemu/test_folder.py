"""Folders for sockets and scratch files, and what becomes of them."""

from __future__ import annotations

import fcntl
import os
import tempfile
from pathlib import Path

import pytest

from vmio.errors import OutputError
from vmio.qemu.folder import open_runtime_folder


def test_folder_is_private_and_removed(tmp_path: Path) -> None:
    """Nobody else can enter the folder, and nothing of it is left."""
    with open_runtime_folder(tmp_path) as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "file").write_text("content")

    assert list(tmp_path.iterdir()) == []


def test_folder_is_removed_after_an_exception(tmp_path: Path) -> None:
    """An exception leaves no folder either."""
    with pytest.raises(KeyError), open_runtime_folder(tmp_path):
        raise KeyError

    assert list(tmp_path.iterdir()) == []


def test_folder_of_a_killed_owner_is_removed_by_the_next(tmp_path: Path) -> None:
    """A folder that nobody has locked belonged to a process that was killed."""
    stale = tmp_path / "vmio-run-stale"
    stale.mkdir()
    (stale / "qmp").touch()

    with open_runtime_folder(tmp_path) as folder:
        assert list(tmp_path.iterdir()) == [folder]


def test_folder_of_a_living_owner_is_kept(tmp_path: Path) -> None:
    """A folder that is locked is in use, whoever uses it."""
    with open_runtime_folder(tmp_path) as first, open_runtime_folder(tmp_path) as second:
        assert first != second
        assert first.is_dir()


def test_folder_removal_follows_no_link(tmp_path: Path) -> None:
    """A link that is called like a folder of ours leads nowhere."""
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").touch()
    (tmp_path / "vmio-run-link").symlink_to(precious)
    (tmp_path / "vmio-run-file").touch()

    with open_runtime_folder(tmp_path):
        pass

    assert sorted(path.name for path in tmp_path.rglob("*")) == [
        "file",
        "precious",
        "vmio-run-file",
        "vmio-run-link",
    ]


def test_folder_name_leaves_room_for_a_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder of temporary files with a long name is passed over: sockets take 107 bytes."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / ("long" * 30)))

    with open_runtime_folder() as folder:
        assert folder.parent == Path("/tmp")  # noqa: S108 - what is tested
        assert len(os.fsencode(folder / "guest-agent.socket")) <= 107


def test_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """The error names the place."""
    with pytest.raises(OutputError, match="nowhere"), open_runtime_folder(tmp_path / "nowhere"):
        pass


def test_folder_is_locked_while_it_is_used(tmp_path: Path) -> None:
    """The lock is what other starts go by."""
    with open_runtime_folder(tmp_path) as folder:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            with pytest.raises(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        finally:
            os.close(descriptor)
