"""The polling in a trace, and a recording checked, as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal, TypedDict

from vmio.report.envelope import Count, render_document

if TYPE_CHECKING:
    from vmio.sim.replay import Agreement
    from vmio.sim.trace import LoopTrace

__all__ = ["RecordingData", "ReplayData", "render_recording_json", "render_trace_json"]


class BudgetData(TypedDict):
    """The number of phases with a given maximum polling time."""

    budget_ns: Count
    phases: Count


class TransitionData(TypedDict):
    """A change of a polling time."""

    kind: Literal["grow", "shrink"]
    old_ns: Count
    new_ns: Count
    count: Count
    """The number of times that it happened."""


class PhasesData(TypedDict):
    """A series of consecutive phases."""

    least_ns: Count
    most_ns: Count
    """The shortest and the longest of their budgets."""
    phases: Count
    in_vain: Count
    begin_ns: Count | None
    """Start of the first one, since the loop's first event; null without timestamps."""


class TriedSettingData(TypedDict):
    """The outcome of a setting on the waits of the trace."""

    name: str
    """The setting; `as it was` for the one in force."""
    waits: Count
    caught: Count
    """Waits that ended while the loop polled."""
    polling_ns: Count
    vain_ns: Count
    """The part of the polling time that found nothing."""


class TracedLoopData(TypedDict):
    """One event loop in a trace."""

    ctx: str
    """QEMU's address of the loop."""
    thread_id: Count | None
    span_ns: Count | None
    """From its first event to its last; null without timestamps."""
    polling_ns: Count | None
    phases: Count
    phases_in_vain: Count
    """Phases that used their whole budget and found nothing."""
    grows: Count
    shrinks: Count
    drops: Count
    """Shrinks to 0."""
    budgets: list[BudgetData]
    """By length."""
    events_agreed: Count
    """Grows and shrinks that match the algorithm."""
    budgets_agreed: Count
    """Phases whose budget matches the algorithm."""
    transitions: list[TransitionData]
    """Most frequent first."""
    unmoved: Count
    """Changes that left the loop's maximum polling time unchanged."""
    timeline: list[PhasesData]
    """The phases in order of time."""
    outcomes: list[TriedSettingData]
    """Empty unless `--try` names a setting."""


class ReplayData(TypedDict):
    """The polling in a trace."""

    qemu_version: str
    loops: list[TracedLoopData]
    """Busiest first."""


class RecordingData(TypedDict):
    """How many decisions of a recorded event loop are computed as QEMU made them."""

    events: Count
    """Changes of a polling time in the recording."""
    events_agreed: Count
    events_missing: Count
    """Computed changes that are not in the recording."""
    budgets: Count
    """Polling times of passes in the recording."""
    budgets_agreed: Count


def render_trace_json(loops: Iterable[LoopTrace], *, qemu_version: str) -> str:
    """Returns each event loop, the busiest first, as a document."""
    data: ReplayData = {"qemu_version": qemu_version, "loops": list(map(_describe, loops))}
    return render_document("replay", data)


def render_recording_json(found: Agreement) -> str:
    """Returns how well a recording agrees with the computation as a document."""
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
