"""When a guest is sampled, and when that ends; by a clock that goes on only while all wait."""

from __future__ import annotations

import asyncio
import os
import selectors
import signal
import subprocess
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest

from vmio.errors import QmpError, ToolError
from vmio.model.iothread import IOThread
from vmio.observe import sampler
from vmio.observe.sample import ThreadName
from vmio.observe.sampler import collect, sample, stream
from vmio.qemu.brief import BriefMonitor, HeldMonitorError, SilentMonitorError
from vmio.qemu.qmp import CommandRefusedError, QmpConnection
from vmio.qemu.questions import Question

T = TypeVar("T")
PID = os.getpid()
NAMES = {PID: ThreadName(name="main loop", role="main loop")}
REPLIES: dict[str, object] = {
    "query-iothreads": [
        {"id": "io1", "thread-id": 2, "poll-max-ns": 0},
        {"id": "io0", "thread-id": 1, "poll-max-ns": 32768},
    ],
    "query-cpus-fast": [{"cpu-index": 0, "thread-id": 3}],
    "query-blockstats": [{"qdev": "scsi0", "stats": {"rd_operations": 5}}],
}


class Monitor(QmpConnection):
    """A monitor that takes a time for each answer, and has no answer in the end."""

    def __init__(
        self, *, answers: int = 1000, takes_s: float = 0.0, then: QmpError | None = None
    ) -> None:
        self.name = "the monitor"
        self.peer_pid = None
        self.left = answers
        self.takes_s = takes_s
        self.then = then or QmpError("the monitor closed the connection")

    async def execute(
        self,
        command: str,
        arguments: Mapping[str, object] | None = None,
        *,
        timeout_s: float = 10.0,
    ) -> Any:  # noqa: ANN401 - as what it stands in for
        """Answers."""
        assert arguments is None
        assert timeout_s > 0
        await asyncio.sleep(self.takes_s)
        if not self.left:
            raise self.then
        self.left -= 1
        return REPLIES[command]


class Clock(selectors.DefaultSelector):
    """Time that passes only in waiting."""

    now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Lets the time go on that there is nothing to do in."""
        self.now_s += timeout or 0.0
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop by such a clock."""

    def __init__(self) -> None:
        self.clock = Clock()
        super().__init__(self.clock)

    def time(self) -> float:
        """Returns the clock's."""
        return self.clock.now_s


def run(main: Callable[[], Awaitable[T]]) -> T:
    """Runs a coroutine in no time."""

    async def call() -> T:
        return await main()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(call())


async def list_times(
    count: int, work_s: tuple[float, ...] = (), monitor: Monitor | None = None
) -> list[float]:
    """Returns when so many samples came, to a reader that works between them."""
    loop = asyncio.get_running_loop()
    work = iter(work_s)
    times: list[float] = []
    async with aclosing(stream(PID, monitor, interval_s=1.0)) as samples:
        async for _ in samples:
            times.append(round(loop.time(), 6))
            if len(times) == count:
                break
            await asyncio.sleep(next(work, 0.0))
    return times


def test_samples_come_at_multiples_of_the_interval() -> None:
    """However long the reader works in between."""
    assert run(lambda: list_times(4, (0.3, 0.9, 0.1))) == [0, 1, 2, 3]


def test_samples_that_are_late_are_left_out() -> None:
    """There is no rush to make up for a reader that took three intervals."""
    assert run(lambda: list_times(4, (0.0, 2.7, 0.0))) == [0, 1, 4, 5]


def test_slow_monitor_does_not_make_the_times_drift() -> None:
    """Three answers of 0.1 s each, asked for at each interval."""
    monitor = Monitor(takes_s=0.1)
    assert run(lambda: list_times(4, monitor=monitor)) == [0.3, 1.3, 2.3, 3.3]


def test_sample_has_threads_iothreads_and_disks() -> None:
    """IOThreads are in the order of creation; their polling is as QEMU says it."""
    found = run(lambda: sample(PID, Monitor()))
    assert found.threads[0].name == "main loop"
    assert found.iothreads == (
        IOThread(id="io0", poll_max_ns=32768),
        IOThread(id="io1", poll_max_ns=0),
    )
    assert [(each.id, each.reads.count) for each in found.disks] == [("scsi0", 5)]


def test_sample_without_a_monitor_has_threads_only() -> None:
    """The first is the main loop."""
    found = run(lambda: sample(PID))
    assert (found.threads[0].thread_id, found.threads[0].role) == (PID, "main loop")
    assert found.iothreads == ()
    assert found.disks == ()


class Brief(BriefMonitor):
    """A monitor that others use too, of a process that made the socket or did not."""

    def __init__(self, answer: Exception | None = None, *, peer_pid: int = PID) -> None:
        super().__init__(Path("/run/x.qmp"), pid=PID)
        self.peer_pid = peer_pid
        self.answer = answer
        self.asked = 0

    async def execute_all(self, questions: Sequence[Question]) -> tuple[Any, ...]:
        """Answers, or does not."""
        self.asked += 1
        if self.answer is not None:
            raise self.answer
        return tuple(REPLIES[each.command] for each in questions)


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (HeldMonitorError("held"), "held by another"),
        (SilentMonitorError("silent"), "silent"),
        (QmpError("gone"), "failed"),
    ],
)
def test_monitor_of_others_need_not_answer(error: QmpError, state: str) -> None:
    """The threads are sampled all the same, and the sample says why there are no disks."""
    found = run(lambda: sample(PID, Brief(error)))
    assert (found.monitor, found.monitor_note) == (state, error.message)
    assert found.disks == ()
    assert found.threads


