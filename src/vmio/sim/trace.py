"""Summarises the polling of each event loop in a plain trace, and checks it with the algorithm.

A trace has the polling phases and the changes of polling times, but neither the waits nor the
handler of a change. It can therefore be checked only where the algorithm leaves no choice: a step
must be one that QEMU takes, from a time that the loop or one of its handlers had, and a phase must
poll for the longest of these times.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal

from msgspec import Struct, field

from vmio.errors import InputError
from vmio.formats.qemu.trace import Event
from vmio.sim.polling import (
    FIRST_NS,
    Generation,
    PollSettings,
    choose_budget,
    complete_settings,
)
from vmio.sim.timeline import Piece, Timeline
from vmio.sim.what_if import TriedOutcome, TriedSetting, Waiter, WhatIf

__all__ = ["LoopTrace", "Transition", "summarize_trace"]

_MAX_LOOPS = _MAX_HANDLERS = _MAX_BUDGETS = 4096
"""Only a manipulated file has more."""


class LoopTrace(Struct, frozen=True, kw_only=True):
    """One event loop in a trace."""

    ctx: str
    thread_id: int | None
    span_ns: int | None
    """From its first event to its last; None without timestamps, like `polling_ns`."""
    polling_ns: int | None
    phases: int
    phases_in_vain: int
    """Phases that used their whole budget: neither an event nor the loop's notifier ended them."""
    grows: int
    shrinks: int
    drops: int
    """Shrinks to 0 from more than 0."""
    budgets: tuple[tuple[int, int], ...]
    """Pairs of a budget in ns and the number of phases with it, by length."""
    events_agreed: int
    """Changes among `grows` and `shrinks` that are steps of the algorithm."""
    budgets_agreed: int
    """Phases whose budget matches the algorithm."""
    transitions: tuple[Transition, ...]
    """The changes by old and new value, the most frequent first."""
    unmoved: int
    """Changes that left the loop's maximum polling time unchanged, because another handler's time
    was longer."""
    timeline: tuple[Piece, ...]
    """The phases in order of time."""
    outcomes: tuple[TriedOutcome, ...]
    """The outcomes of settings on the waits of this loop, those in force first; empty unless
    requested."""


class Transition(Struct, frozen=True, kw_only=True):
    """A change of a polling time, and its count."""

    kind: Literal["grow", "shrink"]
    old_ns: int
    new_ns: int
    count: int


def summarize_trace(
    events: Iterable[Event],
    generation: Generation,
    settings: PollSettings,
    *,
    zeros: int = 0,
    tries: Sequence[TriedSetting] = (),
) -> tuple[LoopTrace, ...]:
    """Returns the event loops of a trace, busiest first; memory does not grow with its length.

    Args:
        events: The trace.
        generation: The generation of that QEMU's polling.
        settings: The parameters of its IOThreads.
        zeros: How many handlers each loop had when the trace began, all with a polling time of 0;
            used for 10.0 to 10.2 only. A loop with a time of its own is assumed to begin at 0.
        tries: Settings to try on its waits.

    Raises:
        InputError: It has no polling, or there are settings to try and it has no timestamps.
    """
    complete = complete_settings(settings, generation)
    loops: dict[str, _Loop] = {}
    for event in events:
        if event.name not in _NAMES:
            continue
        if event.ctx not in loops:
            if len(loops) == _MAX_LOOPS:
                raise InputError(f"more than {_MAX_LOOPS} event loops are in the trace")
            times = Counter({0: zeros if generation == "handler" else 1})
            wanted = (TriedSetting(name="as it was", settings=settings), *tries) if tries else ()
            what_ifs = [WhatIf.begin(each, generation) for each in wanted]
            loops[event.ctx] = _Loop(generation, complete, times, what_ifs)
        if tries and event.time_ns is None:
            raise InputError(
                "the trace has no timestamps, so nothing can be tried on its waits",
                hint="QEMU writes them with -msg timestamp=on",
            )
        loops[event.ctx].take(event)
    found = [loop.freeze(ctx) for ctx, loop in loops.items()]
    polled = [one for one in found if one.phases or one.grows or one.shrinks]
    if not polled:
        raise InputError(
            "the trace has no polling",
            hint="enable the events run_poll_handlers_begin, run_poll_handlers_end and poll_*",
        )
    return tuple(sorted(polled, key=lambda one: -(one.phases + one.grows + one.shrinks)))


_NAMES = {
    "run_poll_handlers_begin",
    "run_poll_handlers_end",
    "poll_grow",
    "poll_shrink",
    "poll_add",
    "poll_remove",
}


