"""Files are written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vmio.errors import OutputError, UsageError
from vmio.host.save import write_file


def list_names(folder: Path) -> list[str]:
    """Returns what is in a folder."""
    return sorted(path.name for path in folder.iterdir())


def test_file_is_written_as_any_other(tmp_path: Path) -> None:
    """It has what it should have, the usual permissions, and nothing beside it."""
    plain = tmp_path / "plain"
    plain.touch()
    write_file(tmp_path / "x", b"data", force=False)
    assert (tmp_path / "x").read_bytes() == b"data"
    assert (tmp_path / "x").stat().st_mode == plain.stat().st_mode
    assert list_names(tmp_path) == ["plain", "x"]


def test_file_that_is_there_stays_until_forced(tmp_path: Path) -> None:
    """Nothing is replaced without the word, a dangling link neither."""
    path = tmp_path / "x"
    path.write_bytes(b"old")
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("x", "link"):
        with pytest.raises(UsageError, match="exists already"):
            write_file(tmp_path / name, b"new", force=False)
    assert path.read_bytes() == b"old"
    write_file(path, b"new", force=True)
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("name", ["missing/x", "folder", "/dev/full/x"])
def test_place_that_cannot_be_written_is_named(tmp_path: Path, name: str) -> None:
    """The error names the file, and no other one is left."""
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="cannot write"):
        write_file(tmp_path / name, b"new", force=True)
    assert list_names(tmp_path) == ["folder"]


def test_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the system refuses to write, what was there is there, and nothing else."""

    def refuse(_: int) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "x"
    path.write_bytes(b"old")
    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(OutputError, match="No space left on device"):
        write_file(path, b"new", force=True)
    assert path.read_bytes() == b"old"
    assert list_names(tmp_path) == ["x"]


@pytest.mark.parametrize("kind", ["pipe", "device", "link to a device"])
def test_what_is_no_plain_file_is_not_replaced(tmp_path: Path, kind: str) -> None:
    """A device or a pipe, which root could replace by a file, stays what it is."""
    path = tmp_path / "x"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path = Path("/dev/null")
    else:
        path.symlink_to("/dev/null")
    for force in (True, False):
        with pytest.raises(OutputError, match="is not a plain file"):
            write_file(path, b"new", force=force)
    assert not path.is_file()
