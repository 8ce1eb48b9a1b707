"""Many things on all processors."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import pytest

from vmio.errors import ToolError
from vmio.fleet.runner import CHUNK, map_in_order


def double(numbers: list[int]) -> list[int]:
    """Doubles each number."""
    return [2 * number for number in numbers]


def tell_process(numbers: list[int]) -> list[int]:
    """Tells for each number which process had it."""
    return [os.getpid()] * len(numbers)


def fail(numbers: list[int]) -> list[int]:
    """Fails as a bug would."""
    raise ZeroDivisionError(numbers[0])


def die(numbers: list[int]) -> list[int]:
    """Ends its process as the kernel does where memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)
    return numbers


@pytest.mark.parametrize("count", [0, 1, CHUNK, CHUNK + 1, 20 * CHUNK + 7])
@pytest.mark.parametrize("workers", [1, 3])
def test_map_in_order_keeps_the_order(count: int, workers: int) -> None:
    """However many processes work, the answers come in the order of the questions."""
    assert list(map_in_order(double, range(count), workers=workers)) == [
        2 * number for number in range(count)
    ]


def test_map_in_order_uses_other_processes_only_where_it_helps() -> None:
    """A chunk's worth is done here; more is done elsewhere."""
    assert set(map_in_order(tell_process, range(CHUNK), workers=2)) == {os.getpid()}
    assert os.getpid() not in set(map_in_order(tell_process, range(9 * CHUNK), workers=2))


def test_map_in_order_takes_only_a_little_ahead() -> None:
    """What is not asked for is not begun, so memory does not grow with the number of items."""
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(1000 * CHUNK):
            taken += 1
            yield number

    results = map_in_order(double, items(), workers=2)
    assert next(results) == 0
    results.close()
    assert taken <= 16 * CHUNK


def test_map_in_order_passes_a_failure_on() -> None:
    """An exception of the function reaches the caller, and no process stays."""
    with pytest.raises(ZeroDivisionError):
        list(map_in_order(fail, range(9 * CHUNK), workers=2))


def test_map_in_order_tells_of_a_killed_process() -> None:
    """It is an error in words, not a bug, and the other processes end."""
    with pytest.raises(ToolError, match="was killed"):
        list(map_in_order(die, range(9 * CHUNK), workers=2))
    assert multiprocessing.active_children() == []


def test_map_in_order_leaves_no_process_when_it_ends_early() -> None:
    """Whoever takes no more waits for nothing."""
    results = map_in_order(double, range(100 * CHUNK), workers=2)
    next(results)
    assert len(multiprocessing.active_children()) == 2
    results.close()
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("kind", [ThreadPoolExecutor, ProcessPoolExecutor])
def test_map_in_order_runs_on_an_executor_and_leaves_it_usable(
    kind: type[ThreadPoolExecutor | ProcessPoolExecutor],
) -> None:
    """Whoever made it shuts it down; the order is kept, even with one chunk."""
    with kind(2) as executor:
        for count in (1, 9 * CHUNK + 1):
            answers = map_in_order(double, range(count), workers=2, executor=executor)
            assert list(answers) == [2 * number for number in range(count)]
        assert executor.submit(double, [1]).result() == [2]


def test_map_in_order_cancels_what_an_executor_has_not_begun() -> None:
    """Ending early leaves it nothing to do but what it is at."""
    begun: list[int] = []
    go_on = threading.Event()

    def note(numbers: list[int]) -> list[int]:
        begun.append(numbers[0])
        if numbers[0]:
            go_on.wait()
        return numbers

    with ThreadPoolExecutor(1) as executor:
        results = map_in_order(note, range(100), workers=2, chunk_size=1, executor=executor)
        assert next(results) == 0
        results.close()
        go_on.set()
    assert len(begun) <= 2


def test_map_in_order_tells_of_a_process_of_an_executor_that_was_killed() -> None:
    """In the same words, without a hint at an option that says nothing about it."""
    executor: Executor
    with ProcessPoolExecutor(2) as executor, pytest.raises(ToolError, match="was killed") as told:
        list(map_in_order(die, range(9 * CHUNK), executor=executor))
    assert not told.value.hint


class Interrupted(Executor):
    """An executor during whose second submission somebody presses Ctrl-C."""

    def __init__(self) -> None:
        self.made: list[Future[Any]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:  # noqa: ANN401
        """Makes a future that nobody fills."""
        assert (fn, len(args), kwargs) == (double, 1, {})
        if self.made:
            signal.raise_signal(signal.SIGINT)
        future: Future[Any] = Future()
        self.made.append(future)
        return future


def test_ctrl_c_waits_for_a_submission_to_end() -> None:
    """No future is left half made: each of them is there, and is cancelled."""
    executor = Interrupted()
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        list(map_in_order(double, range(9), chunk_size=1, workers=2, executor=executor))
    assert [future.cancelled() for future in executor.made] == [True, True]
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_is_left_alone_where_it_is_ignored() -> None:
    """As by a caller that takes it in another way."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with ThreadPoolExecutor(1) as threads:
            assert list(map_in_order(double, [1], executor=threads)) == [2]
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
