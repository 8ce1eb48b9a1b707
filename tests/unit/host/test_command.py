"""Files that a process names, as that process sees them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vmio.host.command import make_file_reader
from vmio.model.source import Source


def test_files_of_a_process_are_read_in_its_own_root(tmp_path: Path) -> None:
    """A relative name starts from its folder, an absolute one from its root."""
    for place, name in (("cwd", "a"), ("root", "b")):
        (tmp_path / place).mkdir()
        (tmp_path / place / name).write_text(place)
    read = make_file_reader(tmp_path)
    found = [read("a"), read("/b")]

    assert [each.data for each in found if isinstance(each, Source)] == [b"cwd", b"root"]


@pytest.mark.parametrize("name", ["/zero", "/pipe", "/folder", "/absent", "a\0b", "x" * 5000])
def test_what_is_no_plain_file_is_not_opened(name: str, tmp_path: Path) -> None:
    """A command line can be anybody's, and opening some devices does something."""
    root = tmp_path / "root"
    (root / "folder").mkdir(parents=True)
    (root / "zero").symlink_to("/dev/zero")
    os.mkfifo(root / "pipe")
    (tmp_path / "cwd").mkdir()

    assert isinstance(make_file_reader(tmp_path)(name), str)
