"""`vmio replay TRACE`."""

from __future__ import annotations

import contextlib
import lzma
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from vmio.cli.replay import command
from vmio.errors import InputError, UsageError
from vmio.formats.qemu.trace import parse_trace

TRACE = Path(__file__).parents[2] / "data" / "traces" / "start-10.0.2.txt.xz"


def replay(*words: str) -> str:
    """Runs the verb and returns what it prints."""
    run = CliRunner().invoke(command, list(words), standalone_mode=False)
    if run.exception is not None:
        raise run.exception
    return run.stdout


def test_trace_is_told() -> None:
    """A real trace's loop is told whole, within 80 columns."""
    told = replay(str(TRACE), "--qemu", "10.0")
    assert "as computed: events 2526/2526, budgets 4735/4735" in told
    assert max(map(len, told.splitlines())) <= 80


@pytest.mark.parametrize("keep", [-100, -1])
def test_trace_that_is_cut_off_is_refused(tmp_path: Path, keep: int) -> None:
    """Neither an archive nor a text that ends in the middle is told as if it were whole."""
    (tmp_path / "a.xz").write_bytes(TRACE.read_bytes()[:keep])
    (tmp_path / "a.txt").write_bytes(lzma.decompress(TRACE.read_bytes())[: keep // 50 - 1])
    for name in ("a.xz", "a.txt"):
        with pytest.raises(InputError):
            replay(str(tmp_path / name), "--qemu", "10.0")


def test_trace_and_recording_exclude_each_other() -> None:
    """Neither and both are wrong calls."""
    for words in ((), ("t", "--check", "r")):
        with pytest.raises(UsageError):
            replay(*words, "--qemu", "10.0")


def test_page_tries_longer_polling_by_itself(tmp_path: Path) -> None:
    """What is tried is told on the terminal too; a --try is done alone."""
    page = tmp_path / "page.html"
    told = replay(str(TRACE), "--qemu", "10.0", "--html", str(page))
    assert "poll_max_ns=524288" in told
    assert "would catch" in page.read_text(encoding="utf-8")
    told = replay(str(TRACE), "--qemu", "10.0", "--html", str(page), "--try", "poll_max_ns=0")
    assert "poll_max_ns=524288" not in told
    assert "would catch" not in page.read_text(encoding="utf-8")


def test_page_of_a_trace_without_times_has_nothing_tried(tmp_path: Path) -> None:
    """It is written all the same; an empty trace is refused as without a page."""
    trace, page = tmp_path / "t", tmp_path / "page.html"
    trace.write_text("poll_grow ctx 0xc old 4000 new 8000\n")
    replay(str(trace), "--qemu", "10.0", "--html", str(page))
    assert "It never polled" in page.read_text(encoding="utf-8")
    trace.write_text("")
    with pytest.raises(InputError, match="the trace has no polling"):
        replay(str(trace), "--qemu", "10.0", "--html", str(page))


@given(st.lists(st.binary(max_size=80)))
def test_any_bytes_are_read_or_refused(lines: list[bytes]) -> None:
    """No bytes whatever raise anything but InputError."""
    with contextlib.suppress(InputError):
        list(parse_trace("t", lines))


def test_impossible_date_is_refused() -> None:
    """A stamp that is no date is a damaged line, not a bug."""
    line = b"2026-13-99T01:29:54.797449Z poll_grow ctx 0xc old 0 new 4000\n"
    with pytest.raises(InputError, match="cut off or of another kind"):
        list(parse_trace("t", [line]))
