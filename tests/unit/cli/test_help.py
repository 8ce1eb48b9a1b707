"""The help, the spellings of options, and what a shell is offered."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from vmio.cli.main import _VERBS, program
from vmio.testing import call

ROOT = Path(__file__).parents[3]
EXAMPLE = str(ROOT / "examples" / "701.conf")
TREE = str(ROOT / "examples" / "fleet")


def complete(*words: str) -> list[str]:
    """Returns what a shell is offered for the last word of a call."""
    shell = ShellComplete(program, {}, "vmio", "_VMIO_COMPLETE")
    return [item.value for item in shell.get_completions(list(words[:-1]), words[-1])]


def test_help_pages_are_those_of_the_code() -> None:
    """docs/cli is what `make docs` writes, a page for each verb."""
    made = runpy.run_path(str(ROOT / "tools" / "document_cli.py"))["render_pages"]()
    pages = {
        path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs/cli").glob("*.md")
    }

    assert pages == made, "run `make docs`"
    assert set(made) == {"README.md", *(f"{verb}.md" for verb in _VERBS)}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["chek", EXAMPLE], "No such command 'chek'. Did you mean check?"),
        (["xyzzy"], "No such command 'xyzzy'.\n"),
        (["check", "--slect", "TH"], "'--select'"),
        (["plan"], "name the guests"),
        (["plan", TREE], "hint: --all shows several in a table"),
        (["plan", EXAMPLE, "--force"], "--force requires --output FILE"),
        (["check", "--watch", "-q", EXAMPLE], "--watch and --quiet exclude each other"),
    ],
)
def test_wrong_call_says_what_was_meant(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A misspelt word gets the nearest one, and a forgotten option is named."""
    assert call(*words) == 2
    assert said in capsys.readouterr().err


def test_config_in_place_of_a_plan_says_which_option_takes_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`vmio apply CONFIG` is told of --policy and of `vmio plan -o`."""
    assert call("apply", EXAMPLE) == 3
    error = capsys.readouterr().err
    assert f"{EXAMPLE} is not a plan" in error
    assert "--policy auto plans and applies" in error


@pytest.mark.parametrize(
    ("new", "old"),
    [
        (["check", EXAMPLE, "--format", "table"], ["check", EXAMPLE, "--output", "table"]),
        (
            ["simulate", EXAMPLE, "--requests", "100", "--parameter", "poll_max_ns=0"],
            ["simulate", EXAMPLE, "--requests", "100", "--set", "poll_max_ns=0"],
        ),
        (
            ["show", EXAMPLE, "--qemu-version", "10.0.2"],
            ["show", EXAMPLE, "--set", "qemu_version=10.0.2"],
        ),
    ],
)
def test_old_spelling_does_the_same(
    new: list[str], old: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """An option that has a new name is still taken by its old one."""
    status = call(*new)
    expected = capsys.readouterr()
    assert call(*old) == status
    assert capsys.readouterr() == expected


@pytest.mark.parametrize(
    ("verb", "old"),
    [("check", "--output"), ("replay", "--qemu"), ("bench", "--job"), ("host", "--save")],
)
def test_old_spelling_is_not_shown(
    verb: str, old: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The help has the new name only."""
    assert call(verb, "--help") == 0
    assert f"{old} " not in capsys.readouterr().out


@pytest.mark.parametrize(("severity", "status"), [("info", 1), ("warning", 1), ("error", 0)])
def test_check_fails_on_what_it_is_told_to(
    severity: str, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """--fail-on decides about the exit status, and not about what is printed."""
    assert call("check", EXAMPLE, "--select", "TH001", "--fail-on", severity) == status
    assert "TH001 warning" in capsys.readouterr().out


def test_check_fails_on_what_cannot_be_read_whatever_it_is_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A file that is not there is no matter of severity."""
    assert call("check", "absent.conf", "--fail-on", "error", "-q") == 3
    assert "cannot read absent.conf" in capsys.readouterr().err


def test_quiet_check_prints_findings_only(capsys: pytest.CaptureFixture[str]) -> None:
    """With -q there is no summary."""
    assert call("check", EXAMPLE, "--select", "TH001") == 1
    loud = capsys.readouterr()
    assert call("check", EXAMPLE, "--select", "TH001", "-q") == 1
    quiet = capsys.readouterr()
    assert quiet.out == loud.out
    assert "3 warnings" in loud.err
    assert quiet.err == ""


def test_shell_is_offered_what_there_is(tmp_path: Path) -> None:
    """Rules, policies, disks, snapshots and the configs of a tree are completed."""
    assert "TH001" in complete("check", "--select", "TH")
    assert "CA001,TH001" in complete("check", "--ignore", "CA001,TH")
    assert complete("rule", "TH00") == [f"TH00{number}" for number in range(1, 10)]
    assert complete("plan", EXAMPLE, "--policy", "po") == ["pool:"]
    assert complete("explain", EXAMPLE, "scsi") == ["scsi0", "scsi1", "scsi2"]
    assert complete("bench", EXAMPLE, "--disk", "") == ["scsi0", "scsi1", "scsi2"]
    assert f"{TREE}/nodes/alpha/qemu-server/101.conf" in complete("check", f"{TREE}/")
    config = tmp_path / "100.conf"
    config.write_text("name: web\n[before]\nname: web\n[after]\nname: web\n")
    assert complete("cmd", str(config), "--snapshot", "") == ["before", "after"]


def test_shell_is_offered_nothing_that_it_could_obey(tmp_path: Path) -> None:
    """A file's name that a shell would read as more than a word is left out."""
    (tmp_path / "$(touch x).conf").write_text("name: web\n")
    (tmp_path / "100.conf").write_text("name: web\n")
    assert complete("check", f"{tmp_path}/") == [f"{tmp_path}/100.conf"]


def test_shell_is_offered_files_where_nothing_can_be_read() -> None:
    """A guest that is not there is no error while a person types."""
    assert complete("explain", "absent.conf", "") == []
    assert complete("explain", "-", "") == []
    assert complete("check", "abs") == ["abs"]
