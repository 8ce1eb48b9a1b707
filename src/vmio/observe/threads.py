"""What the kernel says of each thread of a process.

Source: Linux, Documentation/scheduler/sched-stats.rst; proc_pid_stat(5), proc_pid_status(5).
"""

from __future__ import annotations

import errno
import os
import re
import resource
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Final

from vmio.errors import ToolError
from vmio.host.processors import parse_processors, read_processor_nodes
from vmio.model.iothread import MAIN_LOOP
from vmio.observe.sample import Role, ThreadName, ThreadSample
from vmio.qemu.threads import ReportedThreads
from vmio.values import replace

__all__ = ["Tasks", "name_threads", "open_tasks", "read_threads"]

_PROC: Final = Path("/proc")
_MAX_THREADS: Final = 1 << 14
"""Four times as many as the vCPUs of the largest guest."""
_MAX_BYTES: Final = 1 << 14
"""Of a file; the status of a process in thousands of groups is longer, and is cut."""
_MAX_KEPT: Final = 1 << 13
"""Open files of this process; the rest of what the kernel allows it is for others."""
_TICK_NS: Final = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_FILES: Final = ("stat", "schedstat", "status")
_KERNEL_NAMES: Final[tuple[tuple[re.Pattern[str], Role, str], ...]] = (
    (re.compile(r"IO (?!mon_iothread)(.+)"), "iothread", r"\1"),
    (re.compile(r"CPU ([0-9]+)/.+", re.ASCII), "vcpu", r"vCPU \1"),
    (re.compile(r"worker"), "worker", r"\g<0>"),
    (re.compile(r"iou-wrk-[0-9]+", re.ASCII), "io_uring", r"\g<0>"),
)
"""Source: QEMU 10.0 with `-name …,debug-threads=on`; 11.1 always. The kernel makes `iou-wrk-TID`
for what the thread of that id submitted (Linux 6.18, run)."""
_DEAD: Final = frozenset({b"Z", b"X"})
_LOOPS: Final = frozenset({"main loop", "iothread"})
_AFFINITY: Final = b"\nCpus_allowed_list:\t"
_SWITCHES: Final = b"\nvoluntary_ctxt_switches:"


class Tasks:
    """The folder of a process's threads, open, with the files of the threads that were read.

    A descriptor never shows another process or thread, even if that gets the same number later:
    reading one of a thread that has ended fails. An open file is also read in a fraction of the
    time that opening, reading and closing take.
    """

    kept = 0
    """Of all such folders of this process together."""

    def __init__(self, folder: int) -> None:
        self.folder = folder
        self._files: dict[int, tuple[int, ...]] = {}

    def list_threads(self) -> tuple[int, ...]:
        """Returns the ids, none if the process has ended; and lets go of threads that have.

        Raises:
            ToolError: This process has too many files open to look.
        """
        ids: tuple[int, ...] = ()
        try:
            with os.scandir(self.folder) as entries:
                names = (each.name for each in islice(entries, _MAX_THREADS))
                ids = tuple(int(each) for each in names if each.isdecimal() and each.isascii())
        except OSError as error:
            _raise_if_full(error)
        for gone in self._files.keys() - set(ids):
            self._drop(gone)
        return ids

    def read_files(self, thread: int) -> Generator[bytes]:
        """Yields what the kernel says of a thread in each file; empty where it has no such file.

        Raises:
            OSError: The thread has ended.
        """
        files = self._files.get(thread)
        if files is not None:
            try:
                first = os.pread(files[0], _MAX_BYTES, 0)
            except OSError:
                self._drop(thread)  # a new thread may have the id
            else:
                yield first
                for descriptor in files[1:]:
                    yield _read(descriptor)
                return
        yield from self._open_files(thread)

    def read_state(self, thread: int) -> str:
        """Returns the kernel's letter for what a thread is doing; empty if it has ended."""
        with suppress(OSError, ValueError, IndexError), closing(self.read_files(thread)) as files:
            return next(files).rpartition(b")")[2].split()[0].decode("ascii", "replace")
        return ""

    def close(self) -> None:
        """Closes everything."""
        for thread in tuple(self._files):
            self._drop(thread)
        os.close(self.folder)

    def _open_files(self, thread: int) -> Generator[bytes]:
        opened: list[int] = []
        try:
            for name in _FILES:
                try:
                    descriptor = os.open(f"{thread}/{name}", os.O_RDONLY, dir_fd=self.folder)
                except OSError:
                    if name == _FILES[0]:
                        raise
                    yield b""
                else:
                    opened.append(descriptor)
                    yield _read(descriptor)
            if len(opened) == len(_FILES) and Tasks.kept < _find_most_kept():
                self._files[thread] = tuple(opened)
                Tasks.kept += len(opened)
                opened.clear()
        finally:
            for descriptor in opened:
                os.close(descriptor)

    def _drop(self, thread: int) -> None:
        files = self._files.pop(thread)
        Tasks.kept -= len(files)
        for descriptor in files:
            os.close(descriptor)


@contextmanager
def open_tasks(pid: int, *, proc: Path = _PROC) -> Iterator[Tasks]:
    """Opens the folder of a process's threads, and closes it with all that was opened in it.

    Raises:
        ToolError: There is no such process, or it is not ours to see.
    """
    try:
        folder = os.open(proc / str(pid) / "task", os.O_RDONLY | os.O_DIRECTORY)
    except (FileNotFoundError, ProcessLookupError) as error:
        # Mounted with hidepid=2, /proc says of others' processes that they are not there.
        raise ToolError(
            f"there is no process {pid}",
            hint="its QEMU has ended, or this host hides it (hidepid)",
        ) from error
    except OSError as error:
        raise ToolError(f"cannot look at process {pid}: {error.strerror}") from error
    tasks = Tasks(folder)
    try:
        yield tasks
    finally:
        tasks.close()


