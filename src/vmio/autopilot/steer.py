"""The autopilot's decisions: a pure function of its state and the next interval.

Each load is searched once: the guest's own setting, a neighbouring preset, the own setting again,
and so on downwards while the latency holds; upwards only where nothing below is better, until that
pays. The cheapest is then kept without further changes for a time that doubles. Everything
is compared with intervals at the guest's own setting before and after, since loads move.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from statistics import median
from typing import Final

from msgspec import Struct

from vmio.autopilot.values import (
    PRESETS_NS,
    Decision,
    DecisionKind,
    Interval,
    Lesson,
    Load,
    PollingGoal,
    Search,
    State,
    Trouble,
)
from vmio.observe.verdicts.thresholds import LEAST_REQUESTS
from vmio.values import replace

__all__ = ["begin", "steer"]

_LEAST_CPU: Final = 0.01
"""Processors. Of a loop that takes less, no change saves anything."""
_CHEAPER: Final = 0.95
"""Times the processor time of a request: what a change has to save, at least."""
_MOST_TRIES: Final = 3
"""Of a candidate whose intervals do not tell."""
_MOST_LESSONS: Final = 16
_PARKED_S: Final = 60.0
_MOST_PARKED_S: Final = 3600.0


def begin(own_ns: int) -> State:
    """Returns the state of event loops whose setting nobody has changed yet."""
    return State(own_ns=own_ns, wanted_ns=own_ns, last_ns=own_ns)


def steer(goal: PollingGoal, state: State, interval: Interval | None) -> tuple[State, Decision]:
    """Returns the next state, and the setting that is wanted until the next interval ends.

    Nothing is changed while a guest is idle or short of processors, but a trial is taken back.
    A setting that turns out slower than the guest's own is in force for one interval.

    Args:
        goal: What is wanted.
        state: What the last interval left; `begin` for the first one.
        interval: The one that has ended; None if it could not be read.
    """
    if state.is_left:
        return state, Decision(kind="left", poll_max_ns=state.wanted_ns)
    if interval is None:
        return _go_back(state, "unread")
    if interval.poll_max_ns not in {state.wanted_ns, state.last_ns}:
        left = replace(begin(interval.poll_max_ns), is_left=True)
        return left, Decision(kind="left", poll_max_ns=left.wanted_ns)
    if interval.poll_max_ns != state.wanted_ns:
        return state, Decision(kind="waiting", poll_max_ns=state.wanted_ns)
    state = replace(state, last_ns=state.wanted_ns)
    trouble = _find_trouble(goal, interval)
    if trouble is not None:
        return _go_back(state, trouble)
    if state.search is not None:
        return _go_on(goal, state, state.search, interval)
    return _choose(goal, state, interval)


def _find_trouble(goal: PollingGoal, interval: Interval) -> Trouble | None:
    if interval.requests < LEAST_REQUESTS:
        return "idle"
    if not interval.cpu_per_request_ns or not interval.latency_mean_ns:
        return "unread"
    if interval.run_delay_share > goal.most_run_delay:
        return "contended"
    return "limited" if interval.is_limited else None


def _go_back(state: State, trouble: Trouble) -> tuple[State, Decision]:
    """Takes a trial back; a guest short of processors polls no longer than at its own setting."""
    tried = state.search is not None and state.wanted_ns != state.own_ns
    longer = trouble == "contended" and state.wanted_ns > state.own_ns
    wanted_ns = state.own_ns if tried or longer else state.wanted_ns
    return _want(replace(state, search=None), Decision(kind=trouble, poll_max_ns=wanted_ns))


def _choose(goal: PollingGoal, state: State, interval: Interval) -> tuple[State, Decision]:
    """Uses what is known of the load, or begins a search."""
    lesson = _recall(state, interval.load)
    if lesson is not None and lesson.left_s > 0:
        if lesson.poll_max_ns != state.wanted_ns:
            return _want(state, Decision(kind="known load", poll_max_ns=lesson.poll_max_ns))
        if lesson.poll_max_ns == state.own_ns or interval.latency_mean_ns <= lesson.latency_ns * (
            1 + 2 * goal.tolerance
        ):
            seen = replace(lesson, left_s=lesson.left_s - interval.duration_s)
            kept = (*(each for each in state.lessons if each is not lesson), seen)
            decision = Decision(kind="keep", poll_max_ns=state.wanted_ns)
            return replace(state, lessons=kept), decision
        ratio = interval.latency_mean_ns / lesson.latency_ns
        forgotten = replace(
            state, lessons=tuple(each for each in state.lessons if each is not lesson)
        )
        return _want(
            forgotten, Decision(kind="slower", poll_max_ns=state.own_ns, latency_ratio=ratio)
        )
    if state.wanted_ns != state.own_ns:
        return _want(state, Decision(kind="measure", poll_max_ns=state.own_ns))
    if interval.cpu_share < _LEAST_CPU:
        return state, Decision(kind="cheap", poll_max_ns=state.own_ns)
    candidate_ns = _find_lower(goal, state.own_ns)
    if candidate_ns is None:
        candidate_ns = _find_higher(goal, state.own_ns)
    if candidate_ns is None:
        return state, Decision(kind="keep", poll_max_ns=state.own_ns)
    search = Search(own=(interval,), candidate_ns=candidate_ns, best_ns=state.own_ns)
    return _try(state, search, Decision(kind="try", poll_max_ns=candidate_ns))


def _go_on(
    goal: PollingGoal, state: State, search: Search, interval: Interval
) -> tuple[State, Decision]:
    """Goes on with a search by the interval that it waited for."""
    if not interval.load.is_like(search.own[0].load):
        given_up = replace(state, search=None)
        return _want(given_up, Decision(kind="other load", poll_max_ns=state.own_ns))
    if len(search.tried) < len(search.own):
        seen = replace(state, search=replace(search, tried=(*search.tried, interval)))
        return _want(seen, Decision(kind="compare", poll_max_ns=state.own_ns))
    return _conclude(goal, state, replace(search, own=(*search.own, interval)))


def _conclude(goal: PollingGoal, state: State, search: Search) -> tuple[State, Decision]:
    """Compares trials with what is around them; makes another, tries the next, or settles."""
    trial = _Trial(search=search)
    ratios = (trial.compare_cpu(), trial.compare_latency())
    pays = trial.pays(goal)
    if pays is None:
        return _try(state, search, _describe("again", search.candidate_ns, ratios))
    found = search
    if pays and (
        search.candidate_ns > state.own_ns or ratios[0] < _CHEAPER * search.best_cpu_ratio
    ):
        found = replace(search, best_ns=search.candidate_ns, best_cpu_ratio=ratios[0])
    next_ns = _find_next(goal, state, search, trial, found.best_ns)
    if next_ns is None:
        return _settle(state, found, ratios)
    following = replace(found, candidate_ns=next_ns, own=search.own[-1:], tried=())
    return _try(state, following, _describe("try", next_ns, ratios))


def _find_next(
    goal: PollingGoal, state: State, search: Search, trial: _Trial, best_ns: int
) -> int | None:
    """Returns what is tried after a candidate; None where the search is over.

    Downwards until the latency does not hold; then, if nothing was better, upwards until it pays
    or a request takes too much processor time.
    """
    candidate_ns = search.candidate_ns
    if candidate_ns > state.own_ns:
        is_over = best_ns == candidate_ns or trial.costs_within(1 + goal.tolerance) is False
        return None if is_over else _find_higher(goal, candidate_ns)
    lower_ns = _find_lower(goal, candidate_ns) if trial.lasts_within(1 + goal.tolerance) else None
    if lower_ns is None and best_ns == state.own_ns:
        return _find_higher(goal, state.own_ns)
    return lower_ns


class _Trial(Struct, frozen=True, kw_only=True):
    """The trials of a candidate, between intervals at the guest's own setting."""

    search: Search

    def compare_cpu(self) -> float:
        """Returns the processor time of a request, as a multiple of that around the trials."""
        return _compare(*(_list_cpu(each) for each in (self.search.tried, self.search.own)))

    def compare_latency(self) -> float:
        """Returns the mean latency, as a multiple of that around the trials."""
        return _compare(*(_list_latencies(each) for each in (self.search.tried, self.search.own)))

    def costs_within(self, factor: float) -> bool | None:
        """Returns whether a request takes at most so much of the processor time around it."""
        return _is_within(_list_cpu(self.search.tried), _list_cpu(self.search.own), factor)

    def lasts_within(self, factor: float) -> bool | None:
        """Returns whether a request takes at most so much of the latency around it."""
        return _is_within(
            _list_latencies(self.search.tried), _list_latencies(self.search.own), factor
        )

    def pays(self, goal: PollingGoal) -> bool | None:
        """Returns whether the candidate is better; None if the intervals do not tell."""
        saves = _both(self.costs_within(_CHEAPER), self.lasts_within(1 + goal.tolerance))
        if saves:
            return True
        speeds = _both(
            self.costs_within(1 + goal.tolerance), self.lasts_within(1 - goal.tolerance)
        )
        return True if speeds else None if None in {saves, speeds} else False


