"""What event loops spend on polling, exactly, as the kernel's own trace of them tells; for root.

Each system call of a loop's thread and each switch is traced, in an instance of tracefs of vmio's
own, which is removed in the end. Between two system calls the thread is in QEMU's own code: for
some microseconds where it works on requests, and for longer where it polls. QEMU need not help.

Source: Linux, Documentation/trace/ftrace.rst; QEMU 10.0.2, run: without polling half of the
stretches are 2 to 3 µs long, nine in ten at most 7 to 25 µs.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from msgspec import Struct

from vmio.errors import CapabilityError
from vmio.values import check_between

__all__ = ["LoopTrace", "StretchCounter", "TracedLoop", "find_tracefs", "trace_loops"]

_PLACES: Final = (Path("/sys/kernel/tracing"), Path("/sys/kernel/debug/tracing"))
_EVENTS: Final = ("raw_syscalls/sys_enter", "raw_syscalls/sys_exit", "sched/sched_switch")
_BUFFER_KIB: Final = 8192
"""For each processor: a second of a loop with 4,000 requests a second takes some 7 MB."""
_CHUNK_BYTES: Final = 1 << 18
_MAX_LINE_BYTES: Final = 4096
_PAUSE_S: Final = 0.02
_POLLING_NS: Final = 15_000
"""A longer stretch of QEMU's own code is polling."""
_MAX_SECONDS: Final = 600.0
_LINE: Final = re.compile(
    rb"\s*.{1,16}-(?P<tid>[0-9]{1,10})\s+\[[0-9]+\]\s+\S+\s+(?P<s>[0-9]{1,10})\.(?P<us>[0-9]{6}): "
    rb"(?P<event>sys_enter|sys_exit|sched_switch): (?P<rest>.*)"
)
_SWITCH: Final = re.compile(
    rb"prev_comm=.* prev_pid=([0-9]+) prev_prio=\S+ prev_state=(\S+) ==> "
    rb"next_comm=.* next_pid=([0-9]+) next_prio=\S+"
)
_LOST: Final = re.compile(rb"CPU:[0-9]+ \[LOST ([0-9]{1,12}) EVENTS\]")
_numbers: Final = itertools.count()