def read_threads(tasks: Tasks, names: Mapping[int, ThreadName]) -> tuple[ThreadSample, ...]:
    """Returns the threads of a process in the kernel's order; none if the process has ended.

    A thread that ends meanwhile is left out.

    Args:
        tasks: The folder's descriptor from `open_tasks`.
        names: The roles of threads, by id; others get the kernel's name.

    Raises:
        ToolError: This process has too many files open to look.
    """
    found = (_read_thread(tasks, each, names.get(each)) for each in tasks.list_threads())
    return _add_owners([each for each in found if each is not None])


def name_threads(pid: int, reported: ReportedThreads) -> dict[int, ThreadName]:
    """Returns what QEMU's standing threads are, by id; its first thread is the main loop."""
    names = {pid: ThreadName(name=MAIN_LOOP, role="main loop")}
    for iothread, thread in reported.iothreads:
        if thread is not None:
            names[thread] = ThreadName(name=iothread.id, role="iothread")
    for number, thread in reported.vcpus:
        if thread is not None and number is not None:
            names[thread] = ThreadName(name=f"vCPU {number}", role="vcpu")
    return names


def _read_thread(tasks: Tasks, thread: int, name: ThreadName | None) -> ThreadSample | None:
    try:
        stat, schedstat, status = tasks.read_files(thread)
        # The name in brackets may itself contain blanks and brackets.
        start, _, rest = stat.rpartition(b")")
        fields = rest.split()
        if fields[0] in _DEAD:
            return None
        user_ns, system_ns = int(fields[11]) * _TICK_NS, int(fields[12]) * _TICK_NS
        started_ticks, processor = int(fields[19]), int(fields[36])
    except OSError as error:
        _raise_if_full(error)
        return None
    except (ValueError, IndexError):
        return None
    cpu_ns, run_delay_ns = _parse_schedstat(schedstat) or (user_ns + system_ns, None)
    slept, preempted, affinity = _parse_status(status)
    name = name or _name_by_kernel(start.partition(b"(")[2].decode("utf-8", "replace"))
    return ThreadSample(
        thread_id=thread,
        name=name.name,
        role=name.role,
        cpu_ns=cpu_ns,
        user_ns=user_ns,
        system_ns=system_ns,
        run_delay_ns=run_delay_ns,
        voluntary_switches=slept,
        involuntary_switches=preempted,
        processor=processor,
        node=read_processor_nodes().get(processor),
        affinity=affinity,
        state=fields[0].decode("ascii", "replace"),
        started_ticks=started_ticks,
    )


def _parse_schedstat(text: bytes) -> tuple[int, int] | None:
    """Returns for how long a thread ran and waited; None where the kernel does not count that."""
    try:
        used_ns, waited_ns, runs = map(int, text.split())
    except ValueError:
        return None
    # A kernel that does not count says "0 0 0".
    return (used_ns, waited_ns) if runs else None


def _parse_status(text: bytes) -> tuple[int | None, int | None, tuple[int, ...] | None]:
    """Returns how often a thread slept and was preempted, and where it may run."""
    affinity = None
    if (start := text.find(_AFFINITY)) >= 0:
        start += len(_AFFINITY)
        with suppress(ValueError):
            affinity = parse_processors(text[start : text.index(b"\n", start)])
    try:
        first, _, second = text.rpartition(_SWITCHES)[2].split()
        return int(first), int(second), affinity
    except ValueError:
        return None, None, affinity


def _add_owners(threads: Sequence[ThreadSample]) -> tuple[ThreadSample, ...]:
    """Returns the threads with the event loops that they work for."""
    loops = {each.thread_id: each.name for each in threads if each.role in _LOOPS}
    # Each loop has a pool of its own, whose threads look alike; but with one loop there is one.
    alone = MAIN_LOOP if list(loops.values()) == [MAIN_LOOP] else None
    return tuple(
        each if (owner := _find_owner(each, loops, alone)) is None else replace(each, owner=owner)
        for each in threads
    )


def _find_owner(thread: ThreadSample, loops: Mapping[int, str], alone: str | None) -> str | None:
    if thread.role == "io_uring":
        return loops.get(int(thread.name.removeprefix("iou-wrk-")))
    return alone if thread.role == "worker" else loops.get(thread.thread_id)


def _name_by_kernel(text: str) -> ThreadName:
    for pattern, role, name in _KERNEL_NAMES:
        if match := pattern.fullmatch(text):
            return ThreadName(name=match.expand(name), role=role)
    return ThreadName(name=text, role="other")


def _raise_if_full(error: OSError) -> None:
    """Tells a thread that has ended from a host or a process that can open no more files."""
    if error.errno in {errno.EMFILE, errno.ENFILE}:
        raise ToolError(
            f"cannot look at a process's threads: {error.strerror}", hint="raise ulimit -n"
        ) from error


def _read(descriptor: int) -> bytes:
    """Returns what is in a file, nothing where that cannot be read."""
    try:
        return os.pread(descriptor, _MAX_BYTES, 0)
    except OSError:
        return b""


@cache
def _find_most_kept() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(_MAX_KEPT, soft // 2 if soft != resource.RLIM_INFINITY else _MAX_KEPT)
