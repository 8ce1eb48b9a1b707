"""Names that lead to nothing, to something, and to what cannot be seen."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from vmio.host.files import is_file, is_folder, is_there, read_source
from vmio.testing import call

LONG = "a" * 300
CONFIG = "scsi0: local:100/vm-100-disk-0.raw,iothread=1,size=1G\nscsihw: virtio-scsi-single\n"
QEMU = ("--set", "qemu_version=10.0.2")


def test_name_is_told_by_what_it_leads_to(tmp_path: Path) -> None:
    """A folder, a plain file and a link to nothing are three things."""
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")

    assert (is_folder(tmp_path), is_file(tmp_path), is_there(tmp_path)) == (True, False, True)
    assert (is_folder(tmp_path / "file"), is_file(tmp_path / "file")) == (False, True)
    assert not is_there(tmp_path / "link")


def test_file_that_is_missing_for_a_moment_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a file is replaced it may have no name between its listing and its reading."""
    path = tmp_path / "1.conf"
    real = os.open
    missed: list[str] = []

    def miss(name: str, flags: int, **options: Any) -> int:  # noqa: ANN401 - as the call's own
        if not path.exists():
            path.write_bytes(b"name: a\n")
            missed.append(name)
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return real(name, flags, **options)

    monkeypatch.setattr(os, "open", miss)
    assert read_source(str(path)).data == b"name: a\n"
    assert missed == [str(path)]


@pytest.mark.parametrize("name", [LONG, "a\0b", "\ud800", ""])
def test_name_that_no_file_can_have_leads_to_nothing(name: str) -> None:
    """Such a name is no error here; whoever opens it says what is wrong."""
    assert [is_there(name), is_file(name), is_folder(name)] == [False] * 3


def test_what_cannot_be_seen_leads_to_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that this user cannot enter is none to look into."""

    def refuse(_: Path, **_how: bool) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "stat", refuse)

    assert [is_there(tmp_path), is_file(tmp_path), is_folder(tmp_path)] == [False] * 3


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["bench", "100.conf", "100.conf", "--html", LONG], "cannot write the report"),
        (["calibrate", "-o", LONG], "cannot write"),
        (["calibrate", "--folder", LONG], "does not exist"),
        (["cmd", LONG, "--vmid", "100"], "cannot read"),
        (["run", "100.conf", "--qmp", LONG, "--dry-run", *QEMU], "is not on this host"),
        (["run", "100.conf", "--disk", f"scsi0={LONG}", "--dry-run", *QEMU], "cannot be opened"),
        (["run", "101.conf", "--dry-run", *QEMU], "is not on this host"),
        (["simulate", "100.conf", "--html", LONG, *QEMU], "cannot write the report"),
        (["undo", LONG], "vmio has changed nothing of"),
    ],
)
def test_verbs_refuse_a_name_that_no_file_can_have(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    told: str,
) -> None:
    """Whether a person or a config gives it, it ends with what is wrong and not as a bug."""
    monkeypatch.chdir(tmp_path)
    Path("100.conf").write_text(CONFIG)
    Path("101.conf").write_text(f"virtio0: /dev/{LONG}\n")

    status = call(*words)

    assert status in {2, 3, 4}
    assert told in capsys.readouterr().err
