"""`vmio check --fix` where some files may not be changed, and `--diff`, which says the same."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

import pytest

from vmio import app
from vmio.testing import call

CONFIG = "cores: 1\nscsi0: local-lvm:vm-1-disk-0,cache=unsafe\nscsihw: virtio-scsi-single\n"
FIXED = CONFIG.replace("unsafe", "writeback")
RULES = ("--select", "SA001")


@pytest.fixture(name="fleet")
def make_fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns a folder of twelve configs with a finding each; the fifth is under an operation."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "fleet"
    folder.mkdir()
    for number in range(101, 113):
        lock = "lock: backup\n" if number == 105 else ""
        (folder / f"{number}.conf").write_text(CONFIG + lock, encoding="utf-8")
    return Path("fleet")


def count_fixed(folder: Path) -> int:
    """Returns how many configs have no finding any more."""
    return sum(path.read_text(encoding="utf-8") == FIXED for path in folder.iterdir())


def test_fix_of_a_fleet_tells_what_it_left_and_why(
    fleet: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The one that is locked keeps its finding, which is shown and counted; the rest is fixed."""
    assert call("check", "--fix", str(fleet), *RULES) == 1
    out, err = capsys.readouterr()
    assert out.startswith("105: 1 error\n")
    assert "error: SA001 of fleet/105.conf not fixed: fleet/105.conf has 'lock: backup'" in err
    assert err.endswith(
        "fixed 11 findings in 11 files\ncould not fix 1 finding in 1 file\n"
        "1 error left in 12 files\n"
    )
    assert count_fixed(fleet) == 11


@pytest.mark.parametrize("jobs", ["1", "3"])
def test_diff_promises_what_fix_does(
    fleet: Path, capsys: pytest.CaptureFixture[str], jobs: str
) -> None:
    """A patch has the files in it that would be written, however many processes look at them."""
    assert call("check", "--diff", "--jobs", jobs, str(fleet), *RULES) == 1
    out, err = capsys.readouterr()
    assert out.count("\n+++ ") == 11
    assert "105.conf" not in out
    assert err.endswith(
        "would fix 11 findings in 11 files\nwould not fix 1 finding in 1 file\n"
        "1 error would be left in 12 files\n"
    )
    assert count_fixed(fleet) == 0


@pytest.mark.parametrize("words", [("--fix",), ("--diff",)])
@pytest.mark.parametrize("place", ["file", "folder"])
def test_what_is_read_only_is_left(
    fleet: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], place: str
) -> None:
    """A file or a folder whose mode lets nobody write is not written by root either."""
    path = fleet / "101.conf"
    (path if place == "file" else fleet).chmod(0o440 if place == "file" else 0o555)
    try:
        assert call("check", *words, str(path), *RULES) == 1
    finally:
        fleet.chmod(0o755)
    out, err = capsys.readouterr()
    assert "SA001" in out or words == ("--diff",)
    assert "SA001 of fleet/101.conf not fixed: cannot write" in err
    assert "1 error left in 1 file" in err or "1 error would be left in 1 file" in err
    assert path.read_text(encoding="utf-8") == CONFIG


@pytest.mark.parametrize("meanwhile", ["changed", "gone"])
def test_config_that_changes_meanwhile_keeps_its_findings(fleet: Path, meanwhile: str) -> None:
    """What somebody else has just written stays, and what was read is told with the reason."""
    path, host = fleet / "101.conf", app.read_host(None, [])
    guest = app.load(str(path), host=host)
    if meanwhile == "gone":
        path.unlink()
    else:
        path.write_text("name: mine\n", encoding="utf-8")
    project = app.read_project_config(None, select=("SA001",))
    for write in (True, False):
        checked = app.fix(guest, host, project=project, write=write)
        assert [finding.code for finding in checked.diagnostics] == ["SA001"]
        assert [finding.code for finding in checked.unfixed] == ["SA001"]
        assert checked.refusal is not None
        assert checked.fixed == ()
    assert meanwhile == "gone" or path.read_text(encoding="utf-8") == "name: mine\n"


def test_lock_that_another_process_holds_is_told_by_a_dry_run_at_once(
    fleet: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A copy of a config is locked by its folder; nothing is waited for to show a patch."""
    holder = os.open(fleet, os.O_RDONLY)
    try:
        fcntl.flock(holder, fcntl.LOCK_EX)
        assert call("check", "--diff", str(fleet / "101.conf"), *RULES) == 1
    finally:
        os.close(holder)
    out, err = capsys.readouterr()
    assert out == ""
    assert "is locked by another process\n" in err


@pytest.mark.parametrize("word", ["--fix", "--diff"])
def test_fix_that_keeps_no_backup_is_not_made(
    fleet: Path, capsys: pytest.CaptureFixture[str], word: str
) -> None:
    """Where no old state can be kept nothing is written, and each file says why."""
    Path("state").write_text("a file", encoding="utf-8")
    assert call("check", word, str(fleet / "101.conf"), *RULES) == 1
    assert "not fixed: cannot keep a backup" in capsys.readouterr().err
    assert count_fixed(fleet) == 0


@pytest.mark.parametrize("words", [("--fix",), ("--unsafe-fixes",)])
def test_fix_of_standard_input_is_refused_at_once(
    words: tuple[str, ...], fleet: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """There is no file to write, so no file beside it is written either."""
    assert call("check", *words, str(fleet), "-") == 2
    assert "standard input cannot be fixed" in capsys.readouterr().err
    assert count_fixed(fleet) == 0


def test_documents_tell_what_was_not_fixed(
    fleet: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each form for programs has the finding that is left and the reason."""
    locked = str(fleet / "105.conf")
    assert call("check", "--fix", "--json", locked, *RULES) == 1
    document = json.loads(capsys.readouterr().out)["data"]
    (file,) = document["files"]
    assert file["error"] is None
    assert file["refusal"]["message"] == f"{locked} has 'lock: backup'"
    assert [finding["code"] for finding in file["findings"]] == ["SA001"]
    assert document["counts"] == document["counts"] | {"unreadable": 0, "unfixed": 1, "error": 1}

    assert call("check", "--fix", "--output", "sarif", locked, *RULES) == 1
    (run,) = json.loads(capsys.readouterr().out)["runs"]
    (invocation,) = run["invocations"]
    (notice,) = invocation["toolExecutionNotifications"]
    assert invocation["executionSuccessful"]
    assert notice["level"] == "warning"
    assert notice["message"]["text"] == f"not fixed: {locked} has 'lock: backup'"

    assert call("check", "--fix", "--output", "github", locked, *RULES) == 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == f"::warning file={locked},title=not fixed::{locked} has 'lock: backup'"

    assert call("check", "--fix", "--output", "table", locked, *RULES) == 1
    assert f"SA001 cache-unsafe; not fixed: {locked} has" in capsys.readouterr().out
