"""What waiting costs on this host: system calls, sleeps and wake-ups, measured in moments.

Two processes hand each other an event through eventfds, as an event loop and what wakes it do.
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

from attrs import frozen

from vmio.errors import ToolError

__all__ = ["WaitCosts", "measure_busy", "measure_waits"]

_ROUNDS: Final = 3_000
_CALLS: Final = 20_000
_PAUSE_S: Final = 60e-6
"""Between two events, as between two requests: a processor falls asleep meanwhile, as it does in
reality."""
_PR_SET_PDEATHSIG: Final = 1
_ANSWER_S: Final = 5.0


@frozen(kw_only=True)
class WaitCosts:
    """Medians, less what the measuring itself takes.

    Units: nanoseconds.
    """

    syscall_ns: int
    """A `ppoll` that returns at once."""
    event_ns: int
    """Writing an eventfd that nobody waits for, and reading it."""
    wake_ns: int
    """From an event until who slept runs, on a processor that slept too, if there are two."""
    sleep_ns: int
    """Processor time of one sleep and wake-up."""


def measure_waits() -> WaitCosts:
    """Measures for about a second; nothing that it starts outlives it.

    Raises:
        ToolError: The other process died, or no process can be started.
    """
    call_ns = _measure_calls()
    event_ns = _measure_events()
    wake_ns, sleep_ns = _measure_wakes(_ROUNDS)
    return WaitCosts(
        syscall_ns=call_ns,
        event_ns=event_ns,
        # What the two calls of the interpreter take is in both directions of a round.
        wake_ns=max(0, wake_ns - event_ns),
        sleep_ns=max(0, sleep_ns - event_ns),
    )


def measure_busy(seconds: float = 0.5) -> float:
    """Returns how many processors others used in the next moments, by the kernel's count.

    Source: proc_stat(5): time in user, nice, system, irq, softirq and steal, of all processors.
    """
    before, own = _read_busy_s(), time.process_time()
    time.sleep(seconds)
    used_s = _read_busy_s() - before - (time.process_time() - own)
    return max(0.0, used_s / seconds)


def _read_busy_s() -> float:
    try:
        fields = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:]
        ticks = [int(field) for field in fields]
    except (OSError, ValueError):
        return 0.0
    idle, io_wait = 3, 4
    counted = sum(each for at, each in enumerate(ticks[:8]) if at not in {idle, io_wait})
    return counted / os.sysconf("SC_CLK_TCK")


def _measure_calls() -> int:
    waiter, descriptor = select.poll(), os.eventfd(0)
    try:
        waiter.register(descriptor, select.POLLIN)
        begin_ns = time.perf_counter_ns()
        for _ in range(_CALLS):
            waiter.poll(0)
        return (time.perf_counter_ns() - begin_ns) // _CALLS
    finally:
        os.close(descriptor)


def _measure_events() -> int:
    descriptor = os.eventfd(0)
    try:
        begin_ns = time.perf_counter_ns()
        for _ in range(_CALLS):
            os.eventfd_write(descriptor, 1)
            os.eventfd_read(descriptor)
        return (time.perf_counter_ns() - begin_ns) // _CALLS
    finally:
        os.close(descriptor)


def _measure_wakes(rounds: int) -> tuple[int, int]:
    """Returns the median of half a round between two processes, and processor time of a half."""
    ping, pong = os.eventfd(0), os.eventfd(0)
    allowed = os.sched_getaffinity(0)
    here, there = min(allowed), max(allowed)

    def echo() -> None:
        os.sched_setaffinity(0, {there})
        _echo(ping, pong)

    try:
        with _child(echo):
            os.sched_setaffinity(0, {here})
            waiter = select.poll()
            waiter.register(pong, select.POLLIN)
            times_ns, spent_ns = [], 0
            for _ in range(rounds):
                time.sleep(_PAUSE_S)
                before_ns, begin_ns = time.thread_time_ns(), time.perf_counter_ns()
                os.eventfd_write(ping, 1)
                if not waiter.poll(_ANSWER_S * 1000):
                    raise ToolError("a process that vmio started to measure wake-ups is gone")
                os.eventfd_read(pong)
                times_ns.append(time.perf_counter_ns() - begin_ns)
                spent_ns += time.thread_time_ns() - before_ns
    finally:
        os.sched_setaffinity(0, allowed)
        os.close(ping)
        os.close(pong)
    return round(statistics.median(times_ns) / 2), spent_ns // rounds


def _echo(ping: int, pong: int) -> None:
    while True:
        os.eventfd_read(ping)
        os.eventfd_write(pong, 1)


@contextmanager
def _child(work: Callable[[], None]) -> Iterator[None]:
    """Runs a function in a process of its own, which dies with this one and when it is left."""
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
