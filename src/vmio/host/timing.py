"""Measures the cost of waiting on this host: system calls, sleeps and wake-ups.

Two processes pass an event back and forth through eventfds, like an event loop and its waker. One
processor may take twice as long as another, and half as long moments later; so there are several
blocks, with the two processes on either processor. The cost of a sleep doubles in the first tenth
of a second, until the processors have settled as under a load.
"""

from __future__ import annotations

import os
import select
import signal
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from msgspec import Struct

from vmio.errors import ToolError

__all__ = ["WaitCosts", "measure_busy", "measure_waits", "read_others_s"]

_BLOCKS: Final = 6
_WARM_UP: Final = 3
"""Blocks that are not counted."""
_WAKES: Final = 100
_CALLS: Final = 2_000
"""Rounds of each measurement in a block."""
_QUIET: Final = 4
"""Descriptors without events, in addition to the ready one, in the `ppoll` of an IOThread:
notifiers, and queues of other disks."""
_MOST_EVENTS: Final = 20
"""The most events that a process is sent, as a multiple of its expected wake-ups."""
_PAUSE_S: Final = 60e-6
"""Between two events, as between two requests: the processor goes idle, as in reality."""
_PR_SET_PDEATHSIG: Final = 1
_ANSWER_S: Final = 5.0
_GONE: Final = "a process that vmio started to measure wake-ups has died"


class WaitCosts(Struct, frozen=True, kw_only=True):
    """Medians of blocks, minus the overhead of measuring.

    Units: nanoseconds.
    """

    syscall_ns: int
    """A `ppoll` of five descriptors that returns at once because one is ready, and reading that
    eventfd: the cost of a wait that does not sleep."""
    wake_ns: int
    """From an event until the sleeper runs, on a processor that was idle too, if there are two."""
    sleep_ns: int
    """Processor time of the sleeping thread: a `ppoll` of five descriptors until an eventfd wakes
    it up, and reading that; this includes leaving the processor, returning, and both calls."""


def measure_waits() -> WaitCosts:
    """Measures for about a second; no process that it starts outlives it.

    On a shared host the result varies by a third within seconds: a measurement that takes a minute
    repeats this several times meanwhile.

    Raises:
        ToolError: The other process died, or no process can be started.
    """
    allowed = os.sched_getaffinity(0)
    one, other = min(allowed), max(allowed)
    calls, wakes, sleeps = [], [], []
    try:
        for here, there in ((one, other), (other, one)):
            os.sched_setaffinity(0, {here})
            calls += [_measure_calls() for _ in range(_BLOCKS)]
            wakes.append(_measure_wakes(there) - _measure_events())
            sleeps.append(_measure_sleeps(there))
    finally:
        os.sched_setaffinity(0, allowed)
    return WaitCosts(
        syscall_ns=max(1, round(statistics.median(calls))),
        # A loop runs on either processor, so both count, however different they are.
        wake_ns=max(0, round(statistics.mean(wakes))),
        sleep_ns=max(0, round(statistics.mean(sleeps))),
    )


def measure_busy(seconds: float = 0.5) -> float:
    """Returns how many processors other processes used in the next moments, by the kernel's count.

    Source: proc_stat(5): time in user, nice, system, irq, softirq and steal, of all processors.
    """
    begin_s, before_s = time.monotonic(), read_others_s()
    time.sleep(seconds)
    used_s = read_others_s() - before_s
    # On a busy host a sleeper does not continue in time.
    return max(0.0, used_s / (time.monotonic() - begin_s))


def read_others_s(process: int | None = None) -> float:
    """Returns the processor time of other processes so far, in seconds; use only differences.

    Args:
        process: A process to exclude, besides this one.

    Source: proc_stat(5), as for `measure_busy`; proc_pid_stat(5), fields 14 and 15.
    """
    return _read_busy_s() - time.process_time() - (_read_used_s(process) if process else 0.0)


def _read_used_s(process: int) -> float:
    try:
        # The name in brackets may itself contain blanks and brackets.
        fields = Path(f"/proc/{process}/stat").read_bytes().rpartition(b")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return 0.0


def _read_busy_s() -> float:
    try:
        fields = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:]
        ticks = [int(field) for field in fields]
    except (OSError, ValueError):
        return 0.0
    idle, io_wait = 3, 4
    counted = sum(each for at, each in enumerate(ticks[:8]) if at not in {idle, io_wait})
    return counted / os.sysconf("SC_CLK_TCK")


