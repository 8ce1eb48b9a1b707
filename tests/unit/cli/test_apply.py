"""`vmio apply` and `vmio undo`, as a person calls them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from vmio.testing import call

CONFIG = (
    "cores: 2\nscsi0: local-lvm:vm-701-disk-0,iothread=1,size=32G\nscsihw: virtio-scsi-pci\n"
    "\n[PENDING]\nname: later\n\n[snap]\nscsihw: lsi\n"
)


@pytest.fixture(name="config")
def make_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns a config in the current folder, with a place for backups of its own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "701.conf"
    path.write_text(CONFIG)
    return path


def test_plan_is_applied_and_taken_back(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A plan's file changes the config once, and an undo restores every byte."""
    assert call("plan", "701.conf", "--policy", "per-disk", "-o", "plan.json") == 0
    assert call("apply", "plan.json", "--yes") == 0
    assert config.read_text() == CONFIG.replace("virtio-scsi-pci", "virtio-scsi-single")
    capsys.readouterr()

    assert call("apply", "plan.json", "--yes") == 3
    assert "has changed since the plan was made" in capsys.readouterr().err
    assert call("undo", "701", "--yes") == 0
    assert config.read_text() == CONFIG


@pytest.mark.parametrize("words", [("--dry-run",), ("--commands",), (), ("--dry-run", "--json")])
def test_nothing_is_written_unless_meant(config: Path, words: tuple[str, ...]) -> None:
    """A dry run, printed commands, and a call that nobody can be asked about change nothing."""
    status = call("apply", "701.conf", "--policy", "per-disk", *words)
    assert status == (0 if words else 2)
    assert config.read_text() == CONFIG
    assert not (config.parent / "state").exists()


