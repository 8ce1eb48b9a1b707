"""One run of a job: by fio in a guest, with QEMU's threads meanwhile, or right on the host."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack, nullcontext
from typing import Final

from msgspec import Struct, field

from vmio.bench.extent import STARTUP_S, TAIL_S
from vmio.bench.jobs import Job, fio_argv, parse_fio
from vmio.bench.neighbours import RunningNeighbour
from vmio.bench.result import Measurement
from vmio.bench.threads import summarise_threads
from vmio.errors import CapabilityError, GuestError, ToolError
from vmio.guest.agent import Agent
from vmio.observe.sample import ThreadName
from vmio.observe.sampler import collect
from vmio.qemu.child import describe_failure, destroy_child, start_child

__all__ = ["LoadTarget", "check_host_fio", "measure_alone", "run_in_guest", "run_on_host"]

_GRACE_S: Final = 60.0
"""Additional time that fio may take: a guest under TCG on a busy host is slow."""
_SAMPLE_INTERVAL_S: Final = 0.1
_ALONE_S: Final = 1.0
_HOST_OUTPUT_BYTES: Final = 4 << 20


async def _explain_nothing() -> None:
    """Returns nothing: it is not known whether QEMU has stopped a guest."""


class LoadTarget(Struct, frozen=True, kw_only=True):
    """A guest in which jobs run."""

    name: str
    """What it is called in errors."""
    pid: int
    """Its QEMU's process."""
    agent: Agent
    device: str
    """The measured disk's device in the guest, or a file there."""
    devices: Mapping[str, str] = field(default_factory=dict)
    """The devices of its disks, by the disks' ids."""
    threads: dict[int, ThreadName]
    writable: bool
    """Whether the content of its disks may be lost."""
    neighbour: RunningNeighbour | None = None
    explain_end: Callable[[], ToolError | None] = lambda: None
    """Returns why its QEMU has ended, None if it runs."""
    explain_stop: Callable[[], Awaitable[ToolError | None]] = _explain_nothing
    """Returns why QEMU itself has stopped it, None if it has not."""


async def run_in_guest(target: LoadTarget, job: Job) -> Measurement:
    """Runs a job and those beside it in a guest, with its neighbour.

    Raises:
        GuestError: The guest or its agent does not answer.
        ToolError: QEMU or fio failed, or the neighbour did nothing.
        UsageError: The job writes, and the disks are not known to be scratch.
    """
    argv = fio_argv(job, target.device, scratch=target.writable, devices=target.devices)
    length_s = job.ramp_s + job.runtime_s
    sampling = collect(target.pid, interval_s=_SAMPLE_INTERVAL_S, names=target.threads)
    busy = target.neighbour.busy() if target.neighbour is not None else nullcontext()
    try:
        async with busy as turn, sampling as samples:
            completed = await target.agent.run(
                argv,
                timeout_s=length_s + _GRACE_S,
                first_poll_s=length_s + STARTUP_S / 2,
            )
            end_s = time.monotonic() - TAIL_S
    except GuestError as error:
        reason = target.explain_end() or await target.explain_stop()
        if reason is not None:
            raise reason from error
        raise
    if completed.status:
        raise ToolError(
            f"fio failed in the guest with {target.name} during {job.name}",
            argv=argv,
            status=completed.status,
            output=completed.stderr.decode("utf-8", "replace"),
        )
    figures = tuple(parse_fio(completed.stdout, number) for number in range(len(job.all)))
    return Measurement(
        figures=figures[0],
        beside=figures[1:],
        threads=summarise_threads(samples, start_s=end_s - job.runtime_s, end_s=end_s),
        neighbour_per_s=turn.per_s if turn is not None else None,
    )


async def measure_alone(target: LoadTarget) -> float:
    """Returns how busy a guest's main loop is with its neighbour and no load, in processors.

    Raises:
        ToolError: The neighbour did nothing.
        QmpError: QEMU does not answer, or refuses.
    """
    assert target.neighbour is not None  # noqa: S101 - whoever asks has given one
    sampling = collect(target.pid, interval_s=_SAMPLE_INTERVAL_S, names=target.threads)
    async with target.neighbour.busy(), sampling as samples:
        await asyncio.sleep(_ALONE_S)
    loads = summarise_threads(samples, start_s=0.0, end_s=time.monotonic())
    return sum(each.cpu_share for each in loads if each.kind == "main loop")


def check_host_fio() -> None:
    """Refuses to go on without fio on this host.

    Raises:
        CapabilityError: There is none.
    """
    if shutil.which("fio") is None:
        raise CapabilityError(
            "there is no fio on this host", hint="install the package fio, or leave --on-host out"
        )


async def run_on_host(job: Job, device: str, devices: Mapping[str, str]) -> Measurement:
    """Runs a job and those beside it right on the host, on scratch files.

    fio has ended when it returns, however it ends.

    Args:
        job: The job.
        device: The scratch file of the measured disk.
        devices: Those of all disks, by the disks' ids.

    Raises:
        CapabilityError: There is no fio on this host.
        ToolError: It failed.
    """
    argv = fio_argv(job, device, scratch=True, devices=devices)
    timeout_s = job.ramp_s + job.runtime_s + _GRACE_S
    with ExitStack() as stack:
        output, errors = (
            stack.enter_context(os.fdopen(os.memfd_create(name, os.MFD_CLOEXEC), "w+b"))
            for name in ("output", "errors")
        )
        process = start_child(argv, stdout=output, stderr=errors)
        stack.callback(destroy_child, process)
        status = await _wait(process, timeout_s)
        output.seek(0)
        if status:
            errors.seek(0)
            message = errors.read(_HOST_OUTPUT_BYTES) or output.read(_HOST_OUTPUT_BYTES)
            raise describe_failure("fio failed on the host", argv, status=status, errors=message)
        text = output.read(_HOST_OUTPUT_BYTES + 1)
    figures = tuple(parse_fio(text, number) for number in range(len(job.all)))
    return Measurement(figures=figures[0], beside=figures[1:])


async def _wait(process: subprocess.Popen[bytes], timeout_s: float) -> int | None:
    """Waits for a child's end; returns its exit status, None if the time is up."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    descriptor = os.pidfd_open(process.pid)
    loop.add_reader(descriptor, ended.set)
    try:
        async with asyncio.timeout(timeout_s):
            await ended.wait()
    except TimeoutError:
        return None
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
    return process.poll()
