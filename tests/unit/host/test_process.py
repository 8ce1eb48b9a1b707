"""The command line of a process."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmio.errors import InputError
from vmio.host.process import read_command_line


def test_words_are_read_with_their_blanks(tmp_path: Path) -> None:
    """Words are told apart by zero bytes; an empty one is a word."""
    (tmp_path / "proc/7").mkdir(parents=True)
    (tmp_path / "proc/7/cmdline").write_bytes(b"/usr/bin/kvm\0-name\0a b\0\0-S\0")
    assert read_command_line(7, root=tmp_path) == ("/usr/bin/kvm", "-name", "a b", "", "-S")


def test_process_without_words_is_refused(tmp_path: Path) -> None:
    """A thread of the kernel, and a process that has ended, have none."""
    (tmp_path / "proc/7").mkdir(parents=True)
    (tmp_path / "proc/7/cmdline").touch()
    with pytest.raises(InputError, match="process 7 has no command line"):
        read_command_line(7, root=tmp_path)


def test_missing_process_is_named(tmp_path: Path) -> None:
    """The number is in the message."""
    with pytest.raises(InputError, match="there is no process 8"):
        read_command_line(8, root=tmp_path)


def test_process_that_is_not_ours_to_see_is_named(tmp_path: Path) -> None:
    """Any other refusal of the system is told."""
    (tmp_path / "proc/9/cmdline").mkdir(parents=True)
    with pytest.raises(InputError, match="cannot look at process 9: Is a directory"):
        read_command_line(9, root=tmp_path)
