"""Configs that are a part of another text: shown, checked and planned, and never written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vmio.testing import call

CONFIG = "cores: 1\nscsi0: local-lvm:vm-1-disk-0,cache=unsafe\nscsihw: virtio-scsi-single\n"
SESSION = f"root@node:~# qm config 100\n{CONFIG}root@node:~# \n"
ANSWER = json.dumps({"data": dict(line.split(": ", 1) for line in CONFIG.splitlines())})
HOST = ("--set", "qemu_version=10.0.2")


@pytest.fixture(name="pasted", params=["session", "answer"])
def make_pasted(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Returns a text in the current folder that a config is a part of."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    path = Path("pasted.txt")
    path.write_text(SESSION if request.param == "session" else ANSWER, encoding="utf-8")
    return path


@pytest.mark.parametrize("option", ["--fix", "--diff"])
def test_config_within_a_text_is_not_fixed(
    pasted: Path, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line says that it is a part of another text, which stays as it is."""
    before = pasted.read_bytes()
    assert call("check", option, str(pasted), "--select", "SA001", *HOST) == 1
    err = capsys.readouterr().err
    assert "error: SA001 of pasted.txt not fixed: the config was taken out of " in err
    assert pasted.read_bytes() == before


def test_config_within_a_text_is_planned_and_not_changed(
    pasted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A plan tells what to do, and is for the VM's own config."""
    before = pasted.read_bytes()
    assert call("plan", str(pasted), "-o", "plan.json", *HOST) == 0
    assert "Give scsi0 an IOThread" in capsys.readouterr().out
    assert call("apply", "plan.json", "--yes") == 2
    err = capsys.readouterr().err
    assert "pasted.txt is no config: the one that was planned was taken out of " in err
    assert call("apply", "pasted.txt", "--policy", "per-disk", "--yes", *HOST) == 2
    assert pasted.read_bytes() == before
    assert not Path("state").exists()


def test_place_in_a_session_is_that_of_the_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A finding names the line that a person sees."""
    path = tmp_path / "pasted.txt"
    path.write_text(SESSION, encoding="utf-8")
    assert call("check", str(path), "--select", "SA001", *HOST) == 1
    assert f"{path}:3:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("setting", "quoted"),
    [
        (b"args: -name\tx", rb"$'-name\tx -device"),
        (b"ide0: local:1/\xff.raw", rb"$'local:1/\377.raw'"),
        (b"ide0: /dev/\xe9\t,serial=a", rb"$'/dev/\351\t'"),
    ],
)
def test_command_of_a_plan_spells_what_no_terminal_shows(
    setting: bytes, quoted: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A TAB, and a byte that is no UTF-8, are in a plan as a shell reads them back."""
    path = tmp_path / "100.conf"
    path.write_bytes(b"boot: order=scsi0\nide1: /dev/a\n" + setting + b"\nscsi0: /dev/b\n")
    assert call("plan", str(path), *HOST) == 0
    assert quoted.decode() in capsys.readouterr().out
