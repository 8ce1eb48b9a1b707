"""Private folders, and what becomes of them."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from vmio.errors import OutputError
from vmio.qemu.folder import (
    find_stranger,
    make_private_folder,
    open_runtime_folder,
    read_private_file,
)


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


def test_private_folder_is_made_with_those_above(tmp_path: Path) -> None:
    """Whatever the umask, only this user can write there; what was there keeps its mode."""
    (tmp_path / "a").mkdir(mode=0o755)
    old = os.umask(0)
    try:
        make_private_folder(tmp_path / "a" / "b" / "c", above=2)
    finally:
        os.umask(old)
    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in ("a", "a/b", "a/b/c")]
    assert modes == [0o755, 0o700, 0o700]


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o1777])
def test_folder_that_others_can_write_in_is_strange(tmp_path: Path, mode: int) -> None:
    """A group's or everybody's folder may hold anything."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a").chmod(mode)
    assert "can be written by others" in find_stranger(tmp_path / "a")
    with pytest.raises(OutputError, match="can be written by others"):
        make_private_folder(tmp_path / "a")


def test_folder_above_may_be_a_groups_or_like_tmp(tmp_path: Path) -> None:
    """Where each user has a group new folders are a group's; in /tmp only one's own can be moved.

    A folder in which everybody can put another one in the place of this one is not taken.
    """
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True, mode=0o700)
    for mode, strange in ((0o775, False), (0o1777, False), (0o777, True)):
        folder.parent.chmod(mode)
        assert bool(find_stranger(folder, above=1)) is strange
        assert find_stranger(folder) == ""


def test_folder_of_somebody_else_is_strange(
    tmp_path: Path, give_away: Callable[[Path], None]
) -> None:
    """Who owns it, or owns the one above it, can change what is in it."""
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True, mode=0o700)
    give_away(folder.parent)
    assert "belongs to another user" in find_stranger(folder, above=1)


def test_private_file_is_a_plain_one_of_this_users(
    tmp_path: Path, give_away: Callable[[Path], None]
) -> None:
    """A pipe, a link, a folder, what is too large and what is another's is refused at once."""
    path = tmp_path / "file"
    path.write_bytes(b"data")
    assert read_private_file(path, 4) == b"data"
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(path)
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "link", "folder", "nothing"):
        with pytest.raises(OSError, match=name):
            read_private_file(tmp_path / name, 4)
    with pytest.raises(OSError, match="too large"):
        read_private_file(path, 3)
    give_away(path)
    with pytest.raises(OSError, match="not a plain file of this user's"):
        read_private_file(path, 4)
