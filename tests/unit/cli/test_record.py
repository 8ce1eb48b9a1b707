"""`vmio record` and `vmio report` without a guest: arguments, files, what is printed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from vmio.observe.recording import create_recording, read_recording
from vmio.testing import call
from vmio.values import replace

RECORDED = Path(__file__).parents[2] / "data" / "guests" / "db.jsonl.gz"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--time", "soon"), "'soon' is not a time, such as 30s, 10m or 2h"),
        (("--time", "0"), "'0' is not a time"),
        (("--max-size", "1"), "'1' is not a size, such as 256M, of at least 64 KiB"),
        (("--interval", "0"), "not in the range 0.1<=x<=600"),
        (("--interval", "nan"), "nan is not a number"),
    ],
)
def test_wrong_options_are_refused(
    words: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line, before anything is written."""
    assert call("record", "-o", str(tmp_path / "a"), *words) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_guest_that_does_not_run_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As by `vmio ps`, and no file is left."""
    assert call("record", "no-such-guest", "-o", str(tmp_path / "a")) == 3
    assert "no-such-guest" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_existing_file_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Unless --force is given."""
    path = tmp_path / "a"
    path.write_text("mine")
    assert call("record", "-o", str(path), "--time", "1") == 2
    assert "exists already" in capsys.readouterr().err
    assert path.read_text() == "mine"


def test_trace_without_tracefs_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what root could do, and no file is left."""
    monkeypatch.setattr("vmio.observe.kernel_trace._PLACES", (tmp_path / "nowhere",))
    assert call("record", "-o", str(tmp_path / "a"), "--trace") == 4
    assert "this host shows no tracefs" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_report_prints_what_limited_a_guest(capsys: pytest.CaptureFixture[str]) -> None:
    """The sentence is first."""
    assert call("report", str(RECORDED)) == 0
    out = capsys.readouterr().out
    assert out.startswith("db, 1 min 50 s: ")
    assert "vd1 is held back by its own limit" in out


def test_report_writes_a_page_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both of the same recording, in one call."""
    page = tmp_path / "page.html"
    assert call("report", str(RECORDED), "-o", str(page), "--json") == 0
    printed = capsys.readouterr()
    document = json.loads(printed.out)
    assert document["kind"] == "history"
    (guest,) = document["data"]["guests"]
    assert guest["name"] == "db"
    assert [each["id"] for each in guest["disks"]] == ["vd0", "vd1", "vd2", "vd3", "vd4"]
    assert document["data"]["summary"] in page.read_text(encoding="utf-8")
    assert f"wrote {page}" in printed.err


def test_page_is_written_even_if_nobody_reads_the_tables(tmp_path: Path) -> None:
    """As with `| head`: the pipe is closed before the tables are printed."""
    page = tmp_path / "page.html"
    reading, writing = os.pipe()
    os.close(reading)
    argv = (sys.executable, "-m", "vmio", "report", str(RECORDED), "-o", str(page))
    subprocess.run(argv, stdout=writing, stderr=subprocess.DEVNULL, check=False)
    os.close(writing)
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_report_of_a_cut_recording_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is there is reported."""
    path = tmp_path / "cut.jsonl.gz"
    path.write_bytes(RECORDED.read_bytes()[:20_000])
    assert call("report", str(path)) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("db, ")
    assert "ends in the middle of an archive" in printed.err


def test_names_in_a_recording_control_no_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A recording can come from anybody."""
    path = tmp_path / "a"
    (first, *_) = read_recording(str(RECORDED))
    (observation,) = first.observations
    hostile = replace(observation, guest=replace(observation.guest, name="a\x1b[2J\nb\u202e"))
    with create_recording(path, interval_s=1, max_bytes=1 << 20) as writer:
        assert writer.write(replace(first, observations=(hostile,)))
    assert call("report", str(path)) == 0
    printed = capsys.readouterr().out
    assert not {"\x1b", "\u202e"} & {*printed}
    assert printed.startswith(r"a\x1b[2J\nb\u202e, 0 s: too short for a verdict")


def test_page_does_not_replace_the_recording(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A slip of the hand must not cost a night's figures."""
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(RECORDED.read_bytes())
    assert call("report", str(path), "-o", f"{tmp_path}/./a.jsonl.gz") == 2
    assert "is not a page, so it is not replaced" in capsys.readouterr().err
    assert path.read_bytes() == RECORDED.read_bytes()


def test_page_that_cannot_be_written_is_told_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before the recording is read."""
    assert call("report", "no-such-file", "-o", str(tmp_path)) == 4
    printed = capsys.readouterr().err
    assert "it is a folder" in printed
    assert "name another file with --output" in printed


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("scsi0: local:1\n", "is not a recording of guests"),
        (
            '{"format":"vmio-recording","schema":1,"vmio":"1","interval_s":1}\n',
            "has no looks",
        ),
    ],
)
def test_report_of_another_file_is_refused(
    text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line; a page is not written."""
    path = tmp_path / "a"
    path.write_text(text)
    assert call("report", str(path), "-o", str(tmp_path / "page")) == 3
    assert message in capsys.readouterr().err
    assert not (tmp_path / "page").exists()
