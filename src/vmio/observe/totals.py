"""What a guest has done since it was first looked at, as totals that do not fall.

A thread's counters end with it, and those of helper threads are worth something only together; a
histogram starts anew whenever somebody sets it. Monitoring wants sums that only grow.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

from msgspec import Struct

from vmio.model.iothread import MAIN_LOOP
from vmio.observe.histograms import FINE_BOUNDARIES_NS
from vmio.observe.percentiles import subtract_histograms
from vmio.observe.readings import Reading
from vmio.observe.sample import DiskSample, Histogram, Operations, Role, Sample, ThreadSample
from vmio.values import replace

__all__ = [
    "COARSE_BOUNDARIES_NS",
    "LatencyTotals",
    "Operation",
    "ThreadTotals",
    "Totals",
    "TotalsTracker",
    "merge_histogram",
]

Operation = Literal["read", "write", "flush"]

COARSE_BOUNDARIES_NS: Final = tuple(
    bound for number, bound in enumerate(FINE_BOUNDARIES_NS[:-1]) if number % 10 in {0, 3, 7}
)
"""Three in a factor of ten, about 1, 2 and 5, from 10 µs to 5 s: some of the fine ones, so that
merging is exact."""

_NS: Final = 1e9
_MAX_GROUPS: Final = 1024
"""Of a guest's threads; further ones are summed up as others, since a process names its threads as
it likes."""
_OTHERS: Final = ("other", "")
_HELPERS: Final[frozenset[Role]] = frozenset({"worker", "io_uring"})

_COUNTERS: Final = (
    "user_ns",
    "system_ns",
    "run_delay_ns",
    "voluntary_switches",
    "involuntary_switches",
)

_Group = tuple[Role, str]


class ThreadTotals(Struct, frozen=True, kw_only=True):
    """What threads of one purpose have used, those that ended included.

    None is what the kernel does not say.
    """

    role: Role
    name: str
    """Of the event loop or the vCPU; of helper threads, the event loop that they work for; empty
    for helpers of nobody knows which loop, and for all others together."""
    user_ns: int | None = None
    system_ns: int | None = None
    run_delay_ns: int | None = None
    voluntary_switches: int | None = None
    involuntary_switches: int | None = None
    processor: int | None = None
    """The processor of a thread that is alone in its purpose; None for several."""


class LatencyTotals(Struct, frozen=True, kw_only=True):
    """Requests of a disk by latency, counted while they were looked at."""

    disk: str
    operation: Operation
    histogram: Histogram
    """With `COARSE_BOUNDARIES_NS`."""
    time_ns: int
    """What the requests took together."""


class Totals(Struct, frozen=True, kw_only=True):
    """A guest's totals."""

    threads: tuple[ThreadTotals, ...] = ()
    """Of the purposes that the guest still has threads for, or event loops with helpers."""
    latencies: tuple[LatencyTotals, ...] = ()
    """Of the disks that are counted by latency now."""
    poll_s: tuple[tuple[str, float], ...] = ()
    """About how long each IOThread has polled since it was first looked at, by its id."""


