"""Who else can write a folder or a file is found, whatever its mode and owner."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from vmio.errors import OutputError
from vmio.host.private import find_stranger, make_private_folder, read_private_file


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
    assert "can be written by other users" in find_stranger(tmp_path / "a")
    with pytest.raises(OutputError, match="can be written by other users"):
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
    with pytest.raises(OSError, match="not a plain file of this user"):
        read_private_file(path, 4)
