"""The simulator compiled: the functions of `vmio.sim.events`, through numba.

It gives identical results, many times as fast, and takes seconds to compile; so it is for sweeps.
numba is the extra `sim`.
"""

from __future__ import annotations

from functools import cache
from types import FunctionType
from typing import Any, Final

from vmio.errors import MissingExtraError
from vmio.sim import events
from vmio.sim.events import Event
from vmio.sim.records import SimulationState

__all__ = ["is_available", "is_compiled", "is_kept", "keep_in", "run"]

_OPTIONS: Final[dict[str, Any]] = {
    "error_model": "numpy",
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
}
"""No divisor is ever 0, so divisions are not checked. Only compiled code calls these functions;
without the wrappers for Python and C they compile in three quarters of the time."""
_cache: object = None
"""What numba asks for compiled code; None where every process compiles."""
_is_there = False


def keep_in(cache: object, *, is_there: bool) -> None:
    """Makes this process, if it has not compiled yet, take what a cache has, and give it the rest.

    Args:
        cache: An object with numba's `load_overload` and `save_overload`; nothing here touches
            files.
        is_there: Whether the cache is expected to have it, so that it costs little to use.
    """
    global _cache, _is_there
    _cache, _is_there = cache, is_there


def is_kept() -> bool:
    """Returns whether the compiled form is expected to be there without compiling."""
    return _is_there


def is_available() -> bool:
    """Returns whether numba is installed."""
    from importlib.util import find_spec

    return find_spec("numba") is not None


def is_compiled() -> bool:
    """Returns whether this process has compiled it, so that a run has no extra cost."""
    return _compile.cache_info().currsize > 0


def run(world: SimulationState) -> None:
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
    """Returns the compiled function, and the one that lays out records for it."""
    try:
        import numba

        from vmio.sim.compiled_records import Block, find_record
    except ImportError as error:
        raise MissingExtraError(
            "the compiled simulator requires numba, which is not installed",
            hint="pip install 'vmio[sim]'",
        ) from error
    # One namespace for all: where the interpreter finds a function, the compiler finds its
    # compiled form, regardless of the order in which they are compiled.
    names: dict[str, Any] = dict(vars(events))
    for name, function in vars(events).items():
        if isinstance(function, FunctionType) and function.__module__ == events.__name__:
            names[name] = numba.njit(**_OPTIONS)(FunctionType(function.__code__, names, name))
    names["make_heap"] = numba.njit(_make_heap)
    names["heappush"], names["heappop"] = numba.njit(_push), numba.njit(_pop)
    find_world, run = find_record(SimulationState), names["run"]
    compiled: Any = numba.njit(lambda address: run(find_world(address)))
    if _cache is not None:
        compiled._cache = _cache  # noqa: SLF001 - numba's own goes by one file's age
    return compiled, Block


_KIND_BITS: Final = 3
_NUMBER_BITS: Final = 20
"""More loops, queues or vCPUs would take too long to simulate."""
_KINDS: Final = (1 << _KIND_BITS) - 1
_NUMBERS: Final = (1 << _NUMBER_BITS) - 1

_Heap = list[tuple[int, int, int]]
"""Events: time; order, kind and number in one integer; the argument. Moving three numbers of an
event instead of five saves a tenth of the whole run."""


def _make_heap() -> _Heap:
    """Returns an empty heap whose element type the compiler can infer."""
    heap = [(0, 0, 0)]
    heap.pop()
    return heap


def _push(heap: _Heap, event: Event) -> None:
    """Does the same as `heapq.heappush`, which compares whole events and is a third slower."""
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
    """Does the same as `heapq.heappop`."""
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
