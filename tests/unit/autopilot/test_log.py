"""Logs of the autopilot: what is written is read again, and nothing else is."""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmio.autopilot.log import LogLine, create_log, open_log
from vmio.autopilot.timeline import build_time_line
from vmio.autopilot.values import Decision, DecisionKind, Interval, Load, Step
from vmio.errors import InputError, OutputError, UsageError
from vmio.values import replace

LARGE = 1 << 20


def make_step(
    *, poll_max_ns: int = 0, kind: DecisionKind = "keep", requests: int = 100, wanted_ns: int = 0
) -> Step:
    """Returns a look at a busy loop."""
    return Step(
        address="pid:7",
        own_ns=1_000_000,
        interval=Interval(
            duration_s=5.0,
            poll_max_ns=poll_max_ns,
            requests=requests,
            load=Load(requests_per_s=requests / 5, depth=1.0),
            cpu_share=0.5,
            cpu_per_request_ns=2.5e9 / requests,
            latency_mean_ns=100_000.0,
            run_delay_share=0.0,
        ),
        decision=Decision(kind=kind, poll_max_ns=wanted_ns),
    )


def read(path: Path) -> tuple[list[LogLine], str]:
    """Returns the lines of a log, and what is missing."""
    with open_log(str(path)) as log:
        return list(log), log.note


def test_log_has_what_was_written(tmp_path: Path) -> None:
    """Looks and events, in their order, with the time since it began."""
    path = tmp_path / "a.jsonl"
    with create_log(path, max_bytes=16 * LARGE) as log:
        assert not log.write("web", ("io0",), step=make_step())
        assert not log.write("web", ("io0",), text="web: io0: it is so")
        assert not log.write("web", (), step=replace(make_step(), interval=None))
    (look, event, unread), note = read(path)
    assert (look.guest, look.iothreads, look.step) == ("web", ("io0",), make_step())
    assert (event.step, event.text) == (None, "web: io0: it is so")
    assert unread.step is not None
    assert unread.step.interval is None
    assert note == ""
    assert 0 <= look.time_s <= event.time_s <= unread.time_s


def test_log_takes_any_name(tmp_path: Path) -> None:
    """A guest's name can have bytes that are no text, and an IOThread's can be long."""
    path = tmp_path / "a.jsonl"
    with create_log(path, max_bytes=16 * LARGE) as log:
        assert not log.write("w\udcff\x1b", ("i" * 9999,) * 2000, text="\n" * 9999)
    ((line,), note) = read(path)
    assert (line.guest, len(line.iothreads), note) == ("w\\xff\\x1b", 1024, "")


def test_existing_log_is_replaced_only_by_force(tmp_path: Path) -> None:
    """It may be a file of another kind."""
    path = tmp_path / "a.jsonl"
    path.write_text("mine")
    with pytest.raises(UsageError, match="exists already"), create_log(path, max_bytes=LARGE):
        pass
    assert path.read_text() == "mine"
    with create_log(path, max_bytes=LARGE, force=True):
        pass
    assert read(path) == ([], "")


def test_full_log_ends_with_a_whole_line(tmp_path: Path) -> None:
    """It says so once; what follows is not written."""
    path = tmp_path / "a.jsonl"
    with create_log(path, max_bytes=2000) as log:
        said = [log.write("web", ("io0",), step=make_step()) for _ in range(20)]
    assert [each for each in said if each] == [
        f"{path} ends here: it has reached 2.0 KiB; guests are steered further"
    ]
    lines, note = read(path)
    assert (len(lines), note) == (said.index(max(said)), "")
    assert path.stat().st_size <= 2000


