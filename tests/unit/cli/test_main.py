"""What the program says and exits with."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vmio import __version__, api
from vmio.testing import call

ROOT = Path(__file__).parents[3]
EXAMPLE = str(ROOT / "examples" / "701.conf")


def test_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` prints the name and the version."""
    assert call("--version") == 0
    assert capsys.readouterr().out == f"vmio {__version__}\n"


def test_help_lists_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    """Each module of `vmio.cli` that has a command is a verb in the help."""
    assert call("--help") == 0
    text = capsys.readouterr().out
    folder = ROOT / "src" / "vmio" / "cli"
    verbs = [path.stem for path in folder.glob("*.py") if "@click.command" in path.read_text()]
    verbs.remove("main")
    assert verbs
    for verb in verbs:
        assert f"\n  {verb} " in text
        assert call(verb, "--help") == 0


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["nonsense"], 2, "No such command"),
        (["show"], 2, "Missing argument"),
        (["show", EXAMPLE, "--json", "--svg"], 2, "exclude each other"),
        (["show", "absent.conf"], 3, "cannot read absent.conf: No such file or directory"),
        (["show", str(ROOT)], 3, "Is a directory"),
        (["show", "a\0b"], 3, "cannot read"),
        (["show", sys.executable], 3, "is too large|binary"),
        (["show", EXAMPLE, "--storage", "absent.cfg"], 3, "cannot read absent.cfg"),
        (["show", EXAMPLE, "--storage", EXAMPLE], 3, "not a storage.cfg"),
        (["show", EXAMPLE, "--host", EXAMPLE], 3, "is not a host description"),
        (["show", EXAMPLE, "--set", "x"], 2, "not of the form KEY=VALUE"),
        (["show", EXAMPLE, "--snapshot", "x"], 3, "snapshot 'x' does not exist"),
        (["cmd", EXAMPLE, "--vmid", "../x"], 2, "is not a VM's number"),
        (["cmd", str(ROOT / "README.md")], 2, "the VM's number is not known"),
        (["cmd", EXAMPLE, "--set", 'qemu_version="7.2.0"'], 3, "too old to run machine type"),
        (["cmd", EXAMPLE, "--set", 'qemu_version="5.0.1"'], 3, "at least 6.0 is required"),
    ],
)
def test_error_is_one_line_with_its_status(
    arguments: list[str], status: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong call or a wrong file: one line on standard error, nothing on standard output."""
    import re

    assert call(*arguments) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    assert re.search(words, captured.err)
    assert "Traceback" not in captured.err


def test_unknown_storage_is_named_with_a_hint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A volume on a storage that there is not is an error that names the storage."""
    config = tmp_path / "100.conf"
    config.write_text("machine: pc-i440fx-8.1\nscsi0: nowhere:vm-100-disk-0\n")
    (tmp_path / "storage.cfg").write_text("")
    assert call("cmd", str(config), "--set", 'qemu_version="10.0.0"') == 3
    error = capsys.readouterr().err
    assert "error: storage 'nowhere' does not exist\n" in error
    assert "hint: --storage" in error


def test_setting_that_cannot_be_printed_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A family of settings that is not supported is refused, never left out."""
    config = tmp_path / "100.conf"
    config.write_text("machine: pc-i440fx-8.1\nintel-tdx: type=tdx\n")
    assert call("cmd", str(config), "--set", 'qemu_version="10.0.0"') == 3
    assert "cannot print the setting 'intel-tdx: type=tdx' yet" in capsys.readouterr().err


def test_bug_is_reported_as_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An exception that nobody foresaw is called a bug, and its traceback is for those who ask."""

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("boom")

    monkeypatch.setattr(api, "plan", fail)
    assert call("show", EXAMPLE) == 70
    error = capsys.readouterr().err
    assert "this is a bug in vmio: ZeroDivisionError: boom" in error
    assert "Traceback" not in error
    monkeypatch.setenv("VMIO_DEBUG", "1")
    assert call("show", EXAMPLE) == 70
    assert "Traceback" in capsys.readouterr().err


def test_interrupt_ends_with_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C is no error and no bug."""

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "plan", interrupt)
    assert call("show", EXAMPLE) == 130
    assert capsys.readouterr().err.strip() == "vmio: interrupted"


@pytest.mark.parametrize("arguments", [["show"], ["cmd", "--set", 'qemu_version="10.0.0"']])
def test_closed_pipe_is_no_error(arguments: list[str]) -> None:
    """A reader that goes away, as `head` does, leaves no complaint."""
    program = [sys.executable, "-m", "vmio", *arguments, EXAMPLE]
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        done = subprocess.run(program, stdout=pipe, stderr=subprocess.PIPE, check=False, cwd=ROOT)
    assert done.returncode == 0
    assert b"vmio:" not in done.stderr
    assert b"Error" not in done.stderr


def test_unknown_verb_imports_no_verb() -> None:
    """Only the verb that is called is imported."""
    code = (
        "import sys; from vmio.cli.main import _run; _run(['--version']);"
        "print(sorted(m for m in sys.modules if m.startswith('vmio')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.splitlines()[1] == str(["vmio", "vmio.cli", "vmio.cli.main", "vmio.errors"])


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script_is_printed(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each shell has its script."""
    assert call("completion", shell) == 0
    assert "_VMIO_COMPLETE" in capsys.readouterr().out