def test_commands_are_for_a_shell(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They name the digest of the config that they were made for, and whole drives."""
    config.write_text(CONFIG.replace("iothread=1,", "serial=a%20b,"))
    assert call("apply", "701.conf", "--policy", "per-disk", "--commands") == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("qm set 701 --scsihw virtio-scsi-single --scsi0 ")
    assert "local-lvm:vm-701-disk-0,iothread=1,serial=a%20b,size=32G" in line
    assert " --digest " in line


def test_json_tells_what_was_done(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One document holds the digests, the backup and what waits for a restart."""
    assert call("apply", "701.conf", "--policy", "per-disk", "--yes", "--json") == 0
    done = json.loads(capsys.readouterr().out)["data"]
    assert done["config"]["written"]
    assert Path(done["config"]["backup"]).read_text() == CONFIG
    assert done["waits_for_restart"] == ["Set scsihw to virtio-scsi-single"]
    assert call("undo", "--list", "--json") == 0
    (listed,) = json.loads(capsys.readouterr().out)["data"]["configs"]
    assert listed["path"] == str(config)
    assert [change["number"] for change in listed["changes"]] == [1]


@pytest.mark.parametrize("ostype", ["other", "l26", "wxp", "solaris", "win11"])
def test_emulated_controller_is_left_to_a_person(
    config: Path, capsys: pytest.CaptureFixture[str], ostype: str
) -> None:
    """A guest keeps the only controller that it is known to have a driver for."""
    text = f"ostype: {ostype}\nscsi0: local-lvm:vm-701-disk-0,iothread=1\nscsihw: pvscsi\n"
    config.write_text(text)
    assert call("apply", "701.conf", "--policy", "auto", "--yes") == 0
    assert config.read_text() == text
    assert "by hand: Make sure that the guest has" in capsys.readouterr().out
    assert call("check", "701.conf", "--fix", "--unsafe-fixes") == 1
    assert config.read_text() == text


def test_guest_without_its_disk_is_told_of(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """There is nothing to change, and more to say."""
    config.write_text("ide0: local-lvm:vm-701-disk-0,iothread=1\n")
    assert call("apply", "701.conf", "--policy", "auto", "--yes") == 0
    err = capsys.readouterr().err
    assert "vmio: Proxmox VE drops ide0" in err
    assert "vmio: the guest has no disk" in err


def test_plan_of_another_guest_is_refused(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A plan is for the guest that it was made for."""
    call("plan", "701.conf", "--policy", "per-disk", "-o", "plan.json")
    config.rename("702.conf")
    assert call("apply", "plan.json", "702.conf", "--yes") == 2
    assert "is for guest 701" in capsys.readouterr().err


def test_document_of_a_plan_is_refused(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What `plan --json` prints is not the file that `plan -o` writes; a hint names that."""
    assert call("plan", "701.conf", "--policy", "per-disk", "--json") == 0
    config.with_name("plan.json").write_text(capsys.readouterr().out, encoding="utf-8")
    assert call("apply", "plan.json", "--yes") == 3
    assert "vmio plan VM -o FILE" in capsys.readouterr().err


def test_calls_that_make_no_sense_are_refused(config: Path) -> None:
    """Options that exclude each other are said to."""
    del config
    assert call("apply", "x", "--commands", "--json") == 2
    assert call("apply", "x", "--no-live", "--qmp", "y") == 2
    assert call("apply", "x", "y", "--policy", "auto") == 2
    assert call("undo", "--list", "--yes") == 2
    assert call("undo", "--to", "1") == 2
    assert call("undo") == 2


@pytest.mark.parametrize(
    ("lie", "status"),
    [
        (('"vm": "701"', '"vm": "--force"'), 3),
        (('"kind": "sep', '"kind": "x\\nreboot\\n'), 3),
        (('"subject": "scsi"', '"subject": "x\\rreboot"'), 3),
        (('"property": "controllers"', '"property": "args"'), 3),
        (('"property": "controllers"', '"property": "cache"'), 2),
        (('"property": "controllers"', '"property": "bus"'), 2),
        (('"new": "per-disk"', '"new": "lsi"'), 2),
        (('"new": "per-disk"', '"new": "x\\nhookscript: local:a"'), 3),
        (('"policy": "per-disk"', '"policy": "\\ud800"'), 3),
        (('"config": "701.conf"', '"config": "\\ud800"'), 3),
        (('"config": "701.conf"', '"config": "-"'), 2),
    ],
)
@pytest.mark.parametrize("words", [("--commands",), ("--yes",), ("--dry-run", "--json")])
def test_hostile_plan_prints_no_command_and_changes_nothing(
    config: Path,
    capsys: pytest.CaptureFixture[str],
    lie: tuple[str, str],
    status: int,
    words: tuple[str, ...],
) -> None:
    """What a file says beyond what plans say reaches neither a shell nor the config."""
    assert call("plan", "701.conf", "--policy", "per-disk", "-o", "plan.json") == 0
    plan = config.with_name("plan.json")
    text = plan.read_text()
    assert lie[0] in text
    plan.write_text(text.replace(*lie, 1))
    capsys.readouterr()

    assert call("apply", "plan.json", *words) == status
    assert capsys.readouterr().out == ""
    assert config.read_text() == CONFIG
    assert not (config.parent / "state").exists()


def test_path_that_is_no_text_is_planned_applied_and_undone(config: Path) -> None:
    """A folder's name is any bytes, and reaches the plan's file and the journal unharmed."""
    folder = config.parent / "caf\udce9"
    folder.mkdir()
    path = config.rename(folder / "701.conf")

    def run(*words: str) -> bytes:
        argv = (sys.executable, "-m", "vmio", *words)
        done = subprocess.run(argv, capture_output=True, check=True)
        return done.stdout

    assert (
        json.loads(run("plan", str(path), "--policy", "per-disk", "--json"))["data"]["vm"] == "701"
    )
    run("plan", str(path), "--policy", "per-disk", "-o", "plan.json")
    run("apply", "plan.json", "--yes")
    assert path.read_text() != CONFIG
    assert rb"caf\xe9/701.conf" in run("undo", "--list")
    (undone,) = json.loads(run("undo", "--yes", "--json"))["data"]["configs"]
    assert undone["config"]["path"] == str(path).replace("\udce9", "\\xe9")
    assert path.read_text() == CONFIG


def test_undo_that_apply_names_can_be_pasted(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A shell reads the name of the file from it, whatever characters that has."""
    assert call("plan", "701.conf", "--policy", "per-disk", "-o", "plan.json") == 0
    path = config.rename(config.parent / "a\tb.conf")
    capsys.readouterr()

    assert call("apply", "plan.json", str(path), "--yes") == 0
    said = capsys.readouterr().err
    word = said.partition("; vmio undo ")[2].partition(" restores")[0]
    done = subprocess.run(["bash", "-c", f"echo {word}"], capture_output=True, check=True)
    assert call("undo", done.stdout.decode().removesuffix("\n"), "--yes") == 0
    assert path.read_text() == CONFIG


@pytest.mark.parametrize("name", ["web.conf", "701.conf"])
def test_undo_that_apply_names_is_of_that_config(
    name: str, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Changes are found by a VM's number; a config of another name is named by its file."""
    path = config.rename(config.parent / name)
    assert call("apply", name, "--policy", "per-disk", "--yes") == 0
    said = capsys.readouterr().err
    word = said.partition("; vmio undo ")[2].partition(" restores")[0]
    assert call("undo", word, "--yes") == 0
    assert path.read_text() == CONFIG


def test_command_holds_the_very_bytes_of_a_drive(config: Path) -> None:
    """A shell gives qm the name of the volume as it is, text or not."""
    drive = b"local-lvm:vm-701-caf\xe9,size=32G"
    config.write_bytes(b"scsi0: " + drive + b"\nscsihw: virtio-scsi-single\n")
    argv = (sys.executable, "-m", "vmio", "apply", "701.conf", "--policy", "per-disk")
    line = subprocess.run((*argv, "--commands"), capture_output=True, check=True).stdout
    shell = b"qm() { printf '%s\\n' \"$@\"; }; " + line
    words = subprocess.run(["bash", "-c", shell], capture_output=True, check=True).stdout
    assert drive.replace(b",", b",iothread=1,") in words.split(b"\n")


def test_config_that_is_no_line_has_no_plan(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A volume's name with a control character would be in a command that a person runs."""
    config.write_text("cores: 2\nsata0: local-lvm:\x1b]0;b,size=1G\n")
    assert call("plan", "701.conf", "--policy", "per-disk") == 3
    assert r"\x1b" in capsys.readouterr().err


def test_bytes_that_are_no_text_are_never_written_back_as_others(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No plan rewrites args that it could not read."""
    text = b"args: -name caf\xe9\nvirtio0: local-lvm:1\nvirtio1: local-lvm:2\n"
    config.write_bytes(text)
    assert call("apply", "701.conf", "--policy", "shared", "--yes") == 3
    assert r"caf\ufffd" in capsys.readouterr().err
    assert config.read_bytes() == text


def test_plan_names_the_very_bytes_of_a_volume(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A command for a person has the bytes of a name that is no text, spelled for a shell."""
    text = b"sata0: local-lvm:caf\xe9,size=32G\n"
    config.write_bytes(text)
    assert call("apply", "701.conf", "--policy", "per-disk", "--yes") == 0
    assert r"$'local-lvm:caf\351',size=32G" in capsys.readouterr().out
    assert config.read_bytes() == text
