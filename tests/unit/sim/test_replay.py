"""Recordings of event loops computed again, on small ones written by hand."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from vmio.errors import InputError
from vmio.formats.qemu.trace import parse_recording
from vmio.sim.polling import Generation, PollSettings
from vmio.sim.replay import Agreement, check_recording

PER_LOOP = """\
C 1 1000 1000
P -1 n=1 9
R 1 9
C 1 6000 6000
T poll_grow ctx 0xc old 0 new 4000
E 9 8
C 1 7000 7000
T run_poll_handlers_begin ctx 0xc max_ns 4000 timeout -1
C 20 7100 11090 11110
T run_poll_handlers_end ctx 0xc progress 0 new timeout -1
P -1 n=1 9
R 1 9
C 2 47001 48000
T run_poll_handlers_begin ctx 0xc max_ns 0 timeout -1
"""
"""A wait of 5 µs grows the time to 4 µs; one of 40,001 ns, written wrongly below, drops it."""

PER_HANDLER = """\
C 1 1000 1000
P -1 n=1 9
R 1 9
C 1 500000 500000
T poll_add ctx 0xc node 0x1 fd 9 revents 0x1
T poll_shrink ctx 0xc old 0 new 0
C 1 600000 600000
P -1 n=2 20 9
R 1 20
C 1 605000 605000
T poll_add ctx 0xc node 0x2 fd 20 revents 0x1
T poll_grow ctx 0xc old 0 new 4000
C 1 610000 610000
T run_poll_handlers_begin ctx 0xc max_ns 4000 timeout -1
C 9 610100 612000
T run_poll_handlers_end ctx 0xc progress 1 new timeout 0
C 1 616000 616000
T virtio_queue_notify vdev 0x3 n 0 vq 0x4
T poll_grow ctx 0xc old 4000 new 8000
C 1 620000 620000
T run_poll_handlers_begin ctx 0xc max_ns 8000 timeout -1
C 2 620100 620200
T run_poll_handlers_end ctx 0xc progress 0 new timeout 0
C 1 625000 625000
T poll_grow ctx 0xc old 0 new 4000
C 1 630000 630000
T run_poll_handlers_begin ctx 0xc max_ns 5000 timeout 5000
C 2 630100 635200
T run_poll_handlers_end ctx 0xc progress 0 new timeout 0
C 1 635300 635300
"""
"""The notifier 9 and a queue 20; what polling found follows from the changes; a timer cuts in."""

WEIGHTED = """\
poll_add ctx 0xc node 0x1 fd 9 revents 0x1
probe ctx 0xc block 10000 handlers 0x1:9:1
poll_grow ctx 0xc old 0 new 10000
run_poll_handlers_begin ctx 0xc max_ns 10000 timeout -1
run_poll_handlers_end ctx 0xc progress 0 new timeout -1
probe ctx 0xc block 90000 handlers 0x1:9:1
poll_grow ctx 0xc old 10000 new 20000
probe ctx 0xc block 90000 handlers 0x1:9:1
poll_grow ctx 0xc old 20000 new 32768
"""
"""Means of 10000, 20000 and 28750; the doubled time is above the last, and then the maximum."""


def check(text: str, generation: Generation, settings: PollSettings | None = None) -> Agreement:
    """Returns what checking a recording comes to."""
    records = parse_recording("r", text.encode().splitlines(keepends=True))
    return check_recording(records, generation, settings or PollSettings())


def cut(text: str, lines: Iterable[int]) -> str:
    """Returns a text without some of its lines, which are counted from 0."""
    kept = [line for number, line in enumerate(text.splitlines(True)) if number not in set(lines)]
    return "".join(kept)


def test_loop_is_adjusted_in_every_pass() -> None:
    """Events and budgets come out; a change that the record lacks is counted."""
    found = check(PER_LOOP, "loop")
    assert found == Agreement(
        events=1, events_agreed=1, events_missing=1, budgets=2, budgets_agreed=2
    )
    assert not found.is_complete


def test_pass_without_a_wait_is_told_by_its_change() -> None:
    """Its wait is from the last but one reading of the clock to the last."""
    text = "C 4 1000 900000 903000\nT poll_grow ctx 0xc old 0 new 4000\n"
    assert check(text, "loop").is_complete
    assert not check(text.replace("new 4000", "new 4001"), "loop").is_complete
    assert not check(text.replace("C 4 1000 900000", "C 4 1000"), "loop").is_complete


def test_handlers_found_by_polling_follow_from_the_changes() -> None:
    """Which handler an event was of is not in the record, and what fits is found."""
    found = check(PER_HANDLER, "handler")
    assert found == Agreement(events=4, events_agreed=4, budgets=3, budgets_agreed=3)
    assert found.is_complete


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("new 4000\nC 1 610000", "new 4002\nC 1 610000"),
        ("max_ns 8000", "max_ns 4000"),
        ("max_ns 5000", "max_ns 8000"),
        ("C 1 616000 616000", "C 1 613000 613000"),
    ],
)
def test_wrong_record_of_handlers_disagrees(old: str, new: str) -> None:
    """A change, a budget or a wait that is not QEMU's is noticed."""
    assert PER_HANDLER.count(old) == 1
    assert not check(PER_HANDLER.replace(old, new), "handler").is_complete