def _measure_calls() -> float:
    """Returns the processor time of a `ppoll` and a read, neither of which waits."""
    with _descriptors(ready=_CALLS) as (waiter, event):
        begin_ns = time.thread_time_ns()
        for _ in range(_CALLS):
            waiter.poll(0)
            os.eventfd_read(event)
        return (time.thread_time_ns() - begin_ns) / _CALLS - _measure_interpreter()


def _measure_interpreter() -> float:
    """Returns the processor time of two calls that do nothing."""
    begin_ns = time.thread_time_ns()
    for _ in range(_CALLS):
        abs(0)
        abs(0)
    return (time.thread_time_ns() - begin_ns) / _CALLS


def _measure_events() -> float:
    """Returns the time to write an eventfd that nobody waits for, and to read it."""
    with _descriptors(ready=0) as (_, event):
        begin_ns = time.perf_counter_ns()
        for _ in range(_CALLS):
            os.eventfd_write(event, 1)
            os.eventfd_read(event)
        return (time.perf_counter_ns() - begin_ns) / _CALLS


def _measure_wakes(there: int) -> float:
    """Returns the median of half a round trip between this process and one on another processor.

    The time of both calls in the interpreter is included in both halves.
    """
    with _descriptors(ready=0) as (_, ping), _descriptors(ready=0) as (waiter, pong):

        def echo() -> None:
            os.sched_setaffinity(0, {there})
            _echo(ping, pong)

        with _child(echo):
            times_ns = []
            for _ in range((_WARM_UP + _BLOCKS) * _WAKES):
                time.sleep(_PAUSE_S)
                begin_ns = time.perf_counter_ns()
                os.eventfd_write(ping, 1)
                if not waiter.poll(_ANSWER_S * 1000):
                    raise ToolError(_GONE)
                os.eventfd_read(pong)
                times_ns.append(time.perf_counter_ns() - begin_ns)
    return statistics.median(times_ns[_WARM_UP * _WAKES :]) / 2


def _measure_sleeps(there: int) -> float:
    """Returns the processor time of a sleep, which a process on another processor measures."""
    reader, writer = os.pipe()
    try:
        with _descriptors(ready=0) as (waiter, event):

            def sleep() -> None:
                os.sched_setaffinity(0, {there})
                blocks_ns = [_sleep(waiter, event) for _ in range(_WARM_UP + _BLOCKS)]
                os.write(writer, b"%d" % statistics.median(blocks_ns[_WARM_UP:]))
                signal.pause()

            with _child(sleep):
                answer = select.poll()
                answer.register(reader, select.POLLIN)
                for _ in range(_MOST_EVENTS * (_WARM_UP + _BLOCKS) * _WAKES):
                    time.sleep(_PAUSE_S)
                    os.eventfd_write(event, 1)
                    if answer.poll(0):
                        break
                if not answer.poll(_ANSWER_S * 1000):
                    raise ToolError(_GONE)
                return int(os.read(reader, 32)) / _WAKES - _measure_interpreter()
    finally:
        os.close(reader)
        os.close(writer)


def _sleep(waiter: select.poll, event: int) -> int:
    """Sleeps until events come, one block of them, and returns the processor time."""
    before_ns = time.thread_time_ns()
    for _ in range(_WAKES):
        waiter.poll()
        os.eventfd_read(event)
    return time.thread_time_ns() - before_ns


@contextmanager
def _descriptors(*, ready: int) -> Iterator[tuple[select.poll, int]]:
    """Opens as many eventfds as an IOThread waits for; one can be read `ready` times."""
    opened = [os.eventfd(ready, os.EFD_SEMAPHORE), *(os.eventfd(0) for _ in range(_QUIET))]
    try:
        waiter = select.poll()
        for each in opened:
            waiter.register(each, select.POLLIN)
        yield waiter, opened[0]
    finally:
        for each in opened:
            os.close(each)


def _echo(ping: int, pong: int) -> None:
    while True:
        os.eventfd_read(ping)
        os.eventfd_write(pong, 1)


@contextmanager
def _child(work: Callable[[], None]) -> Iterator[None]:
    """Runs a function in a child process, which ends with this process or on leaving."""
    owner = os.getpid()
    try:
        child = os.fork()
    except OSError as error:
        raise ToolError(f"cannot start a process to measure with: {error.strerror}") from error
    if child == 0:
        try:
            import ctypes

            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            if os.getppid() == owner:
                work()
        finally:
            os._exit(1)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
