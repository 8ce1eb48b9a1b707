"""Verdicts over successive windows: one is in force when two windows agree, until two do not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from vmio.observe.verdicts.judge import NOTES, judge, order_verdicts
from vmio.observe.verdicts.values import Verdict, VerdictKind, Window
from vmio.values import replace

__all__ = ["State", "Tracked", "decide"]

_BEGINS_AFTER: Final = 2
"""Windows that agree."""
_ENDS_AFTER: Final = 2
"""Windows that do not."""
_AT_ONCE: Final[frozenset[VerdictKind]] = frozenset({"restart-pending", "polling-impossible"})
"""What follows from settings alone."""


class Tracked(Struct, frozen=True, kw_only=True):
    """A verdict that the last windows showed."""

    verdict: Verdict
    """As of the last window that showed it."""
    seen: int
    """Successive windows that showed this kind, up to the last that did."""
    missed: int = 0
    """Windows since then."""
    in_force: bool = False
    rival: Verdict | None = None
    """What the last window showed of the same subject instead."""


class State(Struct, frozen=True, kw_only=True):
    """What the windows so far leave for the next."""

    tracked: tuple[Tracked, ...] = ()


def decide(state: State, window: Window) -> tuple[State, tuple[Verdict, ...]]:
    """Returns the next state and the verdicts in force, the worst first.

    What limits a subject is one verdict: another kind takes over only when the first has ended.
    The figures of a verdict in force are those of the last window that showed it.

    Args:
        state: What the last window left; `State()` for the first one.
        window: The next window of the same guest, the later the better.
    """
    held = {(each.verdict.kind, each.verdict.subject) for each in state.tracked if each.in_force}
    found = {_name_slot(each): each for each in judge(window, held)}
    known = {_name_slot(each.verdict): each for each in state.tracked}
    tracked = tuple(
        following
        for slot in dict.fromkeys((*known, *found))
        for following in _follow(known.get(slot), found.get(slot))
    )
    return State(tracked=tracked), order_verdicts(
        each.verdict for each in tracked if each.in_force
    )


def _name_slot(verdict: Verdict) -> tuple[str, str]:
    """Returns the name of what has one verdict at a time: a subject's limit, or a kind of note."""
    return verdict.subject, verdict.kind if verdict.kind in NOTES else ""


def _follow(known: Tracked | None, found: Verdict | None) -> Iterator[Tracked]:
    if known is not None and found is not None and known.verdict.kind == found.kind:
        seen = known.seen + 1
        yield Tracked(
            verdict=found,
            seen=seen,
            in_force=known.in_force or seen >= _count_needed(found),
        )
    elif known is not None and known.in_force and known.missed + 1 < _count_misses(known.verdict):
        yield replace(known, missed=known.missed + 1, rival=found)
    elif found is not None:
        rival = known.rival if known is not None else None
        seen = 2 if rival is not None and rival.kind == found.kind else 1
        yield Tracked(verdict=found, seen=seen, in_force=seen >= _count_needed(found))


def _count_needed(verdict: Verdict) -> int:
    return 1 if verdict.kind in _AT_ONCE else _BEGINS_AFTER


def _count_misses(verdict: Verdict) -> int:
    return 1 if verdict.kind in _AT_ONCE else _ENDS_AFTER