def test_submission_while_events_are_dispatched_is_no_wait() -> None:
    """A call of io_uring's after the wait says nothing of what was ready."""
    change = "T poll_grow ctx 0xc old 0 new 4000\nC 1 610000"
    submitted = PER_HANDLER.replace(change, f"U 1\nV 1\n{change}")
    assert submitted != PER_HANDLER
    assert check(submitted, "handler").is_complete
    wrong = submitted.replace("R 1 20", "R 1 9")
    assert not check(wrong, "handler").is_complete


def test_handler_that_is_watched_no_more_counts_no_more() -> None:
    """A handler that is gone from a wait's descriptors leaves the budget."""
    gone = PER_HANDLER + (
        "C 1 640000 640000\nP -1 n=1 9\nR 1 9\nC 1 641000 641000\n"
        "C 1 650000 650000\nT run_poll_handlers_begin ctx 0xc max_ns 4000 timeout -1\n"
    )
    assert check(gone, "handler").is_complete
    kept = gone.replace("P -1 n=1 9\nR 1 9\nC 1 641000", "P -1 n=2 20 9\nR 1 9\nC 1 641000")
    assert not check(kept, "handler").is_complete


def test_weighted_loop_says_its_waits_itself() -> None:
    """Every change and budget follows from the waits and the active handlers in the record."""
    found = check(WEIGHTED, "weighted")
    assert found == Agreement(events=3, events_agreed=3, budgets=1, budgets_agreed=1)
    assert found.is_complete


def test_change_that_is_missing_from_a_weighted_record_is_counted() -> None:
    """A change of the algorithm's that QEMU did not make is a difference."""
    found = check(cut(WEIGHTED, [2]), "weighted")
    assert (found.events, found.events_agreed, found.events_missing) == (2, 2, 1)
    assert check(cut(WEIGHTED, [8]), "weighted").events_missing == 1


def test_removed_handler_keeps_its_mean() -> None:
    """A handler that was idle for long comes back with the mean that it had."""
    text = cut(WEIGHTED, [5, 6, 7, 8]) + (
        "poll_remove ctx 0xc node 0x1 fd 9\n"
        "probe ctx 0xc block 8000 handlers\n"
        "poll_add ctx 0xc node 0x1 fd 9 revents 0x1\n"
        "probe ctx 0xc block 26000 handlers 0x1:9:1\n"
        "poll_grow ctx 0xc old 10000 new 20000\n"
        "run_poll_handlers_begin ctx 0xc max_ns 20000 timeout -1\n"
    )
    assert check(text, "weighted").is_complete
    assert not check(cut(text, [5]), "weighted").is_complete


def test_monitor_of_qemu_itself_has_the_defaults() -> None:
    """The other loop of a record is checked with the defaults, whatever its neighbour has."""
    own = "probe ctx 0xd block 30000 handlers 0x5:3:1\npoll_grow ctx 0xd old 0 new 30000\n"
    text = "".join(
        f"probe ctx 0xc block {block} handlers 0x1:9:1\npoll_grow ctx 0xc old {old} new {new}\n"
        for block, old, new in ((1000, 0, 1000), (9000, 1000, 2000))
    )
    settings = PollSettings(max_ns=20000)
    assert check(text, "weighted", settings).is_complete
    assert check(own + text, "weighted", settings).is_complete
    assert not check(
        own.replace("block 30000", "block 30001") + text, "weighted", settings
    ).is_complete


@pytest.mark.parametrize(
    ("text", "generation"), [(WEIGHTED, "handler"), (PER_HANDLER, "weighted")]
)
def test_recording_of_another_kind_is_refused(text: str, generation: Generation) -> None:
    """Decisions cannot be computed without what they follow from."""
    with pytest.raises(InputError, match="it has polling, but not"):
        check(text, generation)


def test_recording_without_polling_agrees_on_nothing() -> None:
    """Where there is nothing to agree on nothing is claimed."""
    assert not check("C 1 1 1\n", "handler").is_complete
