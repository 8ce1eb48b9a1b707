"""The autopilot's decisions: a pure function of its state and the next interval.

Each load is searched once: the guest's own setting, a preset, the own setting again, and so on,
by halves: downwards where the latency holds, upwards where it does not; above the own setting only
where nothing below is better, until that pays. The cheapest is then kept without further changes
for a time that doubles, unless requests become slower than at the own setting. Everything is
compared with intervals at the guest's own setting, since loads and hosts move.
"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from typing import Final

from vmio.autopilot.trials import Trials, compare, remember
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
_LEAST_NS: Final = 1.0
"""Of processor time or latency; a request takes more."""
_ENOUGH_TRIALS: Final = 5
_LEAST_TRIES: Final = 2
"""Of a candidate, in all searches and in this one; then they have to tell."""
_SLACK: Final = 0.5
"""Standard errors by which a mean may then exceed its bound."""
_ENOUGH_DOUBTS: Final = 3
_DOUBT_SLACK: Final = 1.0
"""Likewise, of an earlier result in doubt, which needs more to be dropped than to be found."""
_MOST_SLOW: Final = 3
"""Slow intervals in a row, of which the last is doubted whatever chance came to before."""
_FADING: Final = 0.9995
"""By an interval, of the slowest one that was doubted in vain."""
_MOST_LESSONS: Final = 16
_PARKED_S: Final = 60.0
_MOST_PARKED_S: Final = 3600.0
_PARKED_TIMES: Final = 10.0
"""The time that a search took, and this by how much it found the guest's own setting to waste."""


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
    state, last_load = replace(state, last_load=interval.load), state.last_load
    if state.search is not None:
        return _go_on(goal, state, state.search, interval)
    is_steady = last_load is not None and interval.load.is_like(last_load)
    return _choose(goal, state, interval, is_steady=is_steady)


def _find_trouble(goal: PollingGoal, interval: Interval) -> Trouble | None:
    if interval.requests < LEAST_REQUESTS:
        return "idle"
    if min(interval.cpu_per_request_ns, interval.latency_mean_ns) < _LEAST_NS:
        return "unread"
    if interval.run_delay_share > goal.most_run_delay:
        return "contended"
    return "limited" if interval.is_limited else None


def _go_back(state: State, trouble: Trouble) -> tuple[State, Decision]:
    """Takes a trial back; a guest short of processors polls no longer than at its own setting."""
    tried = state.search is not None and state.wanted_ns != state.own_ns
    longer = trouble == "contended" and state.wanted_ns > state.own_ns
    wanted_ns = state.own_ns if tried or longer else state.wanted_ns
    back = replace(_give_up(state), last_load=None)
    return _want(back, Decision(kind=trouble, poll_max_ns=wanted_ns))


def _choose(
    goal: PollingGoal, state: State, interval: Interval, *, is_steady: bool
) -> tuple[State, Decision]:
    """Uses what is known of the load, or begins a search.

    The first interval of a load can hold some of the one before, so that a search begins with the
    second.
    """
    lesson = _recall(state, interval.load)
    if lesson is not None and lesson.left_s > 0:
        if lesson.poll_max_ns != state.wanted_ns:
            return _want(state, Decision(kind="known load", poll_max_ns=lesson.poll_max_ns))
        return _keep(goal, state, lesson, interval)
    is_own = state.wanted_ns == state.own_ns
    if is_own and interval.cpu_share < _LEAST_CPU:
        return state, Decision(kind="cheap", poll_max_ns=state.own_ns)
    if not is_own or not is_steady:
        return _want(state, Decision(kind="measure", poll_max_ns=state.own_ns))
    return _begin_search(goal, state, interval, lesson)


