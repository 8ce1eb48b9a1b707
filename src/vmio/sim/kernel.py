"""The simulator compiled: the very functions of `vmio.sim.reference`, through numba.

It answers the same, event for event, forty times as fast, and takes seconds to compile; so it is
for sweeps. numba is the extra `sim`.
"""

from __future__ import annotations

from functools import cache
from types import FunctionType
from typing import Any

from vmio.errors import MissingExtraError
from vmio.sim import reference
from vmio.sim.reference import Counts, Devices, Host, Ints, Loops, Queues

__all__ = ["is_available", "simulate"]

_NAMES = ("adjust", "adapt", "find_budget", "measure_crowd", "simulate")
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
    host: Host,
    gaps: Ints,
    requests: int,
    warm_up: int,
    counts: Counts,
) -> int:
    """Does what `vmio.sim.reference.simulate` does.

    Raises:
        MissingExtraError: numba is not installed.
    """
    run, array = _compile()
    filled = _convert(counts, array)
    span_ns = run(
        generation,
        _convert(loops, array),
        _convert(queues, array),
        _convert(devices, array),
        host,
        array(gaps),
        requests,
        warm_up,
        filled,
    )
    for out, values in zip(counts, filled, strict=True):
        out[:] = values.tolist()
    return int(span_ns)


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
    return compiled["simulate"], lambda values: np.array(values, dtype=np.int64)


def _convert(values: Any, array: Any) -> Any:  # noqa: ANN401 - any of the simulator's tuples
    return type(values)(*(value if isinstance(value, int) else array(value) for value in values))
