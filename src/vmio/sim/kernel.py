"""The simulator compiled: the very functions of `vmio.sim.reference`, through numba.

It answers the same, event for event, many times as fast, and takes seconds to compile; so it is
for sweeps. numba is the extra `sim`.
"""

from __future__ import annotations

from functools import cache
from types import FunctionType
from typing import Any

from vmio.errors import MissingExtraError
from vmio.sim import reference
from vmio.sim.reference import Costs, Counts, Devices, Ints, Loops, Queues

__all__ = ["is_available", "simulate"]

_NAMES = (
    "adjust",
    "adapt",
    "find_budget",
    "is_awake",
    "count_running",
    "measure_share",
    "find_wake",
    "push",
    "submit",
    "start_service",
    "complete",
    "wait",
    "interrupt",
    "dispatch",
    "start_counting",
    "answer",
    "run",
)
"""The functions, each behind those that it calls."""


def is_available() -> bool:
    """Returns whether numba is installed."""
    from importlib.util import find_spec

    return find_spec("numba") is not None


def simulate(
    generation: int,
    *,
    loops: Loops,
    queues: Queues,
    devices: Devices,
    costs: Costs,
    gaps: Ints,
    warm_up: int,
    counts: Counts,
) -> int:
    """Does what `vmio.sim.reference.simulate` does.

    Raises:
        MissingExtraError: numba is not installed.
    """
    run, array = _compile()
    goal = len(counts.latencies_ns) + warm_up
    memory, at = reference.lay_out(loops, queues, devices, costs, counts, goal)
    m, seen = array(memory), array(counts.passes_seen)
    latencies_ns = m[:1].repeat(len(counts.latencies_ns))
    run(generation, m, at, costs, array(gaps), warm_up, latencies_ns, seen)
    reference.read_counts(m, at, counts)
    counts.latencies_ns[:] = latencies_ns.tolist()
    counts.passes_seen[:] = seen.tolist()
    return int(m[at.to_ns] - m[at.from_ns])


@cache
def _compile() -> tuple[Any, Any]:
    """Returns the compiled function, and what turns a list into an array for it."""
    try:
        import numba
        import numpy as np
    except ImportError as error:
        raise MissingExtraError(
            "the compiled simulator needs numba, which is not installed",
            hint="pip install 'vmio[sim]'",
        ) from error
    compiled: dict[str, Any] = {}
    for name in _NAMES:
        function = getattr(reference, name)
        # The compiler must find the compiled helpers where the interpreter finds the plain ones.
        names = {**vars(reference), **compiled}
        compiled[name] = numba.njit(FunctionType(function.__code__, names, name))
    return compiled["run"], lambda values: np.array(values, dtype=np.int64)