def _keep(
    goal: PollingGoal, state: State, lesson: Lesson, interval: Interval
) -> tuple[State, Decision]:
    """Keeps a result, or doubts it because an interval is slow.

    The whole host may have become slower, which the guest's own setting shows next. Noise alone
    makes intervals slow, too: doubted are one that is slower than those which were doubted in
    vain, and the last of some in a row.
    """
    latency_ns = interval.latency_mean_ns
    is_slow = latency_ns > lesson.latency_ns * (1 + 2 * goal.tolerance)
    slow_count = lesson.slow_count + 1 if is_slow else 0
    is_doubtful = is_slow and (latency_ns > lesson.slowest_ns or slow_count >= _MOST_SLOW)
    if lesson.poll_max_ns == state.own_ns or not is_doubtful:
        seen = replace(
            lesson,
            left_s=lesson.left_s - interval.duration_s,
            slowest_ns=lesson.slowest_ns * _FADING,
            slow_count=slow_count,
        )
        decision = Decision(kind="keep", poll_max_ns=state.wanted_ns)
        return _learn(state, lesson, seen), decision
    search = Search(
        candidate_ns=lesson.poll_max_ns,
        holding_ns=state.own_ns,
        best_ns=state.own_ns,
        lesson=lesson,
        doubted_ns=latency_ns,
    )
    ratio = latency_ns / lesson.latency_ns
    decision = Decision(kind="slower", poll_max_ns=state.own_ns, latency_ratio=ratio)
    return _want(replace(state, search=search), decision)


def _begin_search(
    goal: PollingGoal,
    state: State,
    interval: Interval,
    lesson: Lesson | None,
    *,
    failing_ns: int = -1,
) -> tuple[State, Decision]:
    """Begins a search with an interval at the guest's own setting; an earlier result is first."""
    search = Search(
        candidate_ns=state.own_ns,
        failing_ns=failing_ns,
        holding_ns=state.own_ns,
        best_ns=state.own_ns,
        own=interval,
        own_latencies_ns=(interval.latency_mean_ns,),
        known=lesson.known if lesson is not None else (),
    )
    if lesson is not None and lesson.poll_max_ns != state.own_ns:
        earlier = replace(search, candidate_ns=lesson.poll_max_ns, lesson=lesson)
        return _try(state, earlier, "try")
    first_ns = _find_next(goal, state, search)
    if first_ns is None:
        decision = Decision(kind="keep", poll_max_ns=state.own_ns)
        return replace(state, search=None), decision
    return _go_to(goal, state, search, first_ns)


def _go_on(
    goal: PollingGoal, state: State, search: Search, interval: Interval
) -> tuple[State, Decision]:
    """Goes on with a search by the interval that it waited for."""
    earlier = search.own or search.lesson
    if earlier is None or not interval.load.is_like(earlier.load):
        state = _give_up(state)
        lesson = _recall(state, interval.load)
        if lesson is not None and lesson.left_s > 0:
            return _want(state, Decision(kind="known load", poll_max_ns=lesson.poll_max_ns))
        return _want(state, Decision(kind="other load", poll_max_ns=state.own_ns))
    if search.own is not None and search.tried is None:
        seen = replace(search, tried=interval, tries=search.tries + 1)
        decision = Decision(kind="compare", poll_max_ns=state.own_ns)
        return _want(replace(state, search=seen), decision)
    seen = replace(
        search,
        own=interval,
        own_latencies_ns=(*search.own_latencies_ns, interval.latency_mean_ns),
        tried=None,
    )
    if search.own is not None and search.tried is not None:
        found = compare(search.own, search.tried, interval)
        seen = replace(seen, known=remember(search.known, found))
    if search.lesson is not None and search.doubted_ns:
        return _judge_doubt(goal, state, seen, search.lesson, interval)
    return _judge(goal, state, seen)


