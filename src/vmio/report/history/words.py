"""Guests over time in words."""

from __future__ import annotations

from vmio.observe.history import GuestHistory, History, ThreadHistory, VerdictHistory
from vmio.observe.percentiles import LatencyRange
from vmio.report.live.rows import name_guest
from vmio.report.verdicts.words import describe_verdict
from vmio.units import format_duration_ns, format_time_s

__all__ = [
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
    who = name_guest(worst.guest) if count == 1 else f"{count} guests"
    limits = [each for each in list_limits(worst) if each.verdict.severity == "warning"]
    if not any(each.judged_s for each in history.guests):
        return f"{who}, {time}: too short for a verdict, which takes two windows of 2 s."
    if not limits:
        return f"{who}, {time}: nothing limited {'it' if count == 1 else 'them'}."
    told = [
        f"{describe_verdict(each.verdict).title}, for {describe_time(each.seconds, worst)}"
        for each in limits[:_MOST_TOLD]
    ]
    subject = f"{who}, {time}: " if count == 1 else f"{who}, {time}. {name_guest(worst.guest)}: "
    rest = f" Also: {'; '.join(told[1:])}." if told[1:] else ""
    return f"{subject}{told[0]}.{rest}"
