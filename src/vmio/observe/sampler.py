"""The one sampler: a running guest's threads and disks, once or again and again."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from typing import Final

from vmio.errors import QmpError, ToolError
from vmio.model.iothread import MAIN_LOOP
from vmio.observe.monitor import MonitorReader, Told
from vmio.observe.sample import MonitorState, Sample, ThreadName, ThreadSample
from vmio.observe.threads import Tasks, name_threads, open_tasks, read_threads
from vmio.qemu.brief import BriefMonitor, HeldMonitorError, SilentMonitorError
from vmio.qemu.qmp import CommandRefusedError
from vmio.qemu.questions import Asked

__all__ = ["GuestSampler", "collect", "open_sampler", "sample", "stream"]

_ENDING_CHECKS: Final = 10
_ENDING_INTERVAL_S: Final = 0.1
_STOPPED: Final = frozenset({"T", "t"})
"""By a signal, or by a debugger."""


class GuestSampler:
    """Samples one guest again and again; `open_sampler` makes it.

    What it has open shows this process only, even if another one gets the same number later; and
    what another QEMU says on the same socket is not taken for this one's.
    """

    def __init__(
        self,
        tasks: Tasks,
        pid: int,
        reader: MonitorReader | None,
        names: Mapping[int, ThreadName] | None,
    ) -> None:
        self._tasks = tasks
        self._pid = pid
        self._reader = reader
        self._names = names or {pid: ThreadName(name=MAIN_LOOP, role="main loop")}

    async def take(self) -> Sample | None:
        """Returns a sample, None if the process has ended, or its main loop has.

        A monitor that others use too need not answer: the sample says why it did not.

        Raises:
            QmpError: A monitor of one's own does not answer, or not in kind.
        """
        told: Told | None = None
        state: MonitorState = "not asked"
        note = ""
        if self._reader is not None:
            state, note, told = await self._ask(self._reader)
        if told is not None:
            self._names = name_threads(self._pid, told.threads)
        monotonic_ns, wall_ns = time.monotonic_ns(), time.time_ns()
        threads = read_threads(self._tasks, self._names)
        if all(each.thread_id != self._pid for each in threads):
            return None
        if told is not None and not _has_threads(threads, told):
            if not self._made_by_itself():
                state, note, told = "failed", "another QEMU answers at its monitor's socket", None
            # In a container the ids that QEMU reports are of other threads here.
            self._names = {self._pid: self._names[self._pid]}
            threads = read_threads(self._tasks, self._names)
        return Sample(
            monotonic_ns=monotonic_ns,
            wall_ns=wall_ns,
            threads=threads,
            disks_monotonic_ns=None if told is None else told.monotonic_ns,
            iothreads=() if told is None else tuple(each for each, _ in told.threads.iothreads),
            disks=() if told is None else told.disks,
            queues=() if told is None else told.queues,
            monitor=state,
            monitor_note=note,
        )

    async def _ask(self, reader: MonitorReader) -> tuple[MonitorState, str, Told | None]:
        if not isinstance(reader.monitor, BriefMonitor):
            return "answered", "", await reader.read()
        if self._tasks.read_state(self._pid) in _STOPPED:
            # It would not answer, and the connection would wait in its queue.
            return "silent", "QEMU is stopped by a signal", None
        try:
            return "answered", "", await reader.read()
        except HeldMonitorError as error:
            return "held by another", error.message, None
        except SilentMonitorError as error:
            return "silent", error.message, None
        except QmpError as error:
            return "failed", error.message, None

    def ask_for_queues(self, *, wanted: bool) -> None:
        """Chooses whether the next samples tell what is in flight in each virtqueue."""
        if self._reader is not None:
            self._reader.ask_for_queues(wanted=wanted)

    async def is_ending(self) -> bool:
        """Returns whether QEMU ends within a second: it closes its monitor before it is gone."""
        for _ in range(_ENDING_CHECKS):
            if not read_threads(self._tasks, {}):
                return True
            await asyncio.sleep(_ENDING_INTERVAL_S)
        return False

    def _made_by_itself(self) -> bool:
        """Returns whether the process that is sampled made the socket that answered.

        libvirt makes it and hands it over; then only QEMU's thread ids tell.
        """
        monitor = self._reader.monitor if self._reader is not None else None
        return not isinstance(monitor, BriefMonitor) or monitor.peer_pid == self._pid


def _has_threads(threads: Sequence[ThreadSample], told: Told) -> bool:
    """Returns whether the threads that a monitor reported are among those of the process."""
    reported = told.threads.thread_ids
    return bool(reported) and set(reported) <= {each.thread_id for each in threads}


@contextmanager
def open_sampler(
    pid: int,
    monitor: Asked | None = None,
    *,
    names: Mapping[int, ThreadName] | None = None,
    limits: bool = False,
    queues: bool = False,
) -> Iterator[GuestSampler]:
    """Opens what sampling a guest needs, and closes it.

    Args:
        pid: QEMU's process on this host.
        monitor: Its monitor: a session of one's own, or a `BriefMonitor` that others use too; None
            to read its threads only.
        names: What the threads are, by id, until a monitor tells.
        limits: Whether to ask what each disk may do at most.
        queues: Whether to ask what is in flight in each virtqueue, which takes QEMU half a
            millisecond for each.

    Raises:
        ToolError: There is no such process.
    """
    reader = None if monitor is None else MonitorReader(monitor, limits=limits, queues=queues)
    with open_tasks(pid) as tasks:
        yield GuestSampler(tasks, pid, reader, names)


async def sample(
    pid: int,
    monitor: Asked | None = None,
    *,
    names: Mapping[int, ThreadName] | None = None,
    limits: bool = False,
    queues: bool = False,
) -> Sample:
    """Samples a guest once.

    Args:
        pid: As for `open_sampler`, like the others.
        monitor: Its monitor; None to read its threads only.
        names: What the threads are, by id, until a monitor tells.
        limits: Whether to ask what each disk may do at most.
        queues: Whether to ask what is in flight.

    Raises:
        ToolError: The process has ended.
        QmpError: A monitor of one's own does not answer, or not in kind.
    """
    with open_sampler(pid, monitor, names=names, limits=limits, queues=queues) as sampler:
        taken = await sampler.take()
    if taken is None:
        raise ToolError(f"QEMU (process {pid}) has ended")
    return taken


async def stream(
    pid: int,
    monitor: Asked | None = None,
    *,
    interval_s: float,
    names: Mapping[int, ThreadName] | None = None,
    limits: bool = False,
    queues: bool = False,
) -> AsyncGenerator[Sample, None]:
    """Samples a guest at once and then at each interval, until its QEMU ends.

    Times are multiples of the interval from the first on, so that they do not drift; those that
    have passed when a sample is done are left out. Who stops earlier closes the iterator
    (`contextlib.aclosing`).

    Args:
        pid: As for `sample`, like the others.
        monitor: Its monitor; None to read its threads only.
        interval_s: Seconds from sample to sample.
        names: What the threads are, by id, until a monitor tells.
        limits: Whether to ask what each disk may do at most.
        queues: Whether to ask what is in flight.

    Raises:
        ToolError: There is no such process to begin with.
        QmpError: A monitor of one's own fails, and QEMU does not end.
    """
    if not interval_s > 0:
        raise ValueError(f"an interval of {interval_s} s")
    loop = asyncio.get_running_loop()
    with open_sampler(pid, monitor, names=names, limits=limits, queues=queues) as sampler:
        start_s, tick = loop.time(), 0
        while True:
            try:
                taken = await sampler.take()
            except CommandRefusedError:
                raise
            except QmpError:
                if await sampler.is_ending():
                    return
                raise
            if taken is None:
                return
            yield taken
            tick = max(tick + 1, math.ceil((loop.time() - start_s) / interval_s))
            await asyncio.sleep(start_s + tick * interval_s - loop.time())


@asynccontextmanager
async def collect(
    pid: int, *, interval_s: float, names: Mapping[int, ThreadName]
) -> AsyncIterator[list[Sample]]:
    """Collects samples of a guest's threads while the body runs.

    No monitor is asked: QEMU's answers would be part of what is measured.
    """
    samples: list[Sample] = []

    async def run() -> None:
        with suppress(ToolError):  # whoever waits for the process says that better
            async with aclosing(stream(pid, interval_s=interval_s, names=names)) as found:
                async for each in found:
                    samples.append(each)  # noqa: PERF401 - a list made at the end is lost

    task = asyncio.create_task(run())
    try:
        yield samples
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
