"""What waiting costs, measured for real."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from vmio.errors import ToolError
from vmio.host import timing
from vmio.host.timing import measure_busy, measure_waits


def list_children() -> list[int]:
    """Returns the processes that this one has started and that are still there."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii")
    return [int(pid) for pid in children.split()]


def test_waits_are_measured_and_nothing_is_left() -> None:
    """Every cost is more than nothing, a sleep more than its calls; the processes are gone."""
    before, allowed = list_children(), os.sched_getaffinity(0)
    found = measure_waits()
    assert found.syscall_ns > 0
    assert found.wake_ns > 0
    # A sleep has both calls in it, and leaving the processor beside; all in processor time, which
    # a busy host leaves as it is.
    assert found.sleep_ns > found.syscall_ns
    assert list_children() == before
    assert os.sched_getaffinity(0) == allowed


def test_other_process_that_dies_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for an answer that does not come is told, and nothing is left."""
    before = list_children()
    monkeypatch.setattr(timing, "_ANSWER_S", 0.05)
    monkeypatch.setattr(timing, "_echo", lambda _ping, _pong: None)
    with pytest.raises(ToolError, match="has died"):
        measure_waits()
    assert list_children() == before


def test_process_that_dies_while_it_sleeps_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for its figures is told, and nothing is left."""

    def die(_waiter: object, _event: int) -> int:
        os._exit(1)

    before = list_children()
    monkeypatch.setattr(timing, "_ANSWER_S", 0.5)
    monkeypatch.setattr(timing, "_MOST_EVENTS", 1)
    monkeypatch.setattr(timing, "_sleep", die)
    with pytest.raises(ToolError, match="has died"):
        measure_waits()
    assert list_children() == before


def test_busy_host_that_wakes_nobody_in_time_is_no_busier(monkeypatch: pytest.MonkeyPatch) -> None:
    """What others used is held against the time that passed, not the time that was asked for."""
    used_s, now_s = iter((100.0, 102.0)), iter((50.0, 51.0))
    monkeypatch.setattr(timing, "read_others_s", lambda: next(used_s))
    monkeypatch.setattr(time, "monotonic", lambda: next(now_s))
    monkeypatch.setattr(time, "sleep", lambda _: None)
    found = measure_busy(0.25)
    monkeypatch.undo()
    assert found == 2.0


def test_busy_processors_are_counted() -> None:
    """What others use is a number of processors."""
    assert 0 <= measure_busy(0.05) <= (os.cpu_count() or 1) * 1.5