def _judge_doubt(
    goal: PollingGoal, state: State, search: Search, lesson: Lesson, interval: Interval
) -> tuple[State, Decision]:
    """Drops a result if requests are slower with it than at the guest's own setting by now.

    The interval that was doubted was chosen for being slow, so that it can show no more than that
    the guest's own setting is as slow.
    """
    within = 1 + goal.tolerance
    slack = _DOUBT_SLACK if search.tries >= _ENOUGH_DOUBTS else None
    trials = Trials(search.known, search.candidate_ns, slack=slack)
    holds = trials.last_within(within)
    if not search.tries and search.doubted_ns <= within * interval.latency_mean_ns:
        holds = True
    if holds is None:
        return _try(state, search, "again" if search.tries else "try")
    if not holds:
        others = [each for each in lesson.known if each.poll_max_ns != search.candidate_ns]
        dropped = replace(
            lesson,
            poll_max_ns=state.own_ns,
            known=(*others, *search.known),
            parked_s=_PARKED_S,
            left_s=0.0,
        )
        failing_ns = search.candidate_ns if search.candidate_ns < state.own_ns else -1
        state = _learn(state, lesson, dropped)
        return _begin_search(goal, state, interval, dropped, failing_ns=failing_ns)
    known = lesson.known
    for each in search.known:
        known = remember(known, each)
    believed = replace(
        lesson,
        latency_ns=median(search.own_latencies_ns),
        known=known,
        slowest_ns=max(search.doubted_ns, lesson.slowest_ns),
        slow_count=0,
    )
    decision = _describe("holds", lesson.poll_max_ns, search)
    return _want(_learn(replace(state, search=None), lesson, believed), decision)


def _judge(goal: PollingGoal, state: State, search: Search) -> tuple[State, Decision]:
    """Makes another trial of a candidate, tries the next, or settles."""
    candidate_ns = search.candidate_ns
    trials = _list_trials(search)
    pays = trials.pay(goal)
    if pays is None and search.lesson is not None:
        # Nothing shows that it is not what it was before.
        pays = True
    if pays is None:
        return _try(state, search, "again")
    is_above = candidate_ns > state.own_ns
    if pays and (is_above or trials.cpu_ratio < search.best_cpu_ratio):
        search = replace(search, best_ns=candidate_ns, best_cpu_ratio=trials.cpu_ratio)
    if not is_above:
        if pays or trials.last_within(1 + goal.tolerance) is not False:
            search = replace(search, holding_ns=candidate_ns)
        else:
            search = replace(search, failing_ns=candidate_ns)
        return _go_to(goal, state, search, _find_next(goal, state, search))
    if pays:
        return _settle(state, search)
    if search.lesson is not None:
        return _go_to(goal, state, search, _find_next(goal, state, search))
    is_over = trials.cost_within(1 + goal.tolerance) is False
    return _go_to(goal, state, search, None if is_over else _find_higher(goal, candidate_ns))


