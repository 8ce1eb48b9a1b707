"""The kernel's own count of what a thread has used."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

__all__ = ["find_process", "read_cpu_ns", "read_processor", "read_sleeps"]

_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def read_cpu_ns(process: int, thread: int) -> int | None:
    """Returns the processor time of a thread, None if it is not there.

    A kernel without scheduler statistics counts in ticks of 10 ms.

    Source: Linux, Documentation/scheduler/sched-stats.rst; proc_pid_stat(5), fields 14 and 15.
    """
    task = Path(f"/proc/{process}/task/{thread}")
    with suppress(OSError, ValueError, IndexError):
        return int((task / "schedstat").read_bytes().split()[0])
    with suppress(OSError, ValueError, IndexError):
        # The name in brackets may itself hold blanks and brackets.
        fields = (task / "stat").read_bytes().rpartition(b")")[2].split()
        return (int(fields[11]) + int(fields[12])) * _TICK_NS
    return None


def read_processor(process: int, thread: int) -> int | None:
    """Returns the processor on which a thread runs, or ran last; None if it is not there.

    Source: proc_pid_stat(5), field 39.
    """
    with suppress(OSError, ValueError, IndexError):
        stat = Path(f"/proc/{process}/task/{thread}/stat").read_bytes()
        return int(stat.rpartition(b")")[2].split()[36])
    return None


def read_sleeps(process: int, thread: int) -> int:
    """Returns how many times a thread has gone to sleep so far; 0 if it is not there.

    Source: proc_pid_status(5), voluntary_ctxt_switches.
    """
    with suppress(OSError, ValueError):
        for line in Path(f"/proc/{process}/task/{thread}/status").read_bytes().splitlines():
            name, _, value = line.partition(b":")
            if name == b"voluntary_ctxt_switches":
                return int(value)
    return 0


def find_process(thread: int) -> int | None:
    """Returns the process that a thread belongs to, None if there is no such thread."""
    with suppress(OSError, ValueError):
        for line in Path(f"/proc/{thread}/status").read_text(encoding="ascii").splitlines():
            name, _, value = line.partition(":")
            if name == "Tgid":
                return int(value)
    return None
