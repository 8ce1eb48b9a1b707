"""No recording, whatever its bytes, raises anything but InputError."""

from __future__ import annotations

import contextlib
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmio import app
from vmio.errors import InputError
from vmio.formats.qemu.trace import parse_recording
from vmio.model.capabilities import QemuVersion
from vmio.sim.polling import Generation, PollSettings
from vmio.sim.replay import check_recording

NUMBER = st.integers(-2, 6) | st.integers(-(2**63), 2**63)
GENERATIONS: tuple[Generation, ...] = ("loop", "handler", "weighted")


def line(*parts: str | st.SearchStrategy[int]) -> st.SearchStrategy[str]:
    """Makes lines of words and numbers."""
    words = [st.just(part) if isinstance(part, str) else part.map(str) for part in parts]
    return st.tuples(*words).map(" ".join)


LINES = st.one_of(
    line("C", st.integers(1, 4), NUMBER, NUMBER),
    line("C", st.integers(1, 4), NUMBER, NUMBER, NUMBER),
    line("P", NUMBER, "n=2", NUMBER, NUMBER),
    line("R 1", NUMBER),
    line("V", NUMBER),
    line("E", NUMBER, NUMBER),
    line("T poll_add ctx 0xc node 0x1 fd", NUMBER, "revents 0x1"),
    line("T poll_remove ctx 0xc node 0x1 fd", NUMBER),
    line("T poll_grow ctx 0xc old", NUMBER, "new", NUMBER),
    line("T run_poll_handlers_begin ctx 0xc max_ns", NUMBER, "timeout", NUMBER),
    line("T run_poll_handlers_end ctx 0xc progress", NUMBER, "new timeout", NUMBER),
    line("T poll_grow ctx", NUMBER, "old x new", NUMBER),
    line("probe ctx 0xc block", NUMBER, "handlers 0x1:9:1"),
    st.text(max_size=30),
)


@pytest.mark.parametrize("generation", GENERATIONS)
@given(lines=st.lists(st.binary(max_size=60) | LINES.map(lambda text: f"{text}\n".encode())))
def test_any_bytes_are_checked_or_refused(generation: Generation, lines: list[bytes]) -> None:
    """Lines in any order, with any numbers, agree, disagree or are refused."""
    with contextlib.suppress(InputError):
        found = check_recording(parse_recording("r", lines), generation, PollSettings())
        assert 0 <= found.events_agreed <= found.events
        assert 0 <= found.budgets_agreed <= found.budgets


WHOLE = b"C 1 1 1\nP -1 n=1 9\nR 1 9\nC 1 9 9\n" * 200


SPOILS: dict[str, Callable[[bytes], bytes]] = {
    "cut text": lambda data: data[:-3],
    "cut archive": lambda data: lzma.compress(data)[:-20],
    "cut text in a whole archive": lambda data: lzma.compress(data[:-3]),
    "damaged archive": lambda data: lzma.compress(data)[:60] + b"x" * 60,
    "binary": lambda data: data + b"\x00\xff\xfe binary\n",
    "huge line": lambda data: data + b"C 1 " + b"1" * 100_000 + b"\n",
    "incomplete event": lambda data: data + b"T poll_grow ctx 0xc\n",
    "another format": lambda _: b"scsi0: local:vm-1-disk-0\n",
}


@pytest.mark.parametrize("spoil", SPOILS.values(), ids=SPOILS)
def test_recording_that_is_none_is_refused(
    tmp_path: Path, spoil: Callable[[bytes], bytes]
) -> None:
    """What is cut off, damaged or something else is named in one line."""
    path = tmp_path / "r"
    path.write_bytes(spoil(WHOLE))
    with pytest.raises(InputError) as caught:
        app.check_recording(str(path), QemuVersion(10, 0), PollSettings())
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 200 + len(str(path))


def test_empty_recording_agrees_on_nothing(tmp_path: Path) -> None:
    """Where there is nothing nothing agrees."""
    (tmp_path / "r").write_bytes(b"")
    found = app.check_recording(str(tmp_path / "r"), QemuVersion(10, 0), PollSettings())
    assert not found.is_complete
