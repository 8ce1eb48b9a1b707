"""`vmio check --watch` as a person calls it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from vmio.app.inputs import CheckInputs
from vmio.cli import check_watch
from vmio.cli.main import main
from vmio.host import running
from vmio.host.running import RunningQemus
from vmio.managers.proxmox import pmxcfs
from vmio.testing import call

IGNORED = "cores: 1\nscsi0: local-lvm:vm-1-disk-0,iothread=1\nscsihw: virtio-scsi-pci\n"
CLEAN = IGNORED.replace("-pci", "-single")
PROGRAM = """\
import sys
from vmio.fleet import watch
watch.INTERVAL_S = 0.02
from vmio.cli.main import main
main(sys.argv[1:])
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Returns a folder with a config that has a finding and one that has none."""
    (tmp_path / "100.conf").write_text(IGNORED, encoding="utf-8")
    (tmp_path / "101.conf").write_text(CLEAN, encoding="utf-8")
    return tmp_path


def start(folder: Path) -> subprocess.Popen[str]:
    """Starts watching a folder, and returns when its first check is done."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "check", "--watch", "--select", "TH", "."],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    read_until(process.stderr, "watching 2 files")
    return process


def read_until(lines: Iterator[str], text: str) -> list[str]:
    """Returns the lines up to one that has a text in it; without any the test fails."""
    read: list[str] = []
    for line in lines:
        read.append(line)
        if text in line:
            return read
    pytest.fail(f"{text!r} was not among {read}")


def replace(path: Path, text: str) -> None:
    """Puts a text in a file's place at once."""
    new = path.with_suffix(".new")
    new.write_text(text, encoding="utf-8")
    new.rename(path)


def is_alone(group: int) -> bool:
    """Returns whether no process of a group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_watch_prints_what_changes_until_a_signal_ends_it(
    folder: Path, number: signal.Signals, status: int
) -> None:
    """New and settled findings come with a time; the end is silent and leaves nothing behind."""
    with start(folder) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert read_until(process.stdout, "fix (")[0] == "100: 1 warning\n"
        replace(folder / "101.conf", IGNORED)
        new = read_until(process.stdout, "fix (")
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\n", new[1])
        assert new[2] == "101: 1 warning\n"
        assert "101.conf:2:30: TH001 warning" in new[3]
        replace(folder / "100.conf", CLEAN)
        settled = read_until(process.stdout, "settled")
        assert settled[-1] == "settled: 100 scsi0 TH001 iothread-ignored-by-controller\n"
        replace(folder / "101.conf", "\0")
        read_until(process.stderr, "101.conf is binary")
        replace(folder / "101.conf", IGNORED)
        read_until(process.stdout, "readable again: ./101.conf")
        (folder / "101.conf").unlink()
        read_until(process.stdout, "gone: ./101.conf")
        process.send_signal(number)
        out, err = process.communicate(timeout=240)
        assert process.returncode == status
        assert out == ""
        assert err == ("\nvmio: interrupted\n" if number == signal.SIGINT else "")
    assert is_alone(process.pid)


def test_watch_follows_changes_of_the_project_config(folder: Path) -> None:
    """What a new vmio.toml leaves out or accepts is told; a half-written one changes nothing."""
    with start(folder) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        read_until(process.stdout, "fix (")
        replace(folder / "vmio.toml", "[check")
        read_until(process.stderr, "vmio.toml is not TOML")
        replace(folder / "vmio.toml", '[check]\nignore = ["TH001"]\n')
        settled = read_until(process.stdout, "settled")
        assert settled[2:] == ["settled: 100 scsi0 TH001 iothread-ignored-by-controller\n"]
        (folder / "vmio.toml").unlink()
        read_until(process.stdout, "fix (")
        exception = '[[exceptions]]\nvm = 100\nrules = ["TH001"]\nreason = "known"\n'
        replace(folder / "vmio.toml", exception)
        accepted = read_until(process.stdout, "accepted")
        assert accepted[2:] == ["accepted: 100 scsi0 TH001 iothread-ignored-by-controller\n"]
        process.terminate()


def test_watch_ends_when_nobody_reads_any_more(folder: Path) -> None:
    """It need not wait for something to print to notice that."""
    with start(folder) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=240) == 0


@pytest.mark.parametrize(
    "words",
    [
        ["-"],
        ["--fix", "100.conf"],
        ["--diff", "100.conf"],
        ["--fix", "--dry-run", "100.conf"],
        ["--json", "100.conf"],
        ["--output", "table", "100.conf"],
        ["--statistics", "100.conf"],
    ],
)
def test_watch_with_what_cannot_be_watched_is_a_usage_error(
    words: list[str],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It ends at once, and the files stay as they are."""
    monkeypatch.chdir(folder)
    with pytest.raises(SystemExit) as caught:
        main(["check", "--watch", *words])
    assert caught.value.code == 2
    assert "--watch" in capsys.readouterr().err
    assert (folder / "100.conf").read_text(encoding="utf-8") == IGNORED


def test_watch_without_addresses_follows_processes_that_start_later(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is about all guests of this host, so those of the start would not do."""
    pids = [7]
    monkeypatch.setattr(pmxcfs, "PVE", tmp_path / "none")
    monkeypatch.setattr(running, "find_qemus", lambda: RunningQemus(pids=tuple(pids)))
    seen: list[list[str]] = []

    def follow(inputs: CheckInputs, _report: object, *, workers: int | None) -> NoReturn:
        seen.append([vm.path for vm in inputs.find_vms()])
        pids[:] = [8, 9]
        seen.append([vm.path for vm in inputs.find_vms()])
        pids.clear()
        seen.append([vm.path for vm in inputs.find_vms()])
        raise KeyboardInterrupt(workers)

    monkeypatch.setattr(check_watch, "follow", follow)
    call("check", "--watch")
    assert seen == [["pid:7"], ["pid:8", "pid:9"], []]
