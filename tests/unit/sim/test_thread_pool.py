"""How many worker threads an event loop has."""

from __future__ import annotations

import pytest

from vmio.sim.thread_pool import IDLE_NS, count_workers, count_workers_after_idle


@pytest.mark.parametrize(
    ("workers", "busy", "requests", "limits", "after"),
    [
        (0, 0, 64, (0, 64), 64),
        (0, 0, 100, (0, 64), 64),
        (0, 0, 64, (0, 4), 4),
        (0, 0, 64, (8, 16), 16),
        (0, 0, 0, (8, 16), 8),
        (4, 1, 3, (0, 64), 4),
        (4, 4, 1, (0, 64), 5),
    ],
)
def test_worker_is_started_only_if_none_is_idle(
    workers: int, busy: int, requests: int, limits: tuple[int, int], after: int
) -> None:
    """Idle workers are used first, and never more than the maximum are started."""
    pool_min, pool_max = limits
    assert count_workers(workers, busy, requests, pool_min=pool_min, pool_max=pool_max) == after


def test_idle_workers_leave_down_to_the_minimum() -> None:
    """After ten seconds only busy ones and the minimum are left."""
    assert count_workers_after_idle(16, 0, IDLE_NS, pool_min=8, pool_max=16) == 8
    assert count_workers_after_idle(16, 12, IDLE_NS, pool_min=8, pool_max=16) == 12
    assert count_workers_after_idle(16, 0, IDLE_NS - 1, pool_min=8, pool_max=16) == 16


def test_lower_maximum_ends_idle_workers_at_once() -> None:
    """A maximum that is set while the pool works holds as soon as workers are free."""
    assert count_workers_after_idle(64, 2, 0, pool_max=3) == 3
    assert count_workers_after_idle(64, 10, 0, pool_max=3) == 10
