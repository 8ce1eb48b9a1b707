"""What the kernel's trace of an event loop comes to."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmio.errors import CapabilityError
from vmio.observe import kernel_trace
from vmio.observe.kernel_trace import LoopTrace, TracedLoop, find_tracefs, trace_loops


def make_line(us: int, event: str, rest: str = "", *, tid: int = 8, comm: str = "IO io0") -> str:
    """Returns a line as the kernel writes it."""
    return f"{comm:>16}-{tid:<7} [001] ..... {us // 10**6}.{us % 10**6:06}: {event}: {rest}\n"


def make_switch(us: int, previous: int, state: str, following: int) -> str:
    """Returns a switch from a thread to another."""
    rest = (
        f"prev_comm=IO io0 prev_pid={previous} prev_prio=120 prev_state={state} ==>"
        f" next_comm=a b ==> next_pid={following} next_prio=120"
    )
    return make_line(us, "sched_switch", rest, tid=previous)


def read(text: str, **names: int) -> tuple[TracedLoop, ...]:
    """Reads a trace."""
    trace = LoopTrace({thread: name for name, thread in (names or {"io0": 8}).items()})
    trace.take(text.encode())
    return trace.finish()


TRACE = "".join(
    [
        make_line(0, "sys_exit", "NR 271 = 1"),
        make_line(10, "sys_enter", "NR 0 (5, 0)"),
        make_line(12, "sys_exit", "NR 0 = 8"),
        make_line(112, "sys_enter", "NR 271 (0)"),
        make_switch(115, 8, "S", 0),
        make_switch(1_115, 0, "R", 8),
        make_line(1_120, "sys_exit", "NR 271 = 1"),
        make_switch(1_130, 8, "R", 9),
        make_switch(2_130, 9, "S", 8),
        make_line(2_138, "sys_enter", "NR 1 (6)"),
    ]
)


def test_long_stretches_of_own_code_are_polling() -> None:
    """10, 100 and 18 µs between system calls, of which the last was interrupted for a while."""
    (found,) = read(TRACE)
    assert (found.name, found.thread_id) == ("io0", 8)
    assert found.duration_s == pytest.approx(2_138e-6)
    assert found.poll_s == pytest.approx(118e-6)
    assert found.user_s == pytest.approx(128e-6)
    assert found.kernel_s == pytest.approx(10e-6)
    assert (found.poll_count, found.syscall_count, found.sleep_count) == (2, 3, 1)
    assert found.lost_events == 0


def test_trace_may_come_in_pieces() -> None:
    """A line is taken when its end has come."""
    trace = LoopTrace({8: "io0"})
    for byte in TRACE.encode():
        trace.take(bytes([byte]))
    assert trace.finish() == read(TRACE)


def test_each_loop_has_its_own_events() -> None:
    """Those of other threads are left out."""
    text = (
        make_line(0, "sys_exit", "NR 0 = 0", tid=7)
        + make_line(0, "sys_exit", "NR 0 = 0")
        + make_line(100, "sys_enter", "NR 0 ()")
        + make_line(300, "sys_enter", "NR 0 ()", tid=7)
    )
    first, second = read(text, io0=8, io1=9)
    assert first.poll_s == pytest.approx(100e-6)
    assert (second.poll_s, second.syscall_count) == (0.0, 0)


def test_polling_that_goes_on_at_the_end_counts() -> None:
    """Until the last event of any loop."""
    text = make_line(0, "sys_exit", "NR 0 = 0") + make_line(500, "sys_exit", "NR 0 = 0", tid=9)
    first, _ = read(text, io0=8, io1=9)
    assert first.poll_s == pytest.approx(500e-6)


def test_events_that_were_lost_are_said() -> None:
    """The kernel writes how many."""
    (found,) = read(f"CPU:1 [LOST 123 EVENTS]\n{TRACE}CPU:0 [LOST 4 EVENTS]\n")
    assert found.lost_events == 127


@given(
    st.lists(
        st.sampled_from([*TRACE.splitlines(keepends=True), "x\n", "\n", " " * 99, "x" * 5_000])
    )
)
def test_any_order_of_events_is_no_crash(lines: list[str]) -> None:
    """And no time is negative, or longer than the trace."""
    (found,) = read("".join(lines))
    assert 0 <= found.poll_s <= found.user_s <= max(found.duration_s, 0.0) + 1e-9


@given(st.binary(max_size=200))
def test_any_bytes_are_no_crash(data: bytes) -> None:
    """They are no events."""
    trace = LoopTrace({8: "io0"})
    trace.take(data)
    assert trace.finish()[0].syscall_count == 0


def test_host_without_tracefs_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what root can do; where it is not ours, root has to ask."""
    monkeypatch.setattr(kernel_trace, "_PLACES", (tmp_path / "tracing",))
    with pytest.raises(CapabilityError, match="shows no tracefs"):
        find_tracefs()
    (tmp_path / "tracing/instances").mkdir(parents=True)
    assert find_tracefs() == tmp_path / "tracing"
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(CapabilityError, match="needs root"):
        find_tracefs()


def test_tracefs_that_refuses_is_an_error(tmp_path: Path) -> None:
    """And leaves nothing behind."""
    (tmp_path / "instances").mkdir()
    with pytest.raises(CapabilityError, match="cannot trace the kernel"):
        asyncio.run(trace_loops({8: "io0"}, duration_s=0.1, tracefs=tmp_path))


@pytest.mark.parametrize(("names", "duration_s"), [({}, 1.0), ({8: "io0"}, 0.0), ({8: "x"}, 1e9)])
def test_trace_of_nothing_is_refused(names: dict[int, str], duration_s: float) -> None:
    """Or of hours."""
    with pytest.raises(ValueError, match="a trace of"):
        asyncio.run(trace_loops(names, duration_s=duration_s))


@pytest.fixture
def tracefs(tmp_path: Path) -> Iterator[Path]:
    """A tracefs that is mounted for the test."""
    mounted = subprocess.run(
        ["mount", "-t", "tracefs", "none", str(tmp_path)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("needs to mount tracefs, which root can on a host that has it")
    try:
        yield tmp_path
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


SPIN = """
import os, time
print(flush=True)
while True:
    until_s = time.perf_counter() + 0.002
    while time.perf_counter() < until_s: pass
    os.getppid()
"""
SLEEP = """
import time
print(flush=True)
while True: time.sleep(0.001)
"""


def test_thread_that_spins_is_told_from_one_that_sleeps(tracefs: Path) -> None:
    """By the kernel itself; its instance is gone in the end."""
    with ExitStack() as stack:
        processes = []
        for code in (SPIN, SLEEP):
            argv = (sys.executable, "-c", code)
            process = subprocess.Popen(argv, stdout=subprocess.PIPE)
            stack.callback(process.communicate)
            stack.callback(process.kill)
            assert process.stdout is not None
            process.stdout.readline()
            processes.append(process)
        names = {processes[0].pid: "spins", processes[1].pid: "sleeps"}
        for _ in range(20):
            spins, sleeps = asyncio.run(trace_loops(names, duration_s=0.3, tracefs=tracefs))
            if spins.poll_count > 1:  # a busy host may leave it no processor for long
                break
    assert spins.poll_s > 0.9 * spins.user_s > 0
    assert spins.poll_s > 2 * sleeps.poll_s
    assert spins.lost_events == 0
    assert list((tracefs / "instances").iterdir()) == []
