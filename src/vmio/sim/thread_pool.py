"""The worker threads of an event loop, which serve `aio=threads`.

Source: QEMU 10.0.2, `util/thread-pool.c`, observed on 10.0.2.
"""

from __future__ import annotations

__all__ = ["IDLE_NS", "count_workers", "count_workers_after_idle"]

IDLE_NS = 10_000_000_000
"""An idle worker above the minimum leaves after so long."""


def count_workers(
    workers: int, busy: int, requests: int, *, pool_min: int = 0, pool_max: int = 64
) -> int:
    """Returns how many workers there are after requests arrived.

    A request starts a worker only if none is idle and fewer than the maximum are there; the
    minimum is there at once.

    Args:
        workers: Those there before.
        busy: Those of them with a request.
        requests: Those that arrive.
        pool_min: `thread-pool-min` of the IOThread.
        pool_max: `thread-pool-max`.
    """
    started = max(workers, pool_min)
    return max(started, min(busy + requests, pool_max))


def count_workers_after_idle(
    workers: int, busy: int, idle_ns: int, *, pool_min: int = 0, pool_max: int = 64
) -> int:
    """Returns how many workers are left where the idle ones were so for that long.

    Lowering the maximum ends those above it as soon as they have nothing to do.
    """
    if idle_ns >= IDLE_NS:
        return max(busy, pool_min)
    return max(busy, min(workers, pool_max))
