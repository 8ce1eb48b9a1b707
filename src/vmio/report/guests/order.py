"""The order of guests by what limits them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, get_args

from vmio.managers.discovery import RunningGuest
from vmio.observe.verdicts.values import Verdict, VerdictKind

__all__ = ["put_worst_first", "rank_verdicts"]

_URGENCY: Final[tuple[VerdictKind, ...]] = get_args(VerdictKind)


def put_worst_first(
    guests: Iterable[RunningGuest], verdicts: Mapping[str, Sequence[Verdict]]
) -> tuple[RunningGuest, ...]:
    """Returns guests with the worst limited first; equal ones stay in their order.

    Args:
        guests: The guests.
        verdicts: What limits each, by its address.
    """
    return tuple(sorted(guests, key=lambda each: rank_verdicts(verdicts.get(each.address))))


def rank_verdicts(verdicts: Sequence[Verdict] | None) -> tuple[int, int, int]:
    """Returns what sorts guests by their verdicts, the worst first.

    Warnings come before the rest, more urgent kinds before others, and one more verdict before one
    less. Behind them are guests that nobody could judge, and then those that nothing limits.

    Args:
        verdicts: Of one guest, the worst first; None if it could not be judged.
    """
    if verdicts is None:
        return (2, 0, 0)
    if not verdicts:
        return (3, 0, 0)
    worst = verdicts[0]
    return (int(worst.severity == "info"), _URGENCY.index(worst.kind), -len(verdicts))
