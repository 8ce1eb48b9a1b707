"""QEMU's threads as a monitor reports them, and the process of this host that they belong to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from vmio.model.iothread import IOThread
from vmio.qemu.questions import Asked, ask
from vmio.qemu.replies import as_integer, as_mappings, check_count

__all__ = ["ReportedThreads", "ask_threads", "find_process", "parse_threads"]

_PARAMETERS: Final = ("poll_max_ns", "poll_grow", "poll_shrink", "poll_weight", "aio_max_batch")
"""An IOThread's parameters in the report, which lacks those of its thread pool."""


class ReportedThreads(Struct, frozen=True, kw_only=True):
    """QEMU's permanent threads besides the main loop; None for an id that it does not report."""

    iothreads: tuple[tuple[IOThread, int | None], ...]
    """With their thread ids, in the order of creation."""
    vcpus: tuple[tuple[int | None, int | None], ...]
    """Their numbers and thread ids."""

    @property
    def thread_ids(self) -> tuple[int, ...]:
        """The ids that QEMU reports."""
        threads = (thread for _, thread in (*self.iothreads, *self.vcpus))
        return tuple(thread for thread in threads if thread is not None)


async def ask_threads(monitor: Asked) -> ReportedThreads:
    """Asks a QEMU for its IOThreads and vCPUs.

    Raises:
        QmpError: It does not answer, or not as a QEMU does.
    """
    iothreads = await ask(monitor, "query-iothreads")
    vcpus = await ask(monitor, "query-cpus-fast")
    return parse_threads(iothreads, vcpus, monitor.name)


def parse_threads(iothreads: object, vcpus: object, monitor: str) -> ReportedThreads:
    """Returns the threads in the answers to `query-iothreads` and `query-cpus-fast`.

    Args:
        iothreads: The answer to the one.
        vcpus: The answer to the other.
        monitor: What errors call the monitor.

    Raises:
        QmpError: They are not in kind.
    """
    loops, processors = as_mappings(iothreads, monitor), as_mappings(vcpus, monitor)
    check_count(loops, monitor, "IOThreads")
    check_count(processors, monitor, "vCPUs")
    return ReportedThreads(
        iothreads=tuple(
            (_read_iothread(name, report), as_integer(report.get("thread-id")))
            for report in reversed(loops)  # QEMU lists the newest first
            if isinstance(name := report.get("id"), str)
        ),
        vcpus=tuple(
            (as_integer(report.get("cpu-index")), as_integer(report.get("thread-id")))
            for report in processors
        ),
    )


def _read_iothread(name: str, report: Mapping[str, Any]) -> IOThread:
    """Returns an IOThread with its parameters; a value out of range is not known."""
    values: dict[str, Any] = {
        parameter: as_integer(report.get(parameter.replace("_", "-"))) for parameter in _PARAMETERS
    }
    return IOThread(id=name, **values)


def find_process(candidate: int | None, threads: Sequence[int]) -> int | None:
    """Returns the process that all reported threads belong to.

    The creator of a socket need not be QEMU (libvirt creates it and passes it on), and in a
    container the numbers mean other threads: an implausible process counts as not known.
    """
    owners = {_find_owner(thread) for thread in threads}
    if len(owners) != 1:
        return None
    (owner,) = owners
    if owner is None or owner == candidate:
        return owner
    try:
        name = Path(f"/proc/{owner}/comm").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return owner if name.startswith(("qemu", "kvm")) else None


def _find_owner(thread: int) -> int | None:
    """Returns the process of a thread; None if there is no such thread."""
    with suppress(OSError, ValueError):
        for line in Path(f"/proc/{thread}/status").read_text(encoding="ascii").splitlines():
            name, _, value = line.partition(":")
            if name == "Tgid":
                return int(value)
    return None
