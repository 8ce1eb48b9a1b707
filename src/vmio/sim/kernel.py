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
from vmio.sim.memory import Costs, Counts, Devices, Ints, Loops, Queues, lay_out, read_counts

__all__ = ["is_available", "simulate"]

_NAMES = (
    "adjust",
    "adapt",
    "note_pass",
    "polls",
    "count_running",
    "stretch",
    "work",
    "find_wake",
    "push",
    "start_service",
    "find_work",
    "end_wait",
    "end_pass",
    "wake_up",
    "interrupt",
    "reap",
    "show",
    "take",
    "give",
    "look",
    "step",
    "catch_up",
    "go_on",
    "put",
    "complete",
    "start_counting",
    "finish",
    "find_turn",
    "find_call",
    "rest",
    "act",
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
    m = array(lay_out(generation, loops, queues, devices, costs, warm_up, counts))
    run(m, array(gaps))
    return read_counts(m.tolist(), counts)


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
        # No divisor is ever 0, so none is to be checked.
        compiled[name] = numba.njit(error_model="numpy")(
            FunctionType(function.__code__, names, name)
        )
    return compiled["run"], lambda values: np.array(values, dtype=np.int64)
