"""The system call with which an event loop waits, and its effect on polling.

A loop asks the kernel through `ppoll`, `epoll` or io_uring. On the first two one handler that has
no poll callback keeps the whole loop from polling.

Source: QEMU 7.2.0, 10.0.2, 10.2.2 and 11.1.1, `util/aio-posix.c` and `util/fdmon-*.c`, observed on
10.0.2 and 11.1.1.
"""

from __future__ import annotations

from typing import Literal

from vmio.model.capabilities import QemuVersion

__all__ = ["Monitor", "can_poll", "choose_monitor", "keeps_scsi_event_queue"]

Monitor = Literal["ppoll", "epoll", "io_uring"]

_EPOLL_FDS = 64
_HANDLER_IN_IOTHREAD = QemuVersion(10, 0)
_IO_URING = QemuVersion(10, 2)


def choose_monitor(version: QemuVersion, *, fds: int, io_uring_usable: bool) -> Monitor:
    """Returns the system call with which an IOThread waits.

    Up to 10.1 an IOThread never uses io_uring, and `epoll` only where io_uring is not usable.

    Args:
        version: The QEMU.
        fds: How many file descriptors the loop watches.
        io_uring_usable: Whether the host lets QEMU make a ring.
    """
    if io_uring_usable:
        return "io_uring" if version >= _IO_URING else "ppoll"
    return "epoll" if fds >= _EPOLL_FDS else "ppoll"


def keeps_scsi_event_queue(version: QemuVersion) -> bool:
    """Returns whether a virtio-scsi controller's event queue is in its IOThread: before 10.0."""
    return version < _HANDLER_IN_IOTHREAD


def can_poll(monitor: Monitor, unpolled: int) -> bool:
    """Returns whether a loop can poll with that many handlers that have no poll callback."""
    return monitor == "io_uring" or unpolled == 0
