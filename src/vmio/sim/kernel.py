"""The simulator compiled: the very functions of `vmio.sim.events`, through numba.

It answers the same, event for event, many times as fast, and takes seconds to compile; so it is
for sweeps. numba is the extra `sim`.
"""

from __future__ import annotations

from functools import cache
from types import FunctionType
from typing import Any, Final

from vmio.errors import MissingExtraError
from vmio.sim import events
from vmio.sim.events import Event
from vmio.sim.records import World

__all__ = ["is_available", "is_compiled", "run"]

_OPTIONS: Final[dict[str, Any]] = {
    "error_model": "numpy",
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
}
"""No divisor is ever 0, so none is to be checked. Only compiled code calls these functions, and
without the wrappers for Python and C they compile in three quarters of the time."""


def is_available() -> bool:
    """Returns whether numba is installed."""
    from importlib.util import find_spec

    return find_spec("numba") is not None


def is_compiled() -> bool:
    """Returns whether this process has compiled it, so that a run costs nothing extra."""
    return _compile.cache_info().currsize > 0


def run(world: World) -> None:
    """Does what `vmio.sim.events.run` does.

    Raises:
        MissingExtraError: numba is not installed.
    """
    compiled, block_of = _compile()
    block = block_of(world)
    compiled(block.address)
    block.read_back()


@cache
def _compile() -> tuple[Any, Any]:
    """Returns the compiled function, and what lays out records for it."""
    try:
        import numba

        from vmio.sim.compiled_records import Block, find_record
    except ImportError as error:
        raise MissingExtraError(
            "the compiled simulator needs numba, which is not installed",
            hint="pip install 'vmio[sim]'",
        ) from error
    # One dictionary for all: where the interpreter finds a function, the compiler finds its
    # compiled form, in whatever order they are made.
    names: dict[str, Any] = dict(vars(events))
    for name, function in vars(events).items():
        if isinstance(function, FunctionType) and function.__module__ == events.__name__:
            names[name] = numba.njit(**_OPTIONS)(FunctionType(function.__code__, names, name))
    names["make_heap"] = numba.njit(_make_heap)
    names["heappush"], names["heappop"] = numba.njit(_push), numba.njit(_pop)
    find_world, run = find_record(World), names["run"]
    return numba.njit(lambda address: run(find_world(address))), Block


_KIND_BITS: Final = 3
_NUMBER_BITS: Final = 20
"""More loops, queues or vCPUs than that are not simulated in any time."""
_KINDS: Final = (1 << _KIND_BITS) - 1
_NUMBERS: Final = (1 << _NUMBER_BITS) - 1

_Heap = list[tuple[int, int, int]]
"""Events: time; order, kind and number in one; what goes with it. Three numbers of an event are
moved faster than five, which is a tenth of all."""


def _make_heap() -> _Heap:
    """Returns an empty heap, of whose elements the compiler can see what they are."""
    heap = [(0, 0, 0)]
    heap.pop()
    return heap


def _push(heap: _Heap, event: Event) -> None:
    """Does what `heapq.heappush` does, which compares all of two events: a third slower."""
    then, order, kind, number, extra = event
    what = (order << (_KIND_BITS + _NUMBER_BITS)) + (kind << _NUMBER_BITS) + number
    at = len(heap)
    heap.append((then, what, extra))
    while at > 0:
        parent = (at - 1) >> 1
        other = heap[parent]
        if other[0] < then or (other[0] == then and other[1] < what):
            break
        heap[at] = other
        at = parent
    heap[at] = (then, what, extra)


def _pop(heap: _Heap) -> Event:
    """Does what `heapq.heappop` does."""
    event = heap.pop()
    end = len(heap)
    if end > 0:
        first, at, child = heap[0], 0, 1
        while child < end:
            lesser = heap[child]
            if child + 1 < end:
                other = heap[child + 1]
                if other[0] < lesser[0] or (other[0] == lesser[0] and other[1] < lesser[1]):
                    lesser = other
                    child += 1
            if event[0] < lesser[0] or (event[0] == lesser[0] and event[1] < lesser[1]):
                break
            heap[at] = lesser
            at = child
            child = 2 * at + 1
        heap[at] = event
        event = first
    then, what, extra = event
    kind, number = (what >> _NUMBER_BITS) & _KINDS, what & _NUMBERS
    return then, what >> (_KIND_BITS + _NUMBER_BITS), kind, number, extra
