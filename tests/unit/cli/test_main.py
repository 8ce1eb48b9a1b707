"""What the program says and exits with."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from vmio import __version__, app
from vmio.cli import main as module
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
        (["explain"], 2, "name the guests"),
        (["simulate"], 2, "Missing argument"),
        (["show", EXAMPLE, "--json", "--svg"], 2, "exclude each other"),
        (["show", "absent.conf"], 3, "cannot read absent.conf: No such file or directory"),
        (["explain", str(ROOT)], 2, "is a folder, and this takes one guest"),
        (["show", "a\0b"], 3, "cannot read"),
        (["show", sys.executable], 3, "is too large|binary"),
        (["show", EXAMPLE, "--storage", "absent.cfg"], 3, "cannot read absent.cfg"),
        (["show", EXAMPLE, "--storage", EXAMPLE], 3, "not a storage.cfg"),
        (["show", EXAMPLE, "--host", EXAMPLE], 3, "is not a host description"),
        (["show", EXAMPLE, "--set", "x"], 2, "not of the form KEY=VALUE"),
        (["show", EXAMPLE, "--snapshot", "x"], 3, "snapshot 'x' does not exist"),
        (["cmd", EXAMPLE, "--vmid", "../x"], 2, "is not a VM number"),
        (["cmd", str(ROOT / "README.md")], 2, "the VM's number is not known"),
        (
            ["cmd", EXAMPLE, "--set", "qemu_version=7.2.0"],
            3,
            "too old to run machine type",
        ),
        (
            ["cmd", EXAMPLE, "--set", "qemu_version=5.0.1"],
            3,
            "at least 6.0 is required",
        ),
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
    assert call("cmd", str(config), "--set", "qemu_version=10.0.0") == 3
    error = capsys.readouterr().err
    assert "error: storage 'nowhere' does not exist\n" in error
    assert "hint: --storage" in error


def test_setting_that_cannot_be_printed_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A family of settings that is not supported is refused, never left out."""
    config = tmp_path / "100.conf"
    config.write_text("machine: pc-i440fx-8.1\nintel-tdx: type=tdx,attestation=1\n")
    assert call("cmd", str(config), "--set", "qemu_version=10.0.0") == 3
    assert (
        "cannot print the setting 'intel-tdx: type=tdx,attestation=1' yet"
        in capsys.readouterr().err
    )


