"""One function over many things, on all processors, its answers in order."""

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
"""So many things go to a process at a time; sending one costs as much as a config's whole way."""

_WAITING_PER_WORKER = 4
_GARBAGE = 50_000
"""So many values are made before a process looks for cycles among them."""
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
    """Yields what a function makes of all items, in their order, as soon as it is known.

    Only a few chunks are ever under way, so that memory does not grow with the number of items.
    Whoever ends early, by Ctrl-C or by closing the generator, waits for none of them.

    Args:
        function: Takes a chunk of items; it is sent to each process once, so it is a module's own
            or a partial of one.
        items: What to go through.
        workers: How many processes to use, or how many chunks an executor does at a time; None for
            one a processor. With one, or with no more than a chunk of items, and no executor, this
            process does it all.
        chunk_size: How many things go to a process at a time.
        executor: What to run it on instead of processes made for it: threads, processes or a
            cluster. It is used and not shut down, and is sent the function with each chunk; of
            what it has begun it may have to finish a chunk for each worker.

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
            "a process that did a part of the work was killed",
            hint="where memory ran out, --jobs 1 needs the least" if executor is None else "",
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
        # Nothing is left here but when it ends early.
        for future in waiting:
            future.cancel()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Takes Ctrl-C when the block is done: what is cut off while it is made cannot be cancelled.

    Blocking the signal would not do: another thread would take it, and Python's handler runs in
    the main one whoever does.
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
"""In a worker: what it does."""


def _become_worker(owner: int, function: Callable[[list[Any]], list[Any]]) -> None:
    """Leaves Ctrl-C to the owner, and dies with it, even if that is killed.

    What is there already never becomes garbage, and the values that are made hold no cycles, so
    looking for those often is a fifteenth of the work.
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
