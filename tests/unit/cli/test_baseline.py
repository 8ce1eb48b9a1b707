"""`vmio baseline` and `vmio.toml` as a person uses them, and `vmio check --fix`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from vmio.testing import call

CONFIG = """\
cores: 1
scsi0: local-lvm:vm-1-disk-0,aio=native,cache=writeback,iothread=1
scsihw: virtio-scsi-pci
[PENDING]
scsi0: local-lvm:vm-1-disk-0,aio=native,cache=writeback
[before]
scsi0: local-lvm:vm-1-disk-0,aio=native,cache=writeback,iothread=1
scsihw: virtio-scsi-pci
"""
RULES = ("--select", "CA001,TH001", "--set", "qemu_version=10.0.2")


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns a config with a safe and an unsafe fix, in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    path = Path("100.conf")
    path.write_text(CONFIG, encoding="utf-8")
    return path


def test_baseline_hides_what_is_there_and_tells_what_comes(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """After a baseline nothing is found, until a new mistake is made."""
    assert call("baseline", str(config), *RULES) == 0
    assert "wrote vmio-baseline.json: 2 findings of 1 VM" in capsys.readouterr().err
    assert call("check", str(config), *RULES) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert "2 accepted findings not shown" in err
    config.write_text(
        CONFIG.replace("scsihw", "scsi1: local-lvm:vm-1-disk-1,iothread=1\nscsihw", 1),
        encoding="utf-8",
    )
    assert call("check", str(config), *RULES) == 1
    assert capsys.readouterr().out.count("TH001") == 1


def test_baseline_tells_and_forgets_what_is_gone(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was fixed is told as gone, and --update takes it out of the file."""
    assert call("baseline", str(config), "-o", "known.json", *RULES) == 0
    config.write_text(CONFIG.replace("aio=native,", ""), encoding="utf-8")
    assert call("check", "--baseline", "known.json", str(config), *RULES) == 0
    assert "1 finding of the baseline is gone" in capsys.readouterr().err
    assert call("baseline", "--update", "-o", "known.json", str(config), *RULES) == 0
    assert "1 finding of 1 VM, 0 new, 1 gone" in capsys.readouterr().err
    assert call("check", "--baseline", "known.json", str(config), *RULES) == 0
    assert "gone" not in capsys.readouterr().err


