"""What an event loop waits with, who leaves it, and what resets it."""

from __future__ import annotations

import pytest

from vmio.model.capabilities import QemuVersion
from vmio.sim.monitor import (
    IDLE_NS,
    can_poll,
    choose_monitor,
    has_poll_callback,
    keeps_scsi_event_queue,
    list_idle_by_deadline,
    list_idle_by_last_event,
    reset_handlers,
    reset_weighted,
)
from vmio.sim.polling import WeightedTimes


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
    assert not has_poll_callback("scsi_event_queue")
    assert not has_poll_callback("socket")
    assert has_poll_callback("virtqueue")
    assert [can_poll(one, 1) for one in ("ppoll", "epoll", "io_uring")] == [False, False, True]
    assert can_poll("ppoll", 0)


def test_scsi_event_queue_left_the_iothread() -> None:
    """With 10.0 a virtio-scsi controller no longer keeps its IOThread from polling."""
    assert keeps_scsi_event_queue(QemuVersion(9, 2))
    assert not keeps_scsi_event_queue(QemuVersion(10, 0))


def test_idle_handler_leaves_at_its_deadline() -> None:
    """The first phase sets the deadline, one after it takes the handler out; only on io_uring."""
    deadlines, idle = list_idle_by_deadline({"V": 0}, 5, "io_uring")
    assert (deadlines, idle) == ({"V": 5 + IDLE_NS}, ())
    assert list_idle_by_deadline(deadlines, 4 + IDLE_NS, "io_uring") == (deadlines, ())
    assert list_idle_by_deadline(deadlines, 5 + IDLE_NS, "io_uring") == ({}, ("V",))
    assert list_idle_by_deadline(deadlines, 5 + IDLE_NS, "ppoll") == (deadlines, ())


def test_idle_handler_leaves_after_its_last_event() -> None:
    """Since 11.1 seven seconds count from the last event."""
    last_ns = {"V": 100, "A": 200}
    assert list_idle_by_last_event(last_ns, 99 + IDLE_NS, "io_uring") == ()
    assert list_idle_by_last_event(last_ns, 100 + IDLE_NS, "io_uring") == ("V",)
    assert list_idle_by_last_event(last_ns, 200 + IDLE_NS, "epoll") == ()


def test_live_change_resets_times_and_keeps_handlers() -> None:
    """Whatever parameter is changed, all begin at 0 again and go on being polled."""
    assert reset_handlers({"V": 4000, "A": 0}) == {"V": 0, "A": 0}
    state = WeightedTimes(poll_ns=7, means={"V": 9})
    assert reset_weighted(state) == WeightedTimes(poll_ns=0, means={"V": 0})
