"""What the autopilot does, in a line for each event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from vmio.autopilot.pilot import AutopilotEvent
from vmio.autopilot.values import Decision
from vmio.managers.live_setter import Restored
from vmio.report.figures import format_ratio

__all__ = ["REASONS", "describe_event"]

REASONS: Final[Mapping[str, str]] = {
    "idle": "idle",
    "contended": "threads wait for processors",
    "limited": "a limit makes requests wait",
    "unread": "its monitor did not tell",
    "cheap": "it takes too little to matter",
    "measure": "the load is new, and seen at the guest's own setting first",
    "try": "a trial",
    "compare": "the trial is over, and compared with the guest's own setting",
    "again": "the trial did not tell, and is repeated",
    "settle": "the best for this load",
    "keep": "nothing has changed",
    "known load": "it was the best for this load before",
    "slower": "requests became slower, and the guest's own setting is measured again",
    "holds": "requests are as fast as at the guest's own setting",
    "other load": "the load changed during a trial",
    "waiting": "the last change was not made",
    "left": "somebody else has set it, and has the say from now on",
}


def describe_event(event: AutopilotEvent) -> str:
    """Returns an event in a line, without a time."""
    about = ": ".join(filter(None, (event.guest, ", ".join(event.iothreads))))
    if event.problem is not None:
        text = event.problem.message
        if event.problem.hint:
            text += f" ({event.problem.hint})"
        # A message about a guest names it.
        return text if not event.guest or event.guest in text else f"{about}: {text}"
    if event.restored is not None:
        return f"{about}: {_describe_restored(event.restored)}"
    if event.decision is None:
        return about
    return f"{about}: {_describe_decision(event, event.decision)}"


def _describe_decision(event: AutopilotEvent, decision: Decision) -> str:
    new_ns = decision.poll_max_ns
    if decision.kind == "left":
        what = f"poll-max-ns is {new_ns}"
    elif new_ns == event.old_ns:
        what = f"poll-max-ns stays {new_ns}"
    else:
        verb = "would become" if event.is_dry else "is now"
        what = f"poll-max-ns {verb} {new_ns} instead of {event.old_ns}"
    figures = ""
    if decision.cpu_ratio is not None and decision.latency_ratio is not None:
        figures = (
            f"; trials took {format_ratio(decision.cpu_ratio)} of the processor time and"
            f" {format_ratio(decision.latency_ratio)} of the latency of a request"
        )
    elif decision.latency_ratio is not None:
        figures = f"; one took {format_ratio(decision.latency_ratio)} times as long as there"
    return f"{what}: {REASONS[decision.kind]}{figures}"


def _describe_restored(restored: Restored) -> str:
    name, value = restored.parameter, restored.value
    match restored.outcome:
        case "restored":
            return f"{name} is {value} again, its own"
        case "its own":
            return f"{name} is {value}, its own"
        case "somebody else's":
            return f"{name} is left at {value}, which somebody else has set"
        case "gone":
            return "it was removed from the guest"