def test_baseline_replaces_no_file_unasked(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that is there already is only brought up to date, and only when asked to."""
    Path("vmio-baseline.json").write_text("mine", encoding="utf-8")
    assert call("baseline", str(config), *RULES) == 2
    assert "--update" in capsys.readouterr().err
    assert call("baseline", "--update", str(config), *RULES) == 3
    assert Path("vmio-baseline.json").read_text(encoding="utf-8") == "mine"


def test_mistyped_guest_leaves_no_empty_baseline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It would be in the way of the next call, which is the one that was meant."""
    monkeypatch.chdir(tmp_path)
    assert call("baseline", "wbe1") == 3
    assert "cannot read wbe1" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    (tmp_path / "100.conf").write_text("scsi0: /a.raw,iothread=1\n")
    assert call("baseline", "100.conf", "wbe1") == 3
    assert (tmp_path / "vmio-baseline.json").exists()


def test_baseline_keeps_what_it_cannot_look_at(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A config that cannot be read ends with 3, and what is known of it stays."""
    assert call("baseline", str(config), *RULES) == 0
    config.write_bytes(b"\0")
    assert call("baseline", "--update", str(config), *RULES) == 3
    assert "2 findings of 1 VM, 0 new, 0 gone" in capsys.readouterr().err


@pytest.mark.usefixtures("config")
def test_check_of_a_missing_baseline_is_an_input_error() -> None:
    """A baseline that is named has to be there."""
    assert call("check", "--baseline", "missing.json", "100.conf", *RULES) == 3


def test_check_uses_the_project_config_above(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """vmio.toml in a folder above counts, with its exceptions and its baseline beside it."""
    Path("vmio.toml").write_text(
        '[rules.CA001]\nseverity = "info"\n'
        '[[exceptions]]\nvm = 100\ndisk = "scsi0"\nrules = ["TH001"]\nreason = "in March"\n',
        encoding="utf-8",
    )
    below = Path("below")
    below.mkdir()
    monkeypatch.chdir(below)
    assert call("check", f"../{config}", *RULES) == 1
    out, err = capsys.readouterr()
    assert "CA001 info" in out
    assert "TH001" not in out
    assert "1 accepted finding not shown" in err
    assert call("check", "--severity", "warning", f"../{config}", *RULES) == 0
    assert call("baseline", f"../{config}", *RULES) == 0
    assert Path("../vmio-baseline.json").is_file()
    capsys.readouterr()
    assert call("check", f"../{config}", *RULES) == 0
    assert "2 accepted findings not shown" in capsys.readouterr().err


@pytest.mark.usefixtures("config")
def test_check_reports_a_slip_in_the_project_config(capsys: pytest.CaptureFixture[str]) -> None:
    """A slip ends the run with its line, before any config is checked."""
    Path("project.toml").write_text('[check]\nseverty = "info"\n', encoding="utf-8")
    assert call("check", "--config", "project.toml", "100.conf") == 3
    err = capsys.readouterr().err
    assert "project.toml:2: there is no key 'check.severty'" in err
    assert "did you mean severity?" in err


def test_fix_makes_safe_fixes_and_tells_what_is_left(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """--fix changes the VM's own section by what is safe, and nothing else."""
    assert call("check", "--fix", str(config), *RULES) == 1
    out, err = capsys.readouterr()
    assert "TH001" in out
    assert "CA001" not in out
    assert err.startswith("fixed 1 finding in 1 file\n1 warning left in 1 file\n")
    assert config.read_text(encoding="utf-8") == CONFIG.replace("aio=native,", "", 1)


def test_unsafe_fixes_makes_the_rest(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--unsafe-fixes makes those too that the guest may notice; snapshots stay as they are."""
    assert call("check", "--unsafe-fixes", str(config), *RULES) == 0
    assert "fixed 2 findings" in capsys.readouterr().err
    fixed = CONFIG.replace("aio=native,", "", 1).replace("scsi-pci", "scsi-single", 1)
    assert config.read_text(encoding="utf-8") == fixed
    assert call("check", str(config), *RULES) == 0


@pytest.mark.parametrize("words", [("--diff",), ("--fix", "--dry-run"), ("--fix", "--diff")])
def test_fixing_writes_nothing_when_it_only_shows(
    words: tuple[str, ...], config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """--diff and --dry-run leave the file alone and exit with 1 where something would change."""
    assert call("check", *words, str(config), *RULES) == 1
    out, err = capsys.readouterr()
    assert config.read_text(encoding="utf-8") == CONFIG
    assert err.startswith("would fix 1 finding in 1 file\n")
    assert ("--- 100.conf\n+++ 100.conf\n@@ " in out) == ("--diff" in words)


@pytest.mark.usefixtures("config")
@pytest.mark.parametrize(
    "words", [("--dry-run",), ("--json", "--output", "sarif"), ("--diff", "--json")]
)
def test_options_that_contradict_are_a_usage_error(words: tuple[str, ...]) -> None:
    """What makes no sense together is said before anything is done."""
    assert call("check", *words, "100.conf") == 2


def test_fix_leaves_accepted_findings_alone(config: Path) -> None:
    """What a baseline knows is not fixed either."""
    assert call("baseline", str(config), *RULES) == 0
    assert call("check", "--unsafe-fixes", str(config), *RULES) == 0
    assert config.read_text(encoding="utf-8") == CONFIG


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_fix_of_a_folder_that_cannot_be_written(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What cannot be written keeps its findings, and the file stays as it was."""
    tmp_path.chmod(0o500)
    try:
        assert call("check", "--fix", str(config), *RULES) == 1
    finally:
        tmp_path.chmod(0o700)
    assert config.read_text(encoding="utf-8") == CONFIG
    assert "cannot" in capsys.readouterr().err


@pytest.mark.parametrize("output", ["json", "sarif"])
def test_documents_are_whole_when_nothing_can_be_read(
    output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run in which every file is missing still prints one document."""
    assert call("check", "--output", output, "missing.conf") == 3
    assert isinstance(json.loads(capsys.readouterr().out), dict)


@pytest.mark.parametrize("output", ["text", "json", "table"])
def test_output_to_a_full_disk_is_an_output_error(output: str, config: Path) -> None:
    """Where standard output cannot be written it is said in one line, and is no bug."""
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "vmio", "check", "--output", output, str(config), *RULES],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 4
    assert done.stderr == "vmio: error: cannot write the output: No space left on device\n"
