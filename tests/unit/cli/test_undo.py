"""`vmio undo`, as a person calls it after a run over many configs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vmio.testing import call

CONFIG = "cores: 1\nscsi0: local-lvm:vm-1-disk-0,cache=unsafe\nscsihw: virtio-scsi-single\n"


@pytest.fixture(name="fleet")
def make_fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Returns twelve configs that one call has fixed."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "fleet"
    folder.mkdir()
    paths = [folder / f"{number}.conf" for number in range(101, 113)]
    for path in paths:
        path.write_text(CONFIG, encoding="utf-8")
    assert call("check", "--fix", "fleet", "--select", "SA001") == 0
    return paths


def count_restored(fleet: list[Path]) -> int:
    """Returns how many configs are as they were."""
    return sum(path.read_text(encoding="utf-8") == CONFIG for path in fleet)


def test_run_is_undone_and_redone(fleet: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    """All twelve go back with one call, and the next one takes that back."""
    assert count_restored(fleet) == 0
    assert call("undo", "--dry-run") == 0
    assert capsys.readouterr().out.count("\n+++ ") == 12
    assert call("undo", "--yes") == 0
    assert count_restored(fleet) == 12
    assert call("undo", "--yes") == 0
    assert count_restored(fleet) == 0


def test_config_that_cannot_go_back_is_told_and_keeps_no_other(
    fleet: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit status and a line each tell which are left, and why."""
    with fleet[4].open("a", encoding="utf-8") as file:
        file.write("name: mine\n")
    assert call("undo", "--yes", "--json") == 3
    out, err = capsys.readouterr()
    document = json.loads(out)["data"]
    assert count_restored(fleet) == 11
    assert len(document["configs"]) == 11
    (left,) = document["left"]
    assert left["path"] == str(fleet[4])
    assert "vmio: error: not restored: " in err
    assert left["message"] in err


def test_list_shows_runs_and_a_guests_changes(
    fleet: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Each run has a line with its name and its configs below; a guest's list has its changes."""
    assert call("undo", "105", "--yes") == 0
    capsys.readouterr()
    assert call("undo", "--list") == 0
    lines = capsys.readouterr().out.splitlines()
    heads = [line for line in lines if not line.startswith(" ")]
    assert [head.split("  ")[2] for head in heads] == [
        "vmio check --fix",
        "undo 1: vmio check --fix",
    ]
    assert len(lines) == 2 + 12 + 1

    run = heads[0].split()[1]
    assert call("undo", "--run", run, "--yes") == 0
    assert count_restored(fleet) == 12
    assert capsys.readouterr().out.count("\n+++ ") == 11

    assert call("undo", "--list", "105") == 0
    assert len(capsys.readouterr().out.splitlines()) == 1 + 2


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--list", "--run", "a"), "--list changes nothing"),
        (("--run", "a", "101"), "--run and VM exclude"),
        (("--to", "1"), "--to requires VM"),
        (("--run", "nope", "--yes"), "there is no run 'nope'"),
    ],
)
def test_words_that_make_no_sense_are_refused(
    words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A call that contradicts itself, or names what is not there, changes nothing."""
    assert call("undo", *words) == 2
    assert message in capsys.readouterr().err