def _find_next(goal: PollingGoal, state: State, search: Search) -> int | None:
    """Returns what is tried next; None where the search is over.

    Each candidate below the guest's own setting halves what is left there: where the latency does
    not hold, it does not lower down, either. If nothing was better, those above come next.
    """
    left = [each for each in _list_presets(goal) if search.failing_ns < each < search.holding_ns]
    if left:
        return left[len(left) // 2]
    return _find_higher(goal, state.own_ns) if search.best_ns == state.own_ns else None


def _go_to(
    goal: PollingGoal, state: State, search: Search, candidate_ns: int | None
) -> tuple[State, Decision]:
    """Tries a candidate, unless it is known to be better; settles without one."""
    if candidate_ns is None:
        return _settle(state, search)
    search = replace(search, candidate_ns=candidate_ns, tries=0, lesson=None)
    if _list_trials(search).pay(goal):
        return _judge(goal, state, search)
    return _try(state, search, "try")


def _list_trials(search: Search) -> Trials:
    """Returns the trials of a search's candidate, of this search and earlier ones."""
    count = Trials(search.known, search.candidate_ns).count
    is_enough = count >= _ENOUGH_TRIALS and search.tries >= _LEAST_TRIES
    return Trials(search.known, search.candidate_ns, slack=_SLACK if is_enough else None)


def _describe(kind: DecisionKind, poll_max_ns: int, search: Search) -> Decision:
    """Returns a decision with what the trials of a setting came to, if there were any."""
    trials = Trials(search.known, poll_max_ns)
    if not trials.count:
        return Decision(kind=kind, poll_max_ns=poll_max_ns)
    return Decision(
        kind=kind,
        poll_max_ns=poll_max_ns,
        cpu_ratio=trials.cpu_ratio,
        latency_ratio=trials.latency_ratio,
    )


def _try(state: State, search: Search, kind: DecisionKind) -> tuple[State, Decision]:
    decision = _describe(kind, search.candidate_ns, search)
    return _want(replace(state, search=search), decision)


def _settle(state: State, search: Search) -> tuple[State, Decision]:
    """Ends a search: its result is kept for the load, for longer each time that it is the same.

    Trials at a wasteful setting of the guest's own cost the more, the more it wastes.
    """
    state = replace(state, search=None)
    if search.own is None:
        return _want(state, Decision(kind="measure", poll_max_ns=state.own_ns))
    earlier = _recall(state, search.own.load)
    parked_s = _PARKED_S if earlier is None else earlier.parked_s
    if earlier is not None and earlier.poll_max_ns == search.best_ns:
        parked_s *= 2
    lasted_s = 2 * len(search.own_latencies_ns) * search.own.duration_s
    parked_s = max(parked_s, _PARKED_TIMES * lasted_s / search.best_cpu_ratio)
    parked_s = min(parked_s, _MOST_PARKED_S)
    lesson = Lesson(
        load=search.own.load,
        poll_max_ns=search.best_ns,
        latency_ns=median(search.own_latencies_ns),
        known=search.known,
        parked_s=parked_s,
        left_s=parked_s,
        slowest_ns=earlier.slowest_ns if earlier is not None else 0.0,
    )
    decision = _describe("settle", search.best_ns, search)
    return _want(_learn(state, earlier, lesson), decision)


def _give_up(state: State) -> State:
    """Ends a search without a result, if there is one; its trials are kept for the next."""
    search, state = state.search, replace(state, search=None)
    if search is None or search.own is None or search.doubted_ns:
        return state
    earlier = _recall(state, search.own.load)
    lesson = earlier or Lesson(
        load=search.own.load,
        poll_max_ns=state.own_ns,
        latency_ns=median(search.own_latencies_ns),
        parked_s=_PARKED_S,
        left_s=0.0,
    )
    return _learn(state, earlier, replace(lesson, known=search.known))


def _learn(state: State, old: Lesson | None, new: Lesson | None = None) -> State:
    """Returns the state with a lesson instead of another, or without one."""
    kept = [each for each in state.lessons if each is not old]
    if new is not None:
        kept.append(new)
    return replace(state, lessons=tuple(kept[-_MOST_LESSONS:]))


def _recall(state: State, load: Load) -> Lesson | None:
    """Returns what was found for a load like this one, the latest first."""
    return next((each for each in reversed(state.lessons) if each.load.is_like(load)), None)


def _want(state: State, decision: Decision) -> tuple[State, Decision]:
    """Returns a state that awaits a setting; till then the last one is not somebody else's."""
    if decision.poll_max_ns == state.wanted_ns:
        return state, decision
    return replace(state, last_ns=state.wanted_ns, wanted_ns=decision.poll_max_ns), decision


def _find_higher(goal: PollingGoal, below_ns: int) -> int | None:
    """Returns the next preset above a setting, the ceiling last; None above that."""
    return min((each for each in _list_presets(goal) if each > below_ns), default=None)


def _list_presets(goal: PollingGoal) -> Iterator[int]:
    """Yields the settings that may be tried."""
    yield goal.floor_ns
    yield from (each for each in PRESETS_NS if goal.floor_ns < each < goal.ceiling_ns)
    yield goal.ceiling_ns
