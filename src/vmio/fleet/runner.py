"""Runs one function over many items on all processors, with results in order."""

from __future__ import annotations

import gc
import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, TypeVar

from vmio.errors import ToolError

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future
    from types import FrameType

__all__ = ["CHUNK", "map_in_order"]

CHUNK = 64
"""Items sent to a process at a time; sending one costs as much as processing a config."""

_WAITING_PER_WORKER = 4
_GARBAGE = 50_000
"""Objects created before a process searches for reference cycles."""
_PR_SET_PDEATHSIG = 1

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def map_in_order(
    function: Callable[[list[_Item]], list[_Result]],
    items: Iterable[_Item],
    *,
    workers: int | None = None,
    chunk_size: int = CHUNK,
    executor: Executor | None = None,
) -> Generator[_Result, None, None]:
    """Yields a function's results for all items, in their order, as soon as they are known.

    Only a few chunks are in progress at a time, so memory does not grow with the number of items.
    An early end, by Ctrl-C or by closing the generator, waits for none of them.

    Args:
        function: Takes a chunk of items; it is sent to each process once, so it has to be a
            module's function or a partial of one.
        items: The items to process.
        workers: How many processes to use, or how many chunks an executor runs at a time; None for
            one a processor. With one, or with at most one chunk of items, and no executor, this
            process does everything.
        chunk_size: How many items go to a process at a time.
        executor: Runs the chunks instead of processes created for them: threads, processes or a
            cluster. It is not shut down, and is sent the function with each chunk; after an early
            end it may still have to finish a chunk for each worker.

    Raises:
        ToolError: One of the processes was killed.
    """
    chunks = _split(items, chunk_size)
    workers = workers or len(os.sched_getaffinity(0))
    if executor is None:
        ahead = list(islice(chunks, 2))
        chunks = chain(ahead, chunks)
        if workers < 2 or len(ahead) < 2:  # noqa: PLR2004 - what two do, one cannot do faster
            for chunk in chunks:
                yield from function(chunk)
            return
    from concurrent.futures import BrokenExecutor  # a fortieth of the time of one config's check

    try:
        if executor is None:
            yield from _run(function, chunks, workers)
        else:
            yield from _submit(lambda chunk: executor.submit(function, chunk), chunks, workers)
    except BrokenExecutor as error:
        raise ToolError(
            "a worker process was killed",
            hint="if memory ran out, --jobs 1 needs the least" if executor is None else "",
        ) from error


def _run(
    function: Callable[[list[_Item]], list[_Result]], chunks: Iterable[list[_Item]], workers: int
) -> Generator[_Result, None, None]:
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import active_children

    executor = ProcessPoolExecutor(
        workers, initializer=_become_worker, initargs=(os.getpid(), function)
    )
    before = set(active_children())
    try:
        yield from _submit(lambda chunk: executor.submit(_work, chunk), chunks, workers)
    except BaseException:
        for worker in set(active_children()) - before:
            worker.kill()
        raise
    finally:
        executor.shutdown(cancel_futures=True)


def _submit(
    submit: Callable[[list[_Item]], Future[list[_Result]]],
    chunks: Iterable[list[_Item]],
    workers: int,
) -> Generator[_Result, None, None]:
    waiting: deque[Future[list[_Result]]] = deque()
    try:
        for chunk in chunks:
            with _undisturbed():
                waiting.append(submit(chunk))
            if len(waiting) >= workers * _WAITING_PER_WORKER:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    finally:
        # Only an early end leaves anything here.
        for future in waiting:
            future.cancel()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Defers Ctrl-C until the block is done: a half-created object could not be cancelled.

    Blocking the signal would not work: another thread would take it, and Python's handler always
    runs in the main thread.
    """
    import signal

    before = signal.getsignal(signal.SIGINT)
    if not callable(before) or threading.current_thread() is not threading.main_thread():
        yield
        return
    caught: list[tuple[int, FrameType | None]] = []
    signal.signal(signal.SIGINT, lambda number, frame: caught.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if caught:
        before(*caught[0])


def _split(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


_FUNCTION: list[Callable[[list[Any]], list[Any]]] = []
"""In a worker: the function that it runs."""


def _become_worker(owner: int, function: Callable[[list[Any]], list[Any]]) -> None:
    """Leaves Ctrl-C to the owner, and dies with it, even if the owner is killed.

    Existing objects never become garbage, and new values have no reference cycles, so searching
    for cycles more rarely saves a fifteenth of the time.
    """
    import ctypes
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != owner:
        os._exit(1)
    gc.freeze()
    gc.set_threshold(_GARBAGE)
    _FUNCTION.append(function)


def _work(chunk: list[Any]) -> list[Any]:
    return _FUNCTION[0](chunk)