def _list_cpu(intervals: Iterable[Interval]) -> list[float]:
    return [each.cpu_per_request_ns for each in intervals]


def _list_latencies(intervals: Iterable[Interval]) -> list[float]:
    return [each.latency_mean_ns for each in intervals]


def _compare(tried: Sequence[float], own: Sequence[float]) -> float:
    return median(tried) / median(own)


def _is_within(tried: Sequence[float], own: Sequence[float], factor: float) -> bool | None:
    """Returns whether trials come to at most a multiple of what is around them.

    A trial tells by itself if that holds for all of the intervals around it, or for none; after
    the last one the medians decide. None if another trial is needed.
    """
    if len(tried) >= _MOST_TRIES:
        return _compare(tried, own) <= factor
    if max(tried) <= factor * min(own):
        return True
    return False if min(tried) > factor * max(own) else None


def _both(first: bool | None, second: bool | None) -> bool | None:  # noqa: FBT001 - facts
    if first is False or second is False:
        return False
    return True if first and second else None


def _describe(kind: DecisionKind, poll_max_ns: int, ratios: tuple[float, float]) -> Decision:
    return Decision(
        kind=kind, poll_max_ns=poll_max_ns, cpu_ratio=ratios[0], latency_ratio=ratios[1]
    )


def _try(state: State, search: Search, decision: Decision) -> tuple[State, Decision]:
    wanted = replace(decision, poll_max_ns=search.candidate_ns)
    return _want(replace(state, search=search), wanted)


