"""The kernel's counters for each thread of a process.

Source: Linux, Documentation/scheduler/sched-stats.rst; proc_pid_stat(5), proc_pid_status(5).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Final

from vmio.errors import ToolError
from vmio.model.iothread import MAIN_LOOP
from vmio.observe.sample import Role, ThreadName, ThreadSample
from vmio.qemu.threads import ReportedThreads

__all__ = ["name_threads", "open_tasks", "read_threads"]

_PROC: Final = Path("/proc")
_MAX_THREADS: Final = 1 << 14
"""Four times the vCPUs of the largest guest."""
_MAX_BYTES: Final = 1 << 14
"""Of a file; the status of a process in thousands of groups is longer, and is cut."""
_TICK_NS: Final = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_KERNEL_NAMES: Final[tuple[tuple[re.Pattern[str], Role, str], ...]] = (
    (re.compile(r"IO (?!mon_iothread)(.+)"), "iothread", r"\1"),
    (re.compile(r"CPU ([0-9]+)/.+", re.ASCII), "vcpu", r"vCPU \1"),
    (re.compile(r"worker|iou-wrk-.+"), "worker", r"\g<0>"),
)
"""Source: QEMU 10.0 with `-name …,debug-threads=on`; 11.1 always."""


@contextmanager
def open_tasks(pid: int, *, proc: Path = _PROC) -> Iterator[int]:
    """Opens the folder of a process's threads, and closes it at the end.

    The descriptor never refers to another process, even if the number is reused.

    Raises:
        ToolError: There is no such process, or this user may not see it.
    """
    try:
        tasks = os.open(proc / str(pid) / "task", os.O_RDONLY | os.O_DIRECTORY)
    except (FileNotFoundError, ProcessLookupError) as error:
        raise ToolError(f"there is no process {pid}", hint="its QEMU has ended") from error
    except OSError as error:
        raise ToolError(f"cannot look at process {pid}: {error.strerror}") from error
    try:
        yield tasks
    finally:
        os.close(tasks)


def read_threads(tasks: int, names: Mapping[int, ThreadName]) -> tuple[ThreadSample, ...]:
    """Returns the threads of a process in the kernel's order; none if the process has ended.

    A thread that ends meanwhile is left out.

    Args:
        tasks: The folder's descriptor from `open_tasks`.
        names: The roles of threads, by id; others get the kernel's name.
    """
    with suppress(OSError), os.scandir(tasks) as entries:
        ids = [int(each.name) for each in islice(entries, _MAX_THREADS) if each.name.isdigit()]
        found = (_read_thread(tasks, thread, names.get(thread)) for thread in ids)
        return tuple(each for each in found if each is not None)
    return ()


def name_threads(pid: int, reported: ReportedThreads) -> dict[int, ThreadName]:
    """Returns the roles of QEMU's permanent threads, by id; its first thread is the main loop."""
    names = {pid: ThreadName(name=MAIN_LOOP, role="main loop")}
    for iothread, thread in reported.iothreads:
        if thread is not None:
            names[thread] = ThreadName(name=iothread.id, role="iothread")
    for number, thread in reported.vcpus:
        if thread is not None and number is not None:
            names[thread] = ThreadName(name=f"vCPU {number}", role="vcpu")
    return names


def _read_thread(tasks: int, thread: int, name: ThreadName | None) -> ThreadSample | None:
    try:
        # The name in brackets may itself contain blanks and brackets.
        start, _, rest = _read(tasks, f"{thread}/stat").rpartition(b")")
        fields = rest.split()
        if fields[0] in {b"Z", b"X"}:
            return None
        cpu_ns = (int(fields[11]) + int(fields[12])) * _TICK_NS
        processor = int(fields[36])
    except (OSError, ValueError, IndexError):
        return None
    run_delay_ns = None
    with suppress(OSError, ValueError):
        used_ns, waited_ns, runs = map(int, _read(tasks, f"{thread}/schedstat").split())
        # A kernel without statistics reports "0 0 0".
        if runs:
            cpu_ns, run_delay_ns = used_ns, waited_ns
    slept = preempted = None
    with suppress(OSError, ValueError):
        end = _read(tasks, f"{thread}/status").rpartition(b"\nvoluntary_ctxt_switches:")[2]
        first, _, second = end.split()
        slept, preempted = int(first), int(second)
    name = name or _name_by_kernel(start.partition(b"(")[2].decode("utf-8", "replace"))
    return ThreadSample(
        thread_id=thread,
        name=name.name,
        role=name.role,
        cpu_ns=cpu_ns,
        run_delay_ns=run_delay_ns,
        voluntary_switches=slept,
        involuntary_switches=preempted,
        processor=processor,
    )


def _name_by_kernel(text: str) -> ThreadName:
    for pattern, role, name in _KERNEL_NAMES:
        if match := pattern.fullmatch(text):
            return ThreadName(name=match.expand(name), role=role)
    return ThreadName(name=text, role="other")


def _read(folder: int, path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY, dir_fd=folder)
    try:
        return os.read(descriptor, _MAX_BYTES)
    finally:
        os.close(descriptor)