def test_bug_is_reported_as_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An exception that nobody foresaw is called a bug, and its traceback is for those who ask."""

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("boom")

    monkeypatch.setattr(app, "lay_out", fail)
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

    monkeypatch.setattr(app, "lay_out", interrupt)
    assert call("show", EXAMPLE) == 130
    assert capsys.readouterr().err.strip() == "vmio: interrupted"


@pytest.mark.parametrize("arguments", [["show"], ["cmd", "--set", "qemu_version=10.0.0"]])
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


SAYING: list[list[str]] = [
    ["--version"],
    ["check", "--help"],
    ["check", EXAMPLE],
    ["check", EXAMPLE, "--json"],
    ["cmd", EXAMPLE, "--set", "qemu_version=10.0.0"],
    ["completion", "bash"],
    ["diff", EXAMPLE, str(ROOT / "examples" / "601.conf")],
    ["explain", EXAMPLE],
    ["host"],
    ["plan", EXAMPLE],
    ["plan", EXAMPLE, "--diff"],
    ["replay", str(ROOT / "tests/data/traces/start-10.0.2.txt.xz"), "--qemu", "10.0"],
    ["rule"],
    ["show", EXAMPLE],
    ["simulate", EXAMPLE, "--qemu-version", "10.0.2", "--seeds", "2", "--requests", "100"],
]
"""Calls of what prints by click, by rich, by bytes and in pieces."""


def run_redirected(redirections: str, *arguments: str) -> tuple[int, str]:
    """Runs vmio from a shell and returns its exit status and what comes on standard error."""
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {redirections}', "sh", sys.executable, "-m", "vmio", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        # With it there is no buffer that something could be left in.
        env={key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"},
        cwd=ROOT,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("arguments", SAYING, ids=" ".join)
@pytest.mark.parametrize(
    ("redirection", "reason"),
    [
        (">&-", "Bad file descriptor"),
        ("1</dev/null", "Bad file descriptor"),
        (">/dev/full", "No space left on device"),
    ],
    ids=["closed", "for reading", "full"],
)
def test_output_that_cannot_be_written_is_one_line(
    redirection: str, reason: str, arguments: list[str]
) -> None:
    """Whatever would print it, it is said once and alike, and is no bug."""
    status, error = run_redirected(redirection, *arguments)
    own = [line for line in error.splitlines() if not line.startswith("WARN: ")]
    assert own == [f"vmio: error: cannot write the output: {reason}"]
    assert status == 4


def test_output_that_is_still_in_a_buffer_at_the_end_is_missed(tmp_path: Path) -> None:
    """Few lines for many files are written when all is done; that they are lost is told too."""
    for number in (100, 101):
        (tmp_path / f"{number}.conf").write_text("memory: 512\n")
    words = ("cmd", str(tmp_path), "--set", "qemu_version=10.0.0")
    full = (4, "vmio: error: cannot write the output: No space left on device\n")
    assert run_redirected("", *words) == (0, "")
    assert run_redirected(">/dev/full", *words) == full


@pytest.mark.parametrize("redirections", [">&-", ">/dev/full", ">&- 2>&- <&-"])
def test_output_that_there_is_none_of_is_not_missed(redirections: str, tmp_path: Path) -> None:
    """What prints nothing ends as ever, and a file that it writes is whole."""
    path = tmp_path / "host.toml"
    status, _ = run_redirected(redirections, "host", "--save", str(path), "--set", "node=n1")
    assert status == 0
    text = path.read_text(encoding="utf-8")
    assert 'node = "n1"' in text
    assert "vmio:" not in text


@pytest.mark.parametrize("words", [["check", "-"], ["show", "-"], ["replay", "-"]], ids=" ".join)
def test_closed_input_cannot_be_read(words: list[str]) -> None:
    """It is told as any other input that cannot be read."""
    if words[0] == "replay":
        words = [*words, "--qemu", "10.0"]
    status, error = run_redirected("<&-", *words)
    assert status == 3
    assert error.startswith("vmio: error: cannot read -: Bad file descriptor\n")


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full"])
@pytest.mark.parametrize(
    ("arguments", "status"),
    [(["nonsense"], 2), (["show", "absent.conf"], 3), (["show", EXAMPLE], 0)],
)
def test_status_tells_where_errors_cannot_be_written(
    redirection: str, arguments: list[str], status: int
) -> None:
    """The exit status is what it would be otherwise."""
    assert run_redirected(redirection, *arguments) == (status, "")


def test_unknown_verb_imports_no_verb() -> None:
    """Only the verb that is called is imported."""
    code = (
        "import sys; from vmio.cli.main import _run; _run(['--version']);"
        "print(sorted(m for m in sys.modules if m.startswith('vmio')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    own = ["vmio", "vmio.characters", "vmio.cli", "vmio.cli.main", "vmio.cli.terminal"]
    assert done.stdout.splitlines()[1] == str([*own, "vmio.errors", "vmio.patterns"])


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script_is_printed(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each shell has its script."""
    assert call("completion", shell) == 0
    assert "_VMIO_COMPLETE" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("encoding", "written"),
    [("utf-8", b"\xff\xc3\xa9 \\ud800"), ("ascii", b"\xff\\xe9 \\ud800")],
)
def test_text_that_the_output_cannot_encode_is_written_all_the_same(
    monkeypatch: pytest.MonkeyPatch, encoding: str, written: bytes
) -> None:
    """A name that is no UTF-8 as its bytes, what the encoding has not as Python escapes it."""
    data = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(data, encoding=encoding))
    module._write_anything()
    sys.stdout.write("\udcffé \ud800")
    sys.stdout.flush()
    assert data.getvalue() == written
