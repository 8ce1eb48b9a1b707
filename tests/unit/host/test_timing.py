"""What waiting costs, measured for real."""

from __future__ import annotations

import os
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
    """Every cost is more than nothing and less than a tick; the processes are gone."""
    before, allowed = list_children(), os.sched_getaffinity(0)
    found = measure_waits()
    assert 0 < found.syscall_ns < 10_000_000
    assert 0 < found.wake_ns < 100_000_000
    assert 0 < found.sleep_ns < 100_000_000
    # A sleep has both calls in it, and leaving the processor beside.
    assert found.sleep_ns > found.syscall_ns
    assert list_children() == before
    assert os.sched_getaffinity(0) == allowed


def test_other_process_that_dies_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for an answer that does not come is told, and nothing is left."""
    before = list_children()
    monkeypatch.setattr(timing, "_ANSWER_S", 0.05)
    monkeypatch.setattr(timing, "_echo", lambda _ping, _pong: None)
    with pytest.raises(ToolError, match="is gone"):
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
    with pytest.raises(ToolError, match="is gone"):
        measure_waits()
    assert list_children() == before


def test_busy_processors_are_counted() -> None:
    """What others use is a number of processors."""
    assert 0 <= measure_busy(0.05) <= (os.cpu_count() or 1) * 1.5
