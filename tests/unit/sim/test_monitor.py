"""What an event loop waits with, and whether it can poll."""

from __future__ import annotations

import pytest

from vmio.model.capabilities import QemuVersion
from vmio.sim.monitor import can_poll, choose_monitor, keeps_scsi_event_queue


@pytest.mark.parametrize(
    ("version", "fds", "usable", "monitor"),
    [
        ((7, 2), 82, True, "ppoll"),
        ((10, 0), 82, True, "ppoll"),
        ((10, 0), 63, False, "ppoll"),
        ((10, 0), 64, False, "epoll"),
        ((10, 2), 3, True, "io_uring"),
        ((11, 1), 3, True, "io_uring"),
        ((11, 1), 3, False, "ppoll"),
        ((11, 1), 82, False, "epoll"),
    ],
)
def test_monitor_follows_version_and_host(
    version: tuple[int, int], fds: int, *, usable: bool, monitor: str
) -> None:
    """IOThreads wait with io_uring since 10.2; many descriptors matter only without it."""
    assert choose_monitor(QemuVersion(*version), fds=fds, io_uring_usable=usable) == monitor


def test_handler_without_poll_callback_keeps_others_from_polling() -> None:
    """On ppoll and epoll one is enough, on io_uring none is too many."""
    assert [can_poll(one, 1) for one in ("ppoll", "epoll", "io_uring")] == [False, False, True]
    assert can_poll("ppoll", 0)


def test_scsi_event_queue_left_the_iothread() -> None:
    """With 10.0 a virtio-scsi controller no longer keeps its IOThread from polling."""
    assert keeps_scsi_event_queue(QemuVersion(9, 2))
    assert not keeps_scsi_event_queue(QemuVersion(10, 0))
