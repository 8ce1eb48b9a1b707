"""QEMU's trace lines, and recordings of event loops."""

from __future__ import annotations

import contextlib
import lzma
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmio.errors import InputError
from vmio.formats.qemu.trace import (
    Block,
    Clock,
    Event,
    Handler,
    Read,
    Ready,
    Wait,
    parse_event,
    parse_recording,
    parse_trace,
)
from vmio.host.trace_file import read_lines

GROW = Event(name="poll_grow", ctx="0xc", values={"old": 0, "new": 4000})


def split(text: str | bytes) -> list[bytes]:
    """Returns a text's lines with their ends."""
    return (text.encode() if isinstance(text, str) else text).splitlines(keepends=True)


def test_event_is_read_in_every_form() -> None:
    """Without a stamp, with QEMU 10.0's thread and time, and with 11.1's time."""
    assert parse_event("poll_grow ctx 0xc old 0 new 4000") == GROW
    stamped = parse_event("26636@1795397620.230273:poll_grow ctx 0xc old 0 new 4000")
    assert stamped is not None
    assert (stamped.thread_id, stamped.time_ns) == (26636, 1795397620_230273_000)
    newer = parse_event("2026-11-23T01:29:54.797449Z poll_grow ctx 0xc old 0 new 4000")
    assert newer is not None
    assert newer.time_ns is not None
    assert newer.time_ns % 10**9 == 797449000
    assert (newer.thread_id, newer.values) == (None, {"old": 0, "new": 4000})


def test_fields_keep_their_names() -> None:
    """`new timeout` is one field, addresses stay texts, numbers may be hexadecimal."""
    end = parse_event("run_poll_handlers_end ctx 0xc progress 0 new timeout -1")
    assert end is not None
    assert end.values == {"progress": 0, "timeout": -1}
    added = parse_event("poll_add ctx 0xc node 0xa fd 20 revents 0x1")
    assert added is not None
    assert (added.node, added.values) == ("0xa", {"fd": 20, "revents": 1})


def test_trace_passes_what_is_no_event() -> None:
    """QEMU's own messages may stand between events."""
    text = "qemu-system-x86_64: warning: x\npoll_grow ctx 0xc old 0 new 4000\n\n"
    assert tuple(parse_trace("r", split(text))) == (GROW,)


def test_recording_is_read() -> None:
    """Readings of the clock, waits and events come in their order; the rest is passed."""
    text = (
        "C 3 10 20\nC 4 10 19 20\nC 2 10 20\nP -1 n=2 20 9\nR 1 20\nE 9 8\nU 1\nV -62\n"
        "T poll_grow ctx 0xc old 0 new 4000\nprobe ctx 0xc block 7 handlers 0xa:9:1 0xb:20:0\n"
    )
    assert tuple(parse_recording("r", split(text))) == (
        Clock(count=3, first_ns=10, last_ns=20),
        Clock(count=4, first_ns=10, last_ns=20, before_last_ns=19),
        Clock(count=2, first_ns=10, last_ns=20, before_last_ns=10),
        Wait(timeout=-1, fds=(20, 9)),
        Ready(fds=(20,)),
        Read(fd=9, result=8),
        Ready(fds=None),
        GROW,
        Block(
            ctx="0xc",
            block_ns=7,
            handlers=((Handler("0xa", 9), True), (Handler("0xb", 20), False)),
        ),
    )


@pytest.mark.parametrize(
    "line",
    [
        "C 1",
        "C 0 1 1",
        "C 1 1 x",
        "P -1 n=2 9",
        "P -1",
        "R 2 9",
        "R",
        "E 9",
        "probe ctx 0xc block 7",
        "probe ctx 0xc block 7 handlers 0xa:9",
        "T poll_grow ctx 0xc old 0",
        "T poll_grow ctx 0xc old 0 new",
        "hello",
        "C 1 " + "9" * 5000 + " 1",
    ],
)
def test_line_of_another_kind_is_named(line: str) -> None:
    """The error names the line, in one line."""
    with pytest.raises(InputError, match=r"^r:2: ") as caught:
        tuple(parse_recording("r", split(f"C 1 1 1\n{line}\n")))
    assert len(caught.value.message) < 200


def test_recording_that_ends_within_a_line_is_refused() -> None:
    """A last number without its line's end could lack digits."""
    with pytest.raises(InputError, match=r"^r:2: "):
        tuple(parse_recording("r", split("C 1 1 1\nC 1 2 2")))


def test_trace_with_a_broken_event_is_refused() -> None:
    """An event that polling is told by must be whole."""
    with pytest.raises(InputError, match=r"^r:1: "):
        tuple(parse_trace("r", split("poll_grow ctx 0xc old 0\n")))


def test_compressed_recording_is_read_as_it_was(tmp_path: Path) -> None:
    """A recording may be compressed with xz."""
    path = tmp_path / "r"
    for data in (lzma.compress(b"C 1 1 1\n"), b"C 1 1 1\n"):
        path.write_bytes(data)
        assert list(read_lines(str(path))) == [b"C 1 1 1\n"]


@pytest.mark.parametrize(("kept", "added"), [(-20, b""), (20, b"x" * 40)])
def test_damaged_archive_is_refused(tmp_path: Path, kept: int, added: bytes) -> None:
    """Half an archive is said in one line."""
    path = tmp_path / "r"
    path.write_bytes(lzma.compress(b"C 1 1 1\n" * 100)[:kept] + added)
    with pytest.raises(InputError, match=r"r is (incomplete|damaged)"):
        list(read_lines(str(path)))


@given(st.binary() | st.text(alphabet="CPREUVT 0123456789n=x:\n-").map(str.encode))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """No bytes at all raise anything but InputError."""
    for parse in (parse_recording, parse_trace):
        with contextlib.suppress(InputError):
            tuple(parse("r", split(data)))