def _settle(state: State, search: Search, ratios: tuple[float, float]) -> tuple[State, Decision]:
    """Ends a search: its result is kept for the load, for longer each time that it is the same."""
    load = search.own[0].load
    earlier = _recall(state, load)
    parked_s = _PARKED_S
    if earlier is not None and earlier.poll_max_ns == search.best_ns:
        parked_s = min(_MOST_PARKED_S, 2 * earlier.parked_s)
    lesson = Lesson(
        load=load,
        poll_max_ns=search.best_ns,
        latency_ns=median(_list_latencies(search.own)),
        parked_s=parked_s,
        left_s=parked_s,
    )
    kept = [each for each in state.lessons if each is not earlier]
    settled = replace(state, search=None, lessons=(*kept, lesson)[-_MOST_LESSONS:])
    return _want(settled, _describe("settle", search.best_ns, ratios))


def _recall(state: State, load: Load) -> Lesson | None:
    """Returns what was found for a load like this one, the latest first."""
    return next((each for each in reversed(state.lessons) if each.load.is_like(load)), None)


def _want(state: State, decision: Decision) -> tuple[State, Decision]:
    """Returns a state that awaits a setting; till then the last one is not somebody else's."""
    if decision.poll_max_ns == state.wanted_ns:
        return state, decision
    return replace(state, last_ns=state.wanted_ns, wanted_ns=decision.poll_max_ns), decision


def _find_lower(goal: PollingGoal, above_ns: int) -> int | None:
    """Returns the next preset below a setting, the floor last; None below that."""
    return max((each for each in _list_presets(goal) if each < above_ns), default=None)


def _find_higher(goal: PollingGoal, below_ns: int) -> int | None:
    """Returns the next preset above a setting, the ceiling last; None above that."""
    return min((each for each in _list_presets(goal) if each > below_ns), default=None)


def _list_presets(goal: PollingGoal) -> Iterator[int]:
    """Yields the settings that may be tried."""
    yield goal.floor_ns
    yield from (each for each in PRESETS_NS if goal.floor_ns < each < goal.ceiling_ns)
    yield goal.ceiling_ns
