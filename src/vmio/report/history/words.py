"""Guests over time in words."""

from __future__ import annotations

from vmio.observe.history import GuestHistory, History, ThreadHistory, VerdictHistory
from vmio.observe.percentiles import LatencyRange
from vmio.report.verdicts.words import describe_verdict, summarise_verdicts
from vmio.units import format_duration_ns, format_time_s

__all__ = [
    "describe_limit",
    "describe_range",
    "describe_time",
    "find_busiest",
    "list_limits",
    "name_thread",
    "summarize",
]

_MOST_TOLD = 3
_BUSY = 0.005
"""Processors: less would be shown as 0.00."""


def name_thread(thread: ThreadHistory) -> str:
    """Returns what a thread is called: an IOThread's id, `vCPU 0`, `workers of io0`."""
    match thread.role:
        case "worker":
            return f"workers of {thread.owner}" if thread.owner else "workers"
        case "io_uring":
            return f"io_uring of {thread.owner}" if thread.owner else "io_uring"
        case "other":
            return "other threads"
        case _:
            return thread.name


def list_limits(guest: GuestHistory) -> tuple[VerdictHistory, ...]:
    """Returns the verdicts that say something, without those that could not be made."""
    return tuple(each for each in guest.verdicts if each.verdict.kind != "cannot-tell")


def find_doubt(guest: GuestHistory) -> VerdictHistory | None:
    """Returns why it cannot be told what limited a guest; None if it can.

    A doubt that held for less than half of the time does not count.
    """
    doubts = (each for each in guest.verdicts if each.verdict.kind == "cannot-tell")
    longest = max(doubts, key=lambda each: each.seconds, default=None)
    if longest is None or list_limits(guest) or longest.seconds < guest.judged_s / 2:
        return None
    return longest


def describe_limit(guest: GuestHistory) -> tuple[str, str]:
    """Returns what limited a guest first of all, and for how long; `-` for what is not known."""
    limits, doubt = list_limits(guest), find_doubt(guest)
    if limits:
        title = describe_verdict(limits[0].verdict).title
        return title, describe_time(limits[0].seconds, guest)
    if doubt is not None:
        return summarise_verdicts([doubt.verdict]), describe_time(doubt.seconds, guest)
    return "nothing" if guest.judged_s else "-", "-"


def find_busiest(guest: GuestHistory) -> ThreadHistory | None:
    """Returns the thread that used the most processor time; None if none used a hundredth."""
    known = [each for each in guest.threads if (each.cpu_share.mean or 0.0) >= _BUSY]
    return max(known, key=lambda each: each.cpu_share.mean or 0.0, default=None)


def describe_time(seconds: float, guest: GuestHistory) -> str:
    """Returns for how long a verdict was in force, as `3 min 20 s (33%)`."""
    share = f" ({seconds / guest.judged_s:.0%})" if guest.judged_s else ""
    return f"{format_time_s(seconds)}{share}"


def describe_range(found: LatencyRange | None) -> str:
    """Returns the bin in which a quantile lies, `-` if it is not known."""
    if found is None:
        return "-"
    low = format_duration_ns(found.low_ns)
    if found.high_ns is None:
        return f"> {low}"
    high = format_duration_ns(found.high_ns)
    number, _, unit = low.partition(" ")
    return f"{number} to {high}" if unit == high.partition(" ")[2] else f"{low} to {high}"


def summarize(history: History) -> str:
    """Returns in some sentences what limited the guests, and for how long."""
    time = format_time_s(history.duration_s)
    if not history.guests:
        return f"No guest was seen in {time}."
    worst, count = history.guests[0], len(history.guests)
    who = worst.guest.label if count == 1 else f"{count} guests"
    limits = [each for each in list_limits(worst) if each.verdict.severity == "warning"]
    if not any(each.judged_s for each in history.guests):
        return f"{who}, {time}: too short for a verdict, which takes two windows of 2 s."
    if not limits:
        return f"{who}, {time}: {_describe_calm(history)}."
    told = [
        f"{describe_verdict(each.verdict).title}, for {describe_time(each.seconds, worst)}"
        for each in limits[:_MOST_TOLD]
    ]
    subject = f"{who}, {time}: " if count == 1 else f"{who}, {time}. {worst.guest.label}: "
    rest = f" Also: {'; '.join(told[1:])}." if told[1:] else ""
    return f"{subject}{told[0]}.{rest}"


def _describe_calm(history: History) -> str:
    """Returns that no guest was limited, or of how many that cannot be told."""
    count = len(history.guests)
    doubts = [each for each in map(find_doubt, history.guests) if each is not None]
    if not doubts:
        return f"nothing limited {'it' if count == 1 else 'them'}"
    if count == 1:
        return summarise_verdicts([doubts[0].verdict])
    if len(doubts) == count:
        return "cannot tell what limited them"
    return f"nothing limited {count - len(doubts)} of them; {len(doubts)} cannot be judged"