class TracedLoop(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an event loop did while it was traced, by the clock of the trace (1 µs)."""

    name: str
    thread_id: int
    duration_s: float
    """From the first event of the trace to its end."""
    poll_s: float
    """In QEMU's own code in stretches of more than 15 µs, with the work at their ends."""
    user_s: float
    """In QEMU's own code in all; time without a processor is not in it."""
    kernel_s: float
    """In system calls, without sleeping."""
    poll_count: int
    """Such long stretches."""
    syscall_count: int
    sleep_count: int
    lost_events: int
    """Of all loops together, that the trace had no room for: above 0 the times are too short."""

    def __post_init__(self) -> None:
        check_between("poll_s", self.poll_s, 0)
        check_between("lost_events", self.lost_events, 0)


class StretchCounter:
    """Adds up what one thread does, event by event.

    Args:
        thread_id: Its id.
    """

    def __init__(self, thread_id: int) -> None:
        self.thread_id = thread_id
        self.poll_ns = self.user_ns = self.kernel_ns = 0
        self.polls = self.syscalls = self.sleeps = 0
        self._place: str = ""
        """`user` or `kernel`; empty before the first system call."""
        self._since_ns: int | None = None
        """Since when it has a processor; None while it has none."""
        self._stretch_ns = 0

    def enter(self, now_ns: int) -> None:
        """Notes that a system call begins."""
        self._go_on(now_ns)
        if self._place == "user":
            self._end_stretch()
        self.syscalls += 1
        self._place, self._since_ns = "kernel", now_ns

    def leave(self, now_ns: int) -> None:
        """Notes that a system call ends."""
        self._go_on(now_ns)
        self._place, self._since_ns, self._stretch_ns = "user", now_ns, 0

    def switch_out(self, now_ns: int, *, sleeps: bool) -> None:
        """Notes that it has no processor any more."""
        self._go_on(now_ns)
        self.sleeps += sleeps
        self._since_ns = None

    def switch_in(self, now_ns: int) -> None:
        """Notes that it has a processor again."""
        self._since_ns = now_ns

    def end(self, now_ns: int) -> None:
        """Notes that the trace ends, maybe in the middle of a stretch."""
        self._go_on(now_ns)
        if self._place == "user":
            self._end_stretch()
        self._place, self._since_ns = "", None

    def _go_on(self, now_ns: int) -> None:
        if self._since_ns is None or now_ns < self._since_ns:
            return
        spent_ns = now_ns - self._since_ns
        self._since_ns = now_ns
        if self._place == "user":
            self.user_ns += spent_ns
            self._stretch_ns += spent_ns
        elif self._place == "kernel":
            self.kernel_ns += spent_ns

    def _end_stretch(self) -> None:
        if self._stretch_ns > _POLLING_NS:
            self.poll_ns += self._stretch_ns
            self.polls += 1
        self._stretch_ns = 0


class LoopTrace:
    """Reads the text of a trace, piece by piece.

    Args:
        names: The loops, by the ids of their threads.
    """

    def __init__(self, names: Mapping[int, str]) -> None:
        self._names = dict(names)
        self._counters = {thread: StretchCounter(thread) for thread in names}
        self._rest = b""
        self._first_ns: int | None = None
        self._last_ns = 0
        self._lost = 0

    def take(self, data: bytes) -> None:
        """Takes the next bytes; what is no event of these threads is left out."""
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest if len(rest) <= _MAX_LINE_BYTES else b""
        for line in lines:
            if match := _LINE.match(line):
                self._take_event(match)
            elif lost := _LOST.match(line):
                self._lost += int(lost[1])

    def finish(self, end_ns: int | None = None) -> tuple[TracedLoop, ...]:
        """Returns what each loop did.

        Args:
            end_ns: When the trace was stopped, by its clock; None for its last event.
        """
        end_ns = max(self._last_ns, end_ns or 0)
        for each in self._counters.values():
            each.end(end_ns)
        began_ns = end_ns if self._first_ns is None else self._first_ns
        return tuple(
            TracedLoop(
                name=self._names[each.thread_id],
                thread_id=each.thread_id,
                duration_s=(end_ns - began_ns) / 1e9,
                poll_s=each.poll_ns / 1e9,
                user_s=each.user_ns / 1e9,
                kernel_s=each.kernel_ns / 1e9,
                poll_count=each.polls,
                syscall_count=each.syscalls,
                sleep_count=each.sleeps,
                lost_events=self._lost,
            )
            for each in self._counters.values()
        )

    def _take_event(self, match: re.Match[bytes]) -> None:
        now_ns = int(match["s"]) * 10**9 + int(match["us"]) * 1000
        self._first_ns = now_ns if self._first_ns is None else self._first_ns
        # In the order of time, but for what two processors did within a microsecond.
        now_ns = self._last_ns = max(self._last_ns, now_ns)
        if match["event"] == b"sched_switch":
            switch = _SWITCH.fullmatch(match["rest"].strip())
            if switch is None:
                return
            if leaves := self._counters.get(int(switch[1])):
                leaves.switch_out(now_ns, sleeps=not switch[2].startswith(b"R"))
            if comes := self._counters.get(int(switch[3])):
                comes.switch_in(now_ns)
        elif counter := self._counters.get(int(match["tid"])):
            if match["event"] == b"sys_enter":
                counter.enter(now_ns)
            else:
                counter.leave(now_ns)


def find_tracefs() -> Path:
    """Returns where tracefs is mounted and ours to use.

    Raises:
        CapabilityError: It is nowhere, or needs root.
    """
    for place in _PLACES:
        if (place / "instances").is_dir():
            if os.access(place / "instances", os.W_OK | os.X_OK):
                return place
            raise CapabilityError("tracing the kernel needs root")
    raise CapabilityError(
        "this host shows no tracefs", hint=f"root can: mount -t tracefs none {_PLACES[0]}"
    )


async def trace_loops(
    names: Mapping[int, str], *, duration_s: float, tracefs: Path | None = None
) -> tuple[TracedLoop, ...]:
    """Traces event loops for a while, and returns what they did.

    The trace makes each system call of theirs some microseconds longer.

    Args:
        names: The loops, by the ids of their threads on this host.
        duration_s: How long, at most ten minutes.
        tracefs: Where tracefs is mounted; None to look for it.

    Raises:
        CapabilityError: There is no tracefs, or it is not ours to use.
    """
    if not names or not 0 < duration_s <= _MAX_SECONDS:
        raise ValueError(f"a trace of {len(names)} threads for {duration_s} s")
    trace = LoopTrace(names)
    loop = asyncio.get_running_loop()
    try:
        with _open_instance(tracefs or find_tracefs(), tuple(names)) as (folder, pipe):
            end_s = loop.time() + duration_s
            while loop.time() < end_s:
                if not _drain(pipe, trace):
                    await asyncio.sleep(min(_PAUSE_S, max(0.0, end_s - loop.time())))
            (folder / "tracing_on").write_text("0", encoding="ascii")
            while _drain(pipe, trace):
                pass
    except OSError as error:
        raise CapabilityError(f"cannot trace the kernel: {error.strerror or error}") from error
    return trace.finish()


@contextmanager
def _open_instance(tracefs: Path, threads: tuple[int, ...]) -> Iterator[tuple[Path, int]]:
    """Makes an instance that traces threads, and removes it."""
    folder = tracefs / "instances" / f"vmio-{os.getpid()}-{next(_numbers)}"
    folder.mkdir()
    try:
        settings = {
            "buffer_size_kb": str(_BUFFER_KIB),
            "trace_clock": "mono",
            "set_event_pid": " ".join(map(str, threads)),
            **{f"events/{each}/enable": "1" for each in _EVENTS},
        }
        for name, value in settings.items():
            (folder / name).write_text(value, encoding="ascii")
        pipe = os.open(folder / "trace_pipe", os.O_RDONLY | os.O_NONBLOCK)
        try:
            yield folder, pipe
        finally:
            os.close(pipe)
    finally:
        with suppress(OSError):
            folder.rmdir()


def _drain(pipe: int, trace: LoopTrace) -> bool:
    """Reads a piece; returns whether there was one."""
    try:
        data = os.read(pipe, _CHUNK_BYTES)
    except BlockingIOError:
        return False
    trace.take(data)
    return bool(data)
