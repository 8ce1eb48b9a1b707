"""A running guest's layout, with the processor times of its threads."""

from __future__ import annotations

from contextlib import suppress

from vmio.errors import ToolError
from vmio.model.iothread import MAIN_LOOP
from vmio.model.topology import HostThread, Topology
from vmio.observe.sample import ThreadName
from vmio.observe.threads import open_tasks, read_threads
from vmio.qemu.live import read_live
from vmio.qemu.questions import Asked
from vmio.values import replace

__all__ = ["add_threads", "read_running"]


async def read_running(monitor: Asked, *, pid: int | None = None) -> Topology:
    """Returns the layout that a running QEMU reports, with its threads' processor times.

    Args:
        monitor: Its monitor.
        pid: Its process on this host; None to find it as `read_live` does. If it is not found, the
            times are not known.

    Raises:
        QmpError: It does not answer, or not as a QEMU does, or takes too long for all answers.
    """
    topology = await read_live(monitor, pid=pid)
    process = next(
        (each.thread_id for each in topology.host_threads if each.serves == MAIN_LOOP), None
    )
    used_ns: dict[int, int] = {}
    if process is not None:
        with suppress(ToolError), open_tasks(process) as tasks:
            used_ns = {each.thread_id: each.cpu_ns for each in read_threads(tasks, {})}
    return replace(
        topology,
        host_threads=tuple(
            replace(each, cpu_ns=used_ns.get(each.thread_id)) for each in topology.host_threads
        ),
    )


def add_threads(topology: Topology, pid: int) -> Topology:
    """Returns a layout with the threads of the process that runs it, by the kernel's names.

    Raises:
        ToolError: There is no such process.
    """
    names = {pid: ThreadName(name=MAIN_LOOP, role="main loop")}
    with open_tasks(pid) as tasks:
        found = read_threads(tasks, names)
    known = {MAIN_LOOP, *(each.id for each in topology.iothreads)}
    return replace(
        topology,
        host_threads=tuple(
            HostThread(serves=each.name, thread_id=each.thread_id, cpu_ns=each.cpu_ns)
            for each in found
            if each.role in {"main loop", "iothread"} and each.name in known
        ),
    )