class TotalsTracker:
    """Adds up the readings of one guest.

    Memory is bounded by what the guest has now: totals of what it has no more are dropped.
    """

    def __init__(self) -> None:
        self._threads: dict[tuple[int, int | None], ThreadSample] = {}
        """As they were last seen, by id and start."""
        self._groups: dict[_Group, ThreadTotals] = {}
        self._disks: Mapping[str, DiskSample] = {}
        """As they were last seen."""
        self._latencies: dict[tuple[str, Operation], LatencyTotals] = {}
        self._poll_s: dict[str, float] = {}
        self._window_ended_ns: int | None = None

    def add(self, reading: Reading) -> Totals:
        """Returns the totals with the next reading."""
        sample = reading.observation.sample
        if sample is not None:
            self._add_threads(sample.threads)
            self._add_disks(sample)
        self._add_polling(reading)
        return Totals(
            threads=tuple(self._groups.values()),
            latencies=tuple(self._latencies.values()),
            poll_s=tuple(self._poll_s.items()),
        )

    def _add_threads(self, threads: Sequence[ThreadSample]) -> None:
        seen = {(each.thread_id, each.started_ticks): each for each in threads}
        members: dict[_Group, int] = {}
        for key, each in seen.items():
            group = self._choose_group(each)
            members[group] = members.get(group, 0) + 1
            total = self._groups.get(group) or ThreadTotals(role=group[0], name=group[1])
            alone = members[group] == 1 and each.role not in _HELPERS and group != _OTHERS
            self._groups[group] = _grow(total, self._threads.get(key), each, alone=alone)
        self._threads = seen
        loops = {name for role, name in members if role in {"main loop", "iothread"}}
        for group in self._groups.keys() - members.keys():
            role, name = group
            # Its helpers come and go while a loop lives.
            if role not in _HELPERS or (name and name not in loops):
                del self._groups[group]

    def _choose_group(self, thread: ThreadSample) -> _Group:
        group: _Group = (thread.role, thread.name)
        if thread.role in _HELPERS:
            group = (thread.role, thread.owner or "")
        elif thread.role == "other":
            group = _OTHERS
        is_full = len(self._groups) >= _MAX_GROUPS and group not in self._groups
        return _OTHERS if is_full else group

    def _add_disks(self, sample: Sample) -> None:
        if not sample.disks:  # its monitor did not answer, and may the next time
            return
        found: dict[tuple[str, Operation], LatencyTotals] = {}
        for disk in sample.disks:
            before = self._disks.get(disk.id)
            for operation, done in _list_operations(disk):
                if done.histogram is not None and (disk.id, operation) not in found:
                    last = dict(_list_operations(before))[operation] if before else Operations()
                    found[disk.id, operation] = _add_latencies(
                        self._latencies.get((disk.id, operation))
                        or _make_empty(disk.id, operation),
                        last,
                        done,
                    )
        self._latencies = found
        self._disks = {each.id: each for each in sample.disks}

    def _add_polling(self, reading: Reading) -> None:
        ended_ns, window_s = reading.window_ended_ns, reading.window_s
        if ended_ns is None or window_s is None or ended_ns == self._window_ended_ns:
            return
        self._window_ended_ns = ended_ns
        self._poll_s = {
            each.name: self._poll_s.get(each.name, 0.0)
            + max(0.0, each.poll_share or 0.0) * window_s
            for each in reading.polling
            if each.name != MAIN_LOOP
            and (each.poll_share is not None or each.name in self._poll_s)
        }


def merge_histogram(
    histogram: Histogram, boundaries_ns: Sequence[int] = COARSE_BOUNDARIES_NS
) -> Histogram:
    """Returns a histogram with other boundaries.

    Each request counts in the first bin that it is surely below the end of: one that somebody else
    has kept, with boundaries of his own, shows latencies as too long rather than too short.
    """
    counts = [0] * (len(boundaries_ns) + 1)
    ends = (*histogram.boundaries_ns, None)
    for end, count in zip(ends, histogram.counts, strict=True):
        counts[-1 if end is None else bisect_left(boundaries_ns, end)] += count
    return Histogram(boundaries_ns=tuple(boundaries_ns), counts=tuple(counts))


def _grow(
    total: ThreadTotals, before: ThreadSample | None, after: ThreadSample, *, alone: bool
) -> ThreadTotals:
    """Returns a total with what a thread has used since it was last seen, or began."""
    used = {
        name: _add(getattr(total, name), getattr(before, name, None), getattr(after, name))
        for name in _COUNTERS
    }
    processor = after.processor if alone else None
    return ThreadTotals(role=total.role, name=total.name, processor=processor, **used)


def _add(total: int | None, before: int | None, after: int | None) -> int | None:
    if after is None:
        return total
    return (total or 0) + max(0, after - (before or 0))


def _list_operations(disk: DiskSample) -> Iterable[tuple[Operation, Operations]]:
    return (("read", disk.reads), ("write", disk.writes), ("flush", disk.flushes))


def _make_empty(disk: str, operation: Operation) -> LatencyTotals:
    counts = (0,) * (len(COARSE_BOUNDARIES_NS) + 1)
    histogram = Histogram(boundaries_ns=COARSE_BOUNDARIES_NS, counts=counts)
    return LatencyTotals(disk=disk, operation=operation, histogram=histogram, time_ns=0)


def _add_latencies(total: LatencyTotals, before: Operations, after: Operations) -> LatencyTotals:
    """Returns a total with what was counted since; an interval with a new histogram is lost."""
    counted = subtract_histograms(before.histogram, after.histogram)
    if counted is None:
        return total
    merged = merge_histogram(counted)
    time_ns = max(0, (after.time_ns or 0) - (before.time_ns or 0))
    counts = zip(total.histogram.counts, merged.counts, strict=True)
    return replace(
        total,
        histogram=replace(merged, counts=tuple(old + new for old, new in counts)),
        time_ns=total.time_ns + time_ns,
    )
