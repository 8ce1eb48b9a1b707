"""What an event loop waits with, and what that means for polling.

A loop asks the kernel through `ppoll`, `epoll` or io_uring. On the first two one handler that has
no poll callback keeps the whole loop from polling; only on io_uring idle handlers leave.

Source: QEMU 7.2.0, 10.0.2, 10.2.2 and 11.1.1, `util/aio-posix.c` and `util/fdmon-*.c`, observed on
10.0.2 and 11.1.1.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Literal, TypeVar

from vmio.model.capabilities import QemuVersion
from vmio.sim.polling import WeightedTimes

__all__ = [
    "IDLE_NS",
    "Monitor",
    "can_poll",
    "choose_monitor",
    "has_poll_callback",
    "keeps_scsi_event_queue",
    "list_idle_by_deadline",
    "list_idle_by_last_event",
    "reset_handlers",
    "reset_weighted",
]

Monitor = Literal["ppoll", "epoll", "io_uring"]

IDLE_NS = 7_000_000_000
"""A handler that had no event for so long is polled no more."""

_EPOLL_FDS = 64
_HANDLER_IN_IOTHREAD = QemuVersion(10, 0)
_IO_URING = QemuVersion(10, 2)

HandlerKind = Literal[
    "virtqueue", "scsi_event_queue", "linux_aio", "io_uring", "notifier", "socket"
]

_Handler = TypeVar("_Handler", bound=Hashable)


def choose_monitor(version: QemuVersion, *, fds: int, io_uring_usable: bool) -> Monitor:
    """Returns what an IOThread waits with.

    Up to 10.1 an IOThread never uses io_uring, and `epoll` only where io_uring is not usable.

    Args:
        version: The QEMU.
        fds: How many file descriptors the loop watches.
        io_uring_usable: Whether the host lets QEMU make a ring.
    """
    if io_uring_usable:
        return "io_uring" if version >= _IO_URING else "ppoll"
    return "epoll" if fds >= _EPOLL_FDS else "ppoll"


def has_poll_callback(kind: HandlerKind) -> bool:
    """Returns whether a handler can be asked without a system call: not a socket, for one."""
    return kind not in {"scsi_event_queue", "socket"}


def keeps_scsi_event_queue(version: QemuVersion) -> bool:
    """Returns whether a virtio-scsi controller's event queue is in its IOThread: before 10.0."""
    return version < _HANDLER_IN_IOTHREAD


def can_poll(monitor: Monitor, unpolled: int) -> bool:
    """Returns whether a loop can poll with that many handlers that have no poll callback."""
    return monitor == "io_uring" or unpolled == 0


def list_idle_by_deadline(
    deadlines: Mapping[_Handler, int], now_ns: int, monitor: Monitor
) -> tuple[dict[_Handler, int], tuple[_Handler, ...]]:
    """Returns the deadlines after a polling phase, and who leaves; up to 10.2.

    The first phase sets a deadline, which each find by polling moves (a caller's part). It is
    looked at only at the end of a phase, so nobody leaves a loop that sleeps.

    Args:
        deadlines: Of each polled handler; 0 where there is none yet.
        now_ns: The clock at the end of the phase.
        monitor: What the loop waits with; on any but io_uring nobody leaves.
    """
    if monitor != "io_uring":
        return dict(deadlines), ()
    idle = tuple(handler for handler, at in deadlines.items() if at and now_ns >= at)
    left = {
        handler: at or now_ns + IDLE_NS for handler, at in deadlines.items() if handler not in idle
    }
    return left, idle


def list_idle_by_last_event(
    last_ns: Mapping[_Handler, int], now_ns: int, monitor: Monitor
) -> tuple[_Handler, ...]:
    """Returns who leaves at the end of a polling phase of 11.1: 7 s after its last event.

    Its mean is kept for the time when it is polled again.

    Args:
        last_ns: When each polled handler that polling did not find last had an event.
        now_ns: The clock at the end of the phase.
        monitor: What the loop waits with; on any but io_uring nobody leaves.
    """
    if monitor != "io_uring":
        return ()
    return tuple(handler for handler, at in last_ns.items() if now_ns >= at + IDLE_NS)


def reset_handlers(times: Mapping[_Handler, int]) -> dict[_Handler, int]:
    """Returns the times of 10.0 to 10.2 after a live change of any parameter: all 0, all there."""
    return dict.fromkeys(times, 0)


def reset_weighted(state: WeightedTimes[_Handler]) -> WeightedTimes[_Handler]:
    """Returns the state of 11.1 after a live change of any parameter: the loop's time is 0 too."""
    return WeightedTimes(poll_ns=0, means=dict.fromkeys(state.means, 0))
