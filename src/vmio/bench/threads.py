"""How busy each thread of a QEMU was, by the kernel's own count."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from attrs import field, frozen

from vmio.bench.result import ThreadKind, ThreadLoad
from vmio.errors import ToolError
from vmio.model.iothread import MAIN_LOOP
from vmio.qemu.threads import read_cpu_ns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["WORKERS", "Sample", "ThreadName", "name_threads", "read_sample", "summarise_threads"]

WORKERS = "workers"


@frozen(kw_only=True)
class ThreadName:
    """What a thread is for."""

    name: str
    kind: ThreadKind


@frozen(kw_only=True)
class Sample:
    """What every thread of a process had used at one moment."""

    at_s: float
    """On the monotonic clock."""
    cpu_ns: Mapping[int, int] = field(repr=False)
    """By thread id."""


def read_sample(pid: int, *, at_s: float) -> Sample:
    """Reads what each thread of a process has used so far.

    Raises:
        ToolError: The process has ended.
    """
    try:
        threads = [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()]
    except OSError as error:
        raise ToolError(f"QEMU (process {pid}) has ended during the measurement") from error
    used = {thread: read_cpu_ns(pid, thread) for thread in threads}
    # A thread that has just ended tells nothing any more.
    return Sample(at_s=at_s, cpu_ns={one: ns for one, ns in used.items() if ns is not None})


def summarise_threads(
    samples: Sequence[Sample], names: Mapping[int, ThreadName], *, start_s: float, end_s: float
) -> tuple[ThreadLoad, ...]:
    """Returns each thread's load between two moments, as near to them as samples are inside.

    Threads without a name, which are those that come and go, are counted together; the time of one
    that ended in between is lost.

    Args:
        samples: In the order of time.
        names: What the threads are, by id.
        start_s: From when.
        end_s: Until when.
    """
    inside = [sample for sample in samples if start_s <= sample.at_s <= end_s]
    if len(inside) < 2:  # noqa: PLR2004  # a difference needs two
        return ()
    first, last = inside[0], inside[-1]
    shares = {
        thread: (used - first.cpu_ns.get(thread, 0)) / 1e9 / (last.at_s - first.at_s)
        for thread, used in last.cpu_ns.items()
    }
    loads = [
        ThreadLoad(name=name.name, kind=name.kind, cpu_share=shares[thread])
        for thread, name in names.items()
        if thread in shares
    ]
    others = sum(share for thread, share in shares.items() if thread not in names)
    loads.append(ThreadLoad(name=WORKERS, kind="other", cpu_share=others))
    order: dict[ThreadKind, int] = {"main loop": 0, "iothread": 1, "vcpu": 2, "other": 3}
    return tuple(sorted(loads, key=lambda load: (order[load.kind], load.name)))


def name_threads(
    pid: int, iothreads: Mapping[int, str], vcpus: Mapping[int, int]
) -> dict[int, ThreadName]:
    """Returns the names of QEMU's standing threads by id; its first thread is the main loop.

    Args:
        pid: QEMU's process.
        iothreads: Ids of IOThreads by thread id.
        vcpus: Numbers of vCPUs by thread id.
    """
    return (
        {pid: ThreadName(name=MAIN_LOOP, kind="main loop")}
        | {thread: ThreadName(name=name, kind="iothread") for thread, name in iothreads.items()}
        | {
            thread: ThreadName(name=f"vCPU {number}", kind="vcpu")
            for thread, number in vcpus.items()
        }
    )
