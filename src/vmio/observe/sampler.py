"""The one sampler: a running guest's threads and disks, once or again and again."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Final

from vmio.errors import QmpError, ToolError
from vmio.model.iothread import MAIN_LOOP, IOThread
from vmio.observe.disks import ask_disks
from vmio.observe.sample import DiskSample, Sample, ThreadName
from vmio.observe.threads import Tasks, name_threads, open_tasks, read_threads
from vmio.qemu.qmp import CommandRefusedError, QmpConnection
from vmio.qemu.threads import ask_threads

__all__ = ["collect", "sample", "stream"]

_ENDING_CHECKS: Final = 10
_ENDING_INTERVAL_S: Final = 0.1


async def sample(
    pid: int,
    monitor: QmpConnection | None = None,
    *,
    names: Mapping[int, ThreadName] | None = None,
) -> Sample:
    """Samples a guest once.

    Args:
        pid: QEMU's process on this host.
        monitor: Its monitor; None to read its threads only.
        names: What the threads are, by id, where no monitor is asked.

    Raises:
        ToolError: The process has ended.
        QmpError: The monitor does not answer, or not in kind.
    """
    with open_tasks(pid) as tasks:
        taken = await _take(tasks, pid, monitor, names)
    if taken is None:
        raise ToolError(f"QEMU (process {pid}) has ended")
    return taken


async def stream(
    pid: int,
    monitor: QmpConnection | None = None,
    *,
    interval_s: float,
    names: Mapping[int, ThreadName] | None = None,
) -> AsyncGenerator[Sample, None]:
    """Samples a guest at once and then at each interval, until its QEMU ends.

    Times are multiples of the interval from the first on, so that they do not drift; those that
    have passed when a sample is done are left out. Who stops earlier closes the iterator
    (`contextlib.aclosing`).

    Args:
        pid: As for `sample`.
        monitor: As for `sample`.
        interval_s: From sample to sample.
        names: As for `sample`.

    Raises:
        ToolError: There is no such process to begin with.
        QmpError: The monitor fails, and QEMU does not end.
    """
    if not interval_s > 0:
        raise ValueError(f"an interval of {interval_s} s")
    loop = asyncio.get_running_loop()
    with open_tasks(pid) as tasks:
        start_s, tick = loop.time(), 0
        while True:
            try:
                taken = await _take(tasks, pid, monitor, names)
            except CommandRefusedError:
                raise
            except QmpError:
                if await _is_ending(tasks):
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


async def _take(
    tasks: Tasks, pid: int, monitor: QmpConnection | None, names: Mapping[int, ThreadName] | None
) -> Sample | None:
    """Samples once; None if the process has ended, or its main loop has."""
    iothreads: tuple[IOThread, ...] = ()
    disks: tuple[DiskSample, ...] = ()
    if monitor is not None:
        reported = await ask_threads(monitor)
        names = name_threads(pid, reported)
        iothreads = tuple(each for each, _ in reported.iothreads)
        disks = await ask_disks(monitor)
    monotonic_ns, wall_ns = time.monotonic_ns(), time.time_ns()
    threads = read_threads(tasks, names or {pid: ThreadName(name=MAIN_LOOP, role="main loop")})
    if all(each.thread_id != pid for each in threads):
        return None
    return Sample(
        monotonic_ns=monotonic_ns,
        wall_ns=wall_ns,
        threads=threads,
        iothreads=iothreads,
        disks=disks,
    )


async def _is_ending(tasks: Tasks) -> bool:
    """Returns whether QEMU ends within a second: it closes its monitor before it is gone."""
    for _ in range(_ENDING_CHECKS):
        if not read_threads(tasks, {}):
            return True
        await asyncio.sleep(_ENDING_INTERVAL_S)
    return False
