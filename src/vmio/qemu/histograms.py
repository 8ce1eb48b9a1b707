"""The commands that set and remove a disk's latency histograms; the only place that makes them.

QEMU 10.0.2 accepts an empty list of boundaries and crashes at the next request of that kind, so
that boundaries are checked here before they are sent.

Source: QEMU 10.0, qapi/block.json, `block-latency-histogram-set`, and run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final, Literal

from vmio.bounds import MAX_WHOLE_NUMBER
from vmio.qemu.questions import Question

__all__ = ["HistogramKind", "ask_to_count", "ask_to_stop_counting"]

HistogramKind = Literal["reads", "writes", "flushes"]
_COMMAND: Final = "block-latency-histogram-set"
_ARGUMENTS: Final[Mapping[HistogramKind, str]] = {
    "reads": "boundaries-read",
    "writes": "boundaries-write",
    "flushes": "boundaries-flush",
}
_MAX_BOUNDARIES: Final = 1024


def ask_to_count(
    place: str, boundaries_ns: Sequence[int], kinds: Sequence[HistogramKind]
) -> Question:
    """Returns the command that sets histograms of some kinds of requests, and leaves the others.

    A kind that was counted already begins again at nothing.

    Args:
        place: The disk's `qdev`, as the block statistics tell it.
        boundaries_ns: Rising, the first above 0.
        kinds: At least one.

    Raises:
        ValueError: QEMU would refuse the boundaries, or crash by them.
    """
    if not place or not kinds:
        raise ValueError("a histogram is of a disk and a kind of requests")
    if not 0 < len(boundaries_ns) <= _MAX_BOUNDARIES:
        raise ValueError(f"a histogram with {len(boundaries_ns)} boundaries")
    if boundaries_ns[0] < 1 or boundaries_ns[-1] > MAX_WHOLE_NUMBER:
        raise ValueError("a histogram with a boundary that is no latency")
    if any(low >= high for low, high in pairwise(boundaries_ns)):
        raise ValueError("a histogram with boundaries that do not rise")
    arguments = {_ARGUMENTS[each]: list(boundaries_ns) for each in kinds}
    return Question(command=_COMMAND, arguments={"id": place, **arguments})


def ask_to_stop_counting(place: str) -> Question:
    """Returns the command that removes all histograms of a disk; there is none for one kind.

    Raises:
        ValueError: There is no such place.
    """
    if not place:
        raise ValueError("a histogram is of a disk")
    return Question(command=_COMMAND, arguments={"id": place})