class _Loop(Struct):
    generation: Generation
    settings: PollSettings
    times: Counter[int]
    """The number of handlers with each polling time; up to 9.x and in 11.1 the loop's one time."""
    what_ifs: list[WhatIf] = field(default_factory=list)
    pending_ns: int | None = None
    """When the phase that polled in vain began, until its wait is known."""
    waited_ns: int | None = None
    """When the last known wait ended."""
    transitions: Counter[tuple[str, int, int]] = field(default_factory=Counter)
    unmoved: int = 0
    timeline: Timeline = field(default_factory=Timeline)
    thread_id: int | None = None
    first_ns: int | None = None
    last_ns: int | None = None
    begin_ns: int | None = None
    polling_ns: int = 0
    in_vain: int = 0
    drops: int = 0
    changes: Counter[str] = field(default_factory=Counter)
    budgets: Counter[int] = field(default_factory=Counter)
    events_agreed: int = 0
    budgets_agreed: int = 0

    def take(self, event: Event) -> None:
        self.thread_id = self.thread_id or event.thread_id
        self.first_ns = event.time_ns if self.first_ns is None else self.first_ns
        self.last_ns = event.time_ns
        match event:
            case Event(name="run_poll_handlers_begin", values=values):
                budget = choose_budget(values["timeout"], max(self.times, default=0))
                self._count_budget(values["max_ns"])
                self.timeline.add(values["max_ns"], self._find_age(event.time_ns))
                # A wait ends at the latest when the next pass begins.
                self._end_wait(event.time_ns, "other")
                self.budgets_agreed += values["max_ns"] == budget
                self.begin_ns = event.time_ns
            case Event(name="run_poll_handlers_end", values=values):
                in_vain = not values["progress"] and values["timeout"] != 0
                self.in_vain += in_vain
                if in_vain:
                    self.timeline.mark_in_vain()
                self.pending_ns = self.begin_ns
                if not in_vain:
                    self._end_wait(event.time_ns, "other" if values["progress"] else "notifier")
                if self.begin_ns is not None and event.time_ns is not None:
                    self.polling_ns += max(0, event.time_ns - self.begin_ns)
                self.begin_ns = None
            case Event(name="poll_add") if self.generation == "handler":
                self.times[0] += self.times.total() < _MAX_HANDLERS
            case Event(name="poll_grow" | "poll_shrink", values={"old": old, "new": new}):
                if self.pending_ns is None and max(self.times, default=0) == 0:
                    # Without polling, a pass leaves only the change that its wait causes.
                    self.pending_ns = self.waited_ns
                self._end_wait(event.time_ns, "other")
                self._change(event.name, old, new)
            case _:
                pass

    def _find_age(self, time_ns: int | None) -> int | None:
        if time_ns is None or self.first_ns is None:
            return None
        return max(0, time_ns - self.first_ns)

    def _end_wait(self, time_ns: int | None, waiter: Waiter) -> None:
        """Adds a wait whose end is known, or is now at the latest."""
        begin_ns, self.pending_ns = self.pending_ns, None
        if time_ns is None or begin_ns is None:
            return
        self.waited_ns = time_ns
        for what_if in self.what_ifs:
            what_if.take(max(0, time_ns - begin_ns), waiter)

    def _count_budget(self, budget_ns: int) -> None:
        if budget_ns not in self.budgets and len(self.budgets) >= _MAX_BUDGETS:
            # Timers can cut a phase to any length; of many lengths only the magnitude is kept.
            budget_ns = 1 << max(0, budget_ns.bit_length() - 1)
        self.budgets[budget_ns] += 1

    def _change(self, name: str, old: int, new: int) -> None:
        self.changes[name] += 1
        self.drops += name == "poll_shrink" and new == 0 < old
        longest = max(self.times, default=0)
        if len(self.transitions) < _MAX_BUDGETS or (name, old, new) in self.transitions:
            self.transitions[name, old, new] += 1
        held = self.times.get(old, 0) > 0
        self.events_agreed += held and self._is_step(name, old, new)
        if self.generation != "handler":
            self.times = Counter({new: 1})
        elif held:
            self.times[new] += 1
            self.times[old] -= 1
            if self.times[old] == 0:
                del self.times[old]
        self.unmoved += max(self.times, default=0) == longest

    def _is_step(self, name: str, old: int, new: int) -> bool:
        settings = self.settings
        if name == "poll_shrink":
            return new == (old // settings.shrink if settings.shrink else 0)
        grown = old * (settings.grow or 2)
        if self.generation == "weighted":
            return min(grown, settings.max_ns) <= new <= settings.max_ns and new > 0
        return new == min(grown or FIRST_NS, settings.max_ns)

    def freeze(self, ctx: str) -> LoopTrace:
        timed = self.first_ns is not None and self.last_ns is not None
        return LoopTrace(
            ctx=ctx,
            thread_id=self.thread_id,
            span_ns=self.last_ns - self.first_ns
            if self.first_ns is not None and self.last_ns is not None
            else None,
            polling_ns=self.polling_ns if timed else None,
            phases=self.budgets.total(),
            phases_in_vain=self.in_vain,
            grows=self.changes["poll_grow"],
            shrinks=self.changes["poll_shrink"],
            drops=self.drops,
            budgets=tuple(sorted(self.budgets.items())),
            events_agreed=self.events_agreed,
            budgets_agreed=self.budgets_agreed,
            transitions=tuple(
                Transition(
                    kind="grow" if name == "poll_grow" else "shrink",
                    old_ns=old,
                    new_ns=new,
                    count=count,
                )
                for (name, old, new), count in self.transitions.most_common()
            ),
            unmoved=self.unmoved,
            timeline=tuple(self.timeline.pieces),
            outcomes=tuple(what_if.freeze() for what_if in self.what_ifs),
        )
