"""The polling in a trace, and a recording computed again, as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal, TypedDict

from vmio.report.envelope import Count, render_document

if TYPE_CHECKING:
    from vmio.sim.replay import Agreement
    from vmio.sim.trace import LoopTrace

__all__ = ["RecordingData", "ReplayData", "render_recording_json", "render_trace_json"]


class BudgetData(TypedDict):
    """How many phases polled for so long at most."""

    budget_ns: Count
    phases: Count


class TransitionData(TypedDict):
    """A change of a polling time."""

    kind: Literal["grow", "shrink"]
    old_ns: Count
    new_ns: Count
    count: Count
    """How often it happened."""


class PhasesData(TypedDict):
    """Some phases in a row."""

    least_ns: Count
    most_ns: Count
    """The shortest and the longest of their budgets."""
    phases: Count
    in_vain: Count
    begin_ns: Count | None
    """When the first of them began, since the loop's first event; null without time stamps."""


class TriedSettingData(TypedDict):
    """What a setting comes to on the waits of the trace."""

    name: str
    """The setting; `as it was` for the one in force."""
    waits: Count
    caught: Count
    """Waits that ended while the loop polled."""
    polling_ns: Count
    vain_ns: Count
    """The part of it that found nothing."""


class TracedLoopData(TypedDict):
    """One event loop in a trace."""

    ctx: str
    """QEMU's address of the loop."""
    thread_id: Count | None
    span_ns: Count | None
    """From its first event to its last; null without time stamps."""
    polling_ns: Count | None
    phases: Count
    phases_in_vain: Count
    """Phases that used up their time."""
    grows: Count
    shrinks: Count
    drops: Count
    """Shrinks to 0."""
    budgets: list[BudgetData]
    """By length."""
    events_agreed: Count
    """Grows and shrinks that are steps of the algorithm."""
    budgets_agreed: Count
    """Phases that polled for as long as the algorithm would."""
    transitions: list[TransitionData]
    """The most frequent first."""
    unmoved: Count
    """Changes after which the loop polled for as long as before."""
    timeline: list[PhasesData]
    """The phases from first to last."""
    outcomes: list[TriedSettingData]
    """Empty unless `--try` names a setting."""


class ReplayData(TypedDict):
    """The polling in a trace."""

    qemu_version: str
    loops: list[TracedLoopData]
    """The busiest first."""


class RecordingData(TypedDict):
    """How many decisions of a recorded event loop are computed as QEMU took them."""

    events: Count
    """Changes of a polling time in the recording."""
    events_agreed: Count
    events_missing: Count
    """Changes that are computed and not in the recording."""
    budgets: Count
    """Times that a pass polled for, in the recording."""
    budgets_agreed: Count


def render_trace_json(loops: Iterable[LoopTrace], *, qemu_version: str) -> str:
    """Returns each event loop, the busiest first, as a document."""
    data: ReplayData = {"qemu_version": qemu_version, "loops": list(map(_describe, loops))}
    return render_document("replay", data)


def render_recording_json(found: Agreement) -> str:
    """Returns how far a recording agrees with what is computed as a document."""
    data: RecordingData = {
        "events": found.events,
        "events_agreed": found.events_agreed,
        "events_missing": found.events_missing,
        "budgets": found.budgets,
        "budgets_agreed": found.budgets_agreed,
    }
    return render_document("recording", data)


def _describe(loop: LoopTrace) -> TracedLoopData:
    return {
        "ctx": loop.ctx,
        "thread_id": loop.thread_id,
        "span_ns": loop.span_ns,
        "polling_ns": loop.polling_ns,
        "phases": loop.phases,
        "phases_in_vain": loop.phases_in_vain,
        "grows": loop.grows,
        "shrinks": loop.shrinks,
        "drops": loop.drops,
        "budgets": [{"budget_ns": ns, "phases": phases} for ns, phases in loop.budgets],
        "events_agreed": loop.events_agreed,
        "budgets_agreed": loop.budgets_agreed,
        "transitions": [
            {
                "kind": each.kind,
                "old_ns": each.old_ns,
                "new_ns": each.new_ns,
                "count": each.count,
            }
            for each in loop.transitions
        ],
        "unmoved": loop.unmoved,
        "timeline": [
            {
                "least_ns": piece.least_ns,
                "most_ns": piece.most_ns,
                "phases": piece.phases,
                "in_vain": piece.in_vain,
                "begin_ns": piece.begin_ns,
            }
            for piece in loop.timeline
        ],
        "outcomes": [
            {
                "name": each.name,
                "waits": each.waits,
                "caught": each.caught,
                "polling_ns": each.polling_ns,
                "vain_ns": each.vain_ns,
            }
            for each in loop.outcomes
        ],
    }