@contextmanager
def limited(size_bytes: int) -> Iterator[None]:
    """No file of this process grows beyond a size."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)


def test_log_that_cannot_grow_ends_with_a_whole_line(tmp_path: Path) -> None:
    """A line of which a part was written is taken back."""
    path = tmp_path / "a.jsonl"
    with create_log(path, max_bytes=LARGE) as log, limited(1234):
        said = [log.write("web", ("io0",), step=make_step()) for _ in range(20)]
    assert [each for each in said if each] == [
        f"{path} ends here: File too large; guests are steered further"
    ]
    lines, note = read(path)
    assert (len(lines), note) == (said.index(max(said)), "")


def test_log_on_a_full_disk_is_refused_at_once(tmp_path: Path) -> None:
    """Before anything is steered; nothing is left of it."""
    path = tmp_path / "a.jsonl"
    with (
        limited(10),
        pytest.raises(OutputError, match="File too large"),
        create_log(path, max_bytes=LARGE),
    ):
        pass
    assert not path.exists()


def test_killed_log_is_read_up_to_its_last_whole_line(tmp_path: Path) -> None:
    """And it is said what is missing."""
    path = tmp_path / "a.jsonl"
    with create_log(path, max_bytes=LARGE) as log:
        log.write("web", ("io0",), text="one")
        log.write("web", ("io0",), text="two")
    path.write_bytes(path.read_bytes()[:-3])
    lines, note = read(path)
    assert [each.text for each in lines] == ["one"]
    assert note == f"{path} ends in the middle of line 3"


HEADER = {"format": "vmio-autopilot-log", "schema": 1, "vmio": "0", "wall_ns": 0}


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["{}"], "is not a log of the autopilot"),
        (["[" * 100_000], "is not a log of the autopilot"),
        ([json.dumps({**HEADER, "schema": 9})], "whose schema is 9"),
        ([json.dumps({**HEADER, "wall_ns": -1})], "is not a log of the autopilot"),
        ([json.dumps(HEADER), "{}"], "line 2"),
        ([json.dumps(HEADER), '{"time_s":-1}'], "line 2"),
        ([json.dumps(HEADER), '{"time_s":NaN}'], "line 2"),
        ([json.dumps(HEADER), '{"time_s":2}', '{"time_s":1}'], "line 3"),
        ([json.dumps(HEADER), '{"time_s":1,"step":{"own_ns":1}}'], "line 2"),
        ([json.dumps(HEADER), '{"time_s":1,"text":"' + "x" * 5000 + '"}'], "line 2"),
        ([json.dumps(HEADER), '{"time_s":1,"text":"' + "x" * (2 << 20) + '"}'], "too long"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, lines: list[str], said: str) -> None:
    """With the line."""
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError) as error:
        read(path)
    assert said in error.value.message


@given(
    lines=st.lists(
        st.binary(max_size=200)
        | st.recursive(
            st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
            lambda inner: (
                st.dictionaries(
                    st.sampled_from(
                        ("time_s", "guest", "iothreads", "step", "interval", "decision")
                    ),
                    inner,
                )
                | st.lists(inner, max_size=3)
            ),
            max_leaves=12,
        ).map(lambda each: json.dumps(each).encode()),
        max_size=4,
    )
)
def test_any_lines_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]
) -> None:
    """Nothing else is raised, and what is read can be drawn."""
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    path.write_bytes(b"\n".join([json.dumps(HEADER).encode(), *lines]) + b"\n")
    with suppress(InputError), open_log(str(path)) as log:
        build_time_line(log.header.wall_ns, log)


@pytest.mark.parametrize("figure", ["duration_s", "latency_mean_ns", "cpu_share", "poll_max_ns"])
@pytest.mark.parametrize("value", [-1, 1e300, 2**64])
def test_figures_that_cannot_be_are_refused(tmp_path: Path, figure: str, value: float) -> None:
    """A page draws what is there."""
    path = tmp_path / "a.jsonl"
    with create_log(path, max_bytes=LARGE) as log:
        log.write("web", ("io0",), step=make_step())
    header, line = path.read_text().splitlines()
    found = json.loads(line)
    found["step"]["interval"][figure] = value
    path.write_text(f"{header}\n{json.dumps(found)}\n")
    with pytest.raises(InputError, match="line 2"):
        read(path)


def test_log_that_is_no_file_does_not_hang(tmp_path: Path) -> None:
    """A pipe that nobody writes to."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(InputError):
        read(path)


def make_lines(count: int, **step: int) -> Iterator[LogLine]:
    """Yields looks at a loop, of which every hundredth is a trial."""
    for number in range(count):
        kind: DecisionKind = "try" if number % 100 == 50 else "keep"
        yield LogLine(
            time_s=5.0 * number,
            guest="web",
            iothreads=("io0",),
            step=make_step(kind=kind, wanted_ns=8_192 if kind == "try" else 0, **step),
        )


def test_time_line_keeps_sums_whatever_its_length() -> None:
    """Points become one in pairs; requests, time and decisions are still all there."""
    line = build_time_line(0, make_lines(10_000))
    (loops,) = line.loops
    assert (loops.address, loops.guest, loops.iothreads) == ("pid:7", "web", ("io0",))
    assert 1000 <= len(loops.points) <= 2001
    assert sum(each.requests for each in loops.points) == 1_000_000
    assert sum(each.duration_s for each in loops.points) == pytest.approx(50_000)
    assert [each.latency_mean_ns for each in loops.points] == pytest.approx(
        [100_000] * len(loops.points)
    )
    assert sum(each.decision == "try" for each in loops.points) == 100
    assert loops.kinds == {"keep": 9900, "try": 100}
    assert loops.time_at_s == {0: pytest.approx(50_000)}


def test_time_line_is_bounded() -> None:
    """In loops and in events, of which the last ones stay."""
    lines = [
        LogLine(time_s=1.0, guest=f"g{number}", iothreads=("io0",), step=make_step(), text="")
        for number in range(300)
    ]
    lines += [LogLine(time_s=2.0, guest="g", text=f"event {number}") for number in range(500)]
    line = build_time_line(0, lines)
    assert (len(line.loops), line.left_out) == (200, True)
    assert (len(line.events), line.event_count) == (400, 500)
    assert line.events[-1] == (2.0, "event 499")
