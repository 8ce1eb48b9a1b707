"""What each thread of a process uses, as the kernel counts it.

Source: Linux, Documentation/scheduler/sched-stats.rst (schedstat), proc_pid_stat(5) and
proc_pid_status(5).
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Literal

from attrs import frozen

from vmio.errors import ToolError
from vmio.model.iothread import MAIN_LOOP

__all__ = [
    "ThreadRate",
    "ThreadRole",
    "ThreadSample",
    "compute_rates",
    "find_role",
    "parse_thread",
    "read_threads",
]

ThreadRole = Literal["main loop", "iothread", "vcpu", "worker", "other"]

_MAX_THREADS = 1 << 16
_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_SWITCHES = re.compile(rb"^(non)?voluntary_ctxt_switches:\s*(\d{1,20})$", re.MULTILINE)
_VCPU_NAME = re.compile(r"CPU \d+/(?:KVM|TCG)", re.ASCII)


@frozen(kw_only=True)
class ThreadSample:
    """What a thread had used at one moment since it began.

    Units: nanoseconds; switches are counted.
    """

    thread_id: int
    name: str
    """At most 15 bytes; QEMU gives telling ones only with `-name …,debug-threads=on`."""
    start_ticks: int
    """When it began; with its id this tells it from a later thread of the same id."""
    at_ns: int
    """When the sample was taken, on the monotonic clock."""
    cpu_ns: int
    user_ns: int
    """In steps of a tick, 10 ms; busy polling is user time."""
    system_ns: int
    """In steps of a tick, 10 ms."""
    run_delay_ns: int | None
    """Waiting for a processor; None where the kernel keeps no scheduler statistics."""
    voluntary_switches: int
    """One for each real sleep."""
    nonvoluntary_switches: int


@frozen(kw_only=True)
class ThreadRate:
    """What a thread used between two samples, as shares of one processor and per second."""

    thread_id: int
    name: str
    interval_s: float
    cpu_share: float
    user_share: float
    system_share: float
    run_delay_share: float | None
    """Above 0.05 there was contention, and the other figures say little about QEMU."""
    voluntary_per_s: float
    nonvoluntary_per_s: float


def read_threads(pid: int) -> tuple[ThreadSample, ...]:
    """Samples every thread of a process; one that ends meanwhile is left out.

    Raises:
        ToolError: There is no such process, or it is not ours to see.
    """
    try:
        folders = sorted(Path(f"/proc/{pid}/task").iterdir(), key=lambda path: int(path.name))
    except OSError as error:
        raise ToolError(f"cannot watch process {pid}: {error.strerror}") from error
    samples: list[ThreadSample] = []
    for folder in folders[:_MAX_THREADS]:
        try:
            stat, status = ((folder / file).read_bytes() for file in ("stat", "status"))
            schedstat = _read_optional(folder / "schedstat")
            samples.append(parse_thread(stat, status, schedstat, at_ns=time.monotonic_ns()))
        except (OSError, ValueError):
            continue
    return tuple(samples)


def _read_optional(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def parse_thread(stat: bytes, status: bytes, schedstat: bytes, *, at_ns: int) -> ThreadSample:
    """Returns a sample from the text of three files under /proc/PID/task/TID.

    Args:
        stat: The file of that name; the thread's name in it may hold blanks and brackets.
        status: The file of that name.
        schedstat: The file of that name; empty where the kernel has none.
        at_ns: When they were read.

    Raises:
        ValueError: They are not what these files hold.
    """
    head, bracket, tail = stat.rpartition(b")")
    number, _, name = head.partition(b"(")
    fields = tail.split()
    if not bracket or len(fields) < 20:  # noqa: PLR2004 - up to starttime, the 22nd of all
        raise ValueError(stat[:80])
    user_ns, system_ns = int(fields[11]) * _TICK_NS, int(fields[12]) * _TICK_NS
    statistics = [int(word) for word in schedstat.split()]
    switches = {bool(match[1]): int(match[2]) for match in _SWITCHES.finditer(status)}
    return ThreadSample(
        thread_id=int(number),
        name=name.decode("utf-8", "replace"),
        start_ticks=int(fields[19]),
        at_ns=at_ns,
        cpu_ns=statistics[0] if statistics else user_ns + system_ns,
        user_ns=user_ns,
        system_ns=system_ns,
        run_delay_ns=statistics[1] if len(statistics) > 1 else None,
        voluntary_switches=switches.get(False, 0),
        nonvoluntary_switches=switches.get(True, 0),
    )


def compute_rates(
    before: Collection[ThreadSample], after: Collection[ThreadSample]
) -> tuple[ThreadRate, ...]:
    """Returns what each thread that still runs used between two readings of one process.

    A thread that began in between used all that it has used in between; one that ended is left
    out, for nobody can say what it used.
    """
    earlier = {(sample.thread_id, sample.start_ticks): sample for sample in before}
    begin_ns = min((sample.at_ns for sample in before), default=0)
    rates = (
        _compute_rate(earlier.get((sample.thread_id, sample.start_ticks)), sample, begin_ns)
        for sample in (after if before else ())
    )
    return tuple(rate for rate in rates if rate is not None)


def _compute_rate(
    before: ThreadSample | None, after: ThreadSample, begin_ns: int
) -> ThreadRate | None:
    interval_ns = after.at_ns - (before.at_ns if before is not None else begin_ns)
    if interval_ns <= 0:
        return None

    def growth(name: str) -> int:
        now: int = getattr(after, name) or 0
        then: int = (getattr(before, name) or 0) if before is not None else 0
        return max(0, now - then)

    return ThreadRate(
        thread_id=after.thread_id,
        name=after.name,
        interval_s=interval_ns / 1e9,
        cpu_share=growth("cpu_ns") / interval_ns,
        user_share=growth("user_ns") / interval_ns,
        system_share=growth("system_ns") / interval_ns,
        run_delay_share=(
            growth("run_delay_ns") / interval_ns if after.run_delay_ns is not None else None
        ),
        voluntary_per_s=growth("voluntary_switches") * 1e9 / interval_ns,
        nonvoluntary_per_s=growth("nonvoluntary_switches") * 1e9 / interval_ns,
    )


def find_role(
    thread_id: int,
    name: str,
    *,
    process: int,
    iothreads: Mapping[int, str],
    vcpus: Collection[int] = (),
) -> tuple[ThreadRole, str]:
    """Returns what a thread of QEMU is for, and which one of those it is.

    Args:
        thread_id: The thread.
        name: Its name, which says little: a request thread is a "worker", and an IOThread's own
            name shows only if it is short.
        process: QEMU's process, whose first thread is the main loop.
        iothreads: Ids of IOThreads by thread id, from query-iothreads.
        vcpus: Thread ids from query-cpus-fast; without them the name decides.
    """
    if thread_id == process:
        return "main loop", MAIN_LOOP
    if thread_id in iothreads:
        return "iothread", iothreads[thread_id]
    if thread_id in vcpus or _VCPU_NAME.fullmatch(name):
        return "vcpu", name
    return ("worker" if name.startswith("worker") else "other"), name