def test_monitor_that_answers_is_said_to() -> None:
    """With the time of its counters."""
    found = run(lambda: sample(PID, Brief()))
    assert (found.monitor, found.monitor_note) == ("answered", "")
    assert [each.id for each in found.disks] == ["scsi0"]
    assert found.disks_monotonic_ns is not None
    assert found.disks_monotonic_ns <= found.monotonic_ns


def test_answers_of_another_qemu_are_not_taken() -> None:
    """It has other threads, and this process did not make the socket."""
    found = run(lambda: sample(PID, Brief(peer_pid=PID + 1)))
    assert (found.monitor, found.disks, found.iothreads) == ("failed", (), ())
    assert "another QEMU" in found.monitor_note
    assert found.threads[0].name == "main loop"


def test_qemu_that_is_stopped_is_not_asked() -> None:
    """It would not answer, and a connection would wait there."""
    monitor = Brief()
    with subprocess.Popen(["sleep", "60"]) as process:
        try:
            process.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
            found = run(lambda: sample(process.pid, monitor))
        finally:
            process.kill()
    assert (found.monitor, monitor.asked) == ("silent", 0)
    assert found.threads[0].state == "T"


def test_stream_ends_with_its_process() -> None:
    """Though nobody has waited for the process yet."""
    with subprocess.Popen(["sleep", "60"]) as process:

        def end() -> None:
            process.kill()
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)

        async def count() -> int:
            number = 0
            async for _ in stream(process.pid, interval_s=1.0):
                number += 1
                if number == 3:
                    end()
            return number

        assert run(count) == 3


def test_stream_ends_when_the_monitor_closes_before_the_process_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """QEMU takes a moment between the two."""
    alive = (SimpleNamespace(thread_id=PID),)
    monitor = Monitor(answers=6)
    # Of the second sample, and once more after the monitor is closed.
    left = iter([alive, alive])

    def read_threads(*_: object) -> tuple[object, ...]:
        return next(left, ()) if monitor.left == 0 else alive

    async def list_all() -> int:
        return len([each async for each in stream(PID, monitor, interval_s=1.0)])

    monkeypatch.setattr(sampler, "read_threads", read_threads)
    assert run(list_all) == 2


@pytest.mark.parametrize(
    "error",
    [QmpError("no answer"), CommandRefusedError("refused", error_class="CommandNotFound")],
)
def test_monitor_that_fails_while_qemu_lives_is_an_error(error: QmpError) -> None:
    """Figures must not just cease to come."""

    async def read_all() -> None:
        async for _ in stream(PID, Monitor(answers=3, then=error), interval_s=1.0):
            pass

    with pytest.raises(QmpError) as caught:
        run(read_all)
    assert caught.value is error


def is_task_folder(descriptor: Path) -> bool:
    """Returns whether a descriptor of this process is of a folder of threads."""
    try:
        return descriptor.readlink().name == "task"
    except OSError:
        return False  # the one that the listing itself had


def test_stream_ends_on_cancellation_and_closes_its_folder() -> None:
    """No descriptor is left."""

    async def main() -> None:
        task = asyncio.create_task(list_times(1000))
        await asyncio.sleep(2.5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main)
    assert [each for each in Path("/proc/self/fd").iterdir() if is_task_folder(each)] == []


def test_collected_samples_are_those_while_the_body_ran() -> None:
    """Five intervals and a half."""

    async def main() -> int:
        async with collect(PID, interval_s=0.1, names=NAMES) as samples:
            await asyncio.sleep(0.55)
        return len(samples)

    assert run(main) == 6


def test_collecting_ends_with_the_body_also_without_a_process() -> None:
    """Whoever waits for the process says that it is gone."""

    async def main() -> None:
        async with collect(2**30, interval_s=0.1, names=NAMES) as samples:
            await asyncio.sleep(0.5)
        assert samples == []
        with pytest.raises(LookupError):
            async with collect(PID, interval_s=0.1, names=NAMES):
                raise LookupError

    run(main)


@pytest.mark.parametrize("interval_s", [0.0, -1.0, float("nan")])
def test_interval_that_is_none_is_refused(interval_s: float) -> None:
    """It would never wait."""

    async def main() -> None:
        async for _ in stream(PID, interval_s=interval_s):
            pass

    with pytest.raises(ValueError, match="interval"):
        run(main)


def test_sample_of_a_process_that_has_ended_is_refused() -> None:
    """No process has this number; one that nobody waited for has no thread that runs."""
    with pytest.raises(ToolError, match="there is no process"):
        run(lambda: sample(2**30))
    with subprocess.Popen(["true"]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        with pytest.raises(ToolError, match="has ended"):
            run(lambda: sample(process.pid))
