"""Guests over time in words."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vmio.observe.history import History, VerdictHistory
from vmio.observe.percentiles import LatencyRange
from vmio.observe.verdicts.values import Verdict
from vmio.report.history.words import describe_limit, describe_range, summarize
from vmio.values import replace


def test_sentence_names_the_worst_guest_and_its_time(make_history: Callable[..., History]) -> None:
    """What limited it, and for how long."""
    assert summarize(make_history()) == (
        "2 guests, 1 h. 100 web: IOThread web has no time left, for 20 min (33%)."
    )
    assert summarize(make_history(1)) == (
        "100 web, 1 h: IOThread web has no time left, for 20 min (33%)."
    )


def test_sentence_says_that_nothing_limited_them(make_history: Callable[..., History]) -> None:
    """That is an answer, too."""
    history = make_history(3)
    quiet = replace(history, guests=history.guests[1:])
    assert summarize(quiet) == "2 guests, 1 h: nothing limited them."
    assert summarize(replace(quiet, guests=quiet.guests[:1])) == (
        "101 web, 1 h: nothing limited it."
    )


def test_guest_that_cannot_be_judged_is_not_said_to_be_free(
    make_history: Callable[..., History],
) -> None:
    """Without its monitor nobody knows; a doubt of a moment is none."""
    doubt = Verdict(
        kind="cannot-tell",
        subject="the guest",
        severity="info",
        evidence=(),
        source="",
        doubt="monitor did not answer",
    )
    history = make_history(3)
    held = VerdictHistory(verdict=doubt, seconds=1800.0, shares=())
    _, doubtful, calm = history.guests
    doubtful = replace(doubtful, verdicts=(held,))
    brief = replace(doubtful, verdicts=(replace(held, seconds=60.0),))
    assert describe_limit(doubtful) == ("cannot tell: without its monitor", "30 min (50%)")
    assert describe_limit(brief) == ("nothing", "-")
    said = [
        summarize(replace(history, guests=guests))
        for guests in ((doubtful,), (doubtful, doubtful), (doubtful, calm), (brief, calm))
    ]
    assert said == [
        "101 web, 1 h: cannot tell: without its monitor.",
        "2 guests, 1 h: cannot tell what limited them.",
        "2 guests, 1 h: nothing limited 1 of them; 1 cannot be judged.",
        "2 guests, 1 h: nothing limited them.",
    ]


def test_sentence_says_what_was_too_short(make_history: Callable[..., History]) -> None:
    """Without two windows nothing is known."""
    history = make_history(1)
    (guest,) = history.guests
    short = replace(guest, judged_s=0.0, verdicts=())
    found = summarize(replace(history, guests=(short,), duration_s=2.0))
    assert found == "100 web, 2 s: too short for a verdict, which takes two windows of 2 s."
    assert summarize(replace(history, guests=())) == "No guest was seen in 1 h."


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (None, "-"),
        (LatencyRange(low_ns=100_000, high_ns=125_893), "100 to 126 µs"),
        (LatencyRange(low_ns=794_328, high_ns=1_000_000), "794 µs to 1 ms"),
        (LatencyRange(low_ns=10**10, high_ns=None), "> 10 s"),
    ],
)
def test_quantile_is_a_range(found: LatencyRange | None, text: str) -> None:
    """The unit is said once where it is the same."""
    assert describe_range(found) == text
