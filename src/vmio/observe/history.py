"""What guests did over time, in so many steps that a page can show them; pure functions.

Readings are added one after the other and only their sums are kept, in steps of equal length. When
there are too many steps, each two become one: the memory is bounded however long it goes on.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from msgspec import Struct

from vmio.host.running import ProcessKey
from vmio.managers.discovery import RunningGuest
from vmio.model.topology import Topology
from vmio.observe.percentiles import LatencyRange, find_quantile
from vmio.observe.polling import PollingEstimate
from vmio.observe.rates import DiskRates, OperationRates, ThreadRates
from vmio.observe.readings import Look, Reading
from vmio.observe.sample import Histogram, Role
from vmio.observe.verdicts.values import Verdict

__all__ = [
    "DiskHistory",
    "GuestHistory",
    "History",
    "HistoryBuilder",
    "Line",
    "LoopPolling",
    "QuantileLine",
    "ThreadHistory",
    "VerdictHistory",
]

_MOST_STEPS: Final = 512
_LEAST_STEPS: Final = 32
_LEAST_STEP_S: Final = 0.1
_LATE: Final = 0.1
"""Of a step: a last look that is so late needs no further one."""
_MOST_LINES: Final = 20_000
"""Kept at once: 200 guests with 30 disks each, and less than 200 MB."""

_HELPERS: Final[frozenset[Role]] = frozenset({"worker", "io_uring", "other"})


class Line(Struct, frozen=True, kw_only=True):
    """A figure over time."""

    values: tuple[float | None, ...]
    """Its mean in each step; None where it is not known. Empty for a guest that is not shown."""
    mean: float | None
    """Over all of the time for which it is known."""
    peak: float | None
    """The largest of those between two looks."""


class QuantileLine(Struct, frozen=True, kw_only=True):
    """A quantile of latencies over time."""

    values: tuple[LatencyRange | None, ...]
    """Of the requests of each step; None where they were too few."""
    overall: LatencyRange | None
    """Of all requests."""


class ThreadHistory(Struct, frozen=True, kw_only=True):
    """A thread, or the helper threads of an event loop together."""

    name: str
    role: Role
    owner: str | None = None
    """The event loop for which helper threads work, where that is known."""
    cpu_share: Line
    """In processors."""
    run_delay_share: Line
    """Of the time; for helper threads that of the one that waited most."""


class LoopPolling(Struct, frozen=True, kw_only=True):
    """What an event loop spends on polling, in processors."""

    name: str
    estimated_share: Line
    traced_share: Line
    """By the kernel's trace, where it was asked for."""


class DiskHistory(Struct, frozen=True, kw_only=True):
    """A disk."""

    id: str
    reads_per_s: Line
    writes_per_s: Line
    read_bytes_per_s: Line
    write_bytes_per_s: Line
    latency_mean_ns: Line
    """Of reads and writes."""
    latency_p50: QuantileLine
    """Of reads and writes, where QEMU counts them by latency."""
    latency_p99: QuantileLine
    depth_mean: Line
    """Reads and writes under way at once."""


class VerdictHistory(Struct, frozen=True, kw_only=True):
    """A verdict, and when it was in force."""

    verdict: Verdict
    """With the evidence of the last time."""
    seconds: float
    """In all."""
    shares: tuple[float, ...]
    """Of each step, that it was in force."""


class GuestHistory(Struct, frozen=True, kw_only=True):
    """A guest."""

    guest: RunningGuest
    """As it was last seen."""
    layout: Topology | None
    first_s: float
    """When it was first seen, since the beginning."""
    last_s: float
    judged_s: float
    """For how long there were verdicts, or the knowledge that there was none."""
    threads: tuple[ThreadHistory, ...]
    """Main loop, IOThreads, vCPUs, helper threads."""
    polling: tuple[LoopPolling, ...]
    disks: tuple[DiskHistory, ...]
    verdicts: tuple[VerdictHistory, ...]
    """Warnings first, and of each kind the longest first."""
    notes: tuple[str, ...]
    """What could not be read or asked for, a line each."""


class History(Struct, frozen=True, kw_only=True):
    """Guests over time."""

    wall_ns: int
    """When it began, since 1970 in UTC."""
    duration_s: float
    look_count: int
    step_s: float
    step_count: int
    guests: tuple[GuestHistory, ...]
    """The worst first: those with a warning for the longest time, then the busiest."""
    shown_count: int
    """How many of them, from the first on, have lines with values."""
    host_processors: int | None = None
    unseen: tuple[str, ...] = ()
    """What could not be seen, a line each."""
    left_out: bool = False
    """Whether threads or disks are missing, because there were too many."""


class HistoryBuilder:
    """Adds up readings.

    Args:
        step_s: The length of a step to begin with: the interval between two looks.
    """

    def __init__(self, *, step_s: float) -> None:
        self._scale = _Scale(step_s=max(step_s, _LEAST_STEP_S))
        self._guests: dict[ProcessKey, _Guest] = {}
        self._first: Look | None = None
        self._last: Look | None = None
        self._look_count = 0
        self._unseen: dict[str, None] = {}

    def add(self, look: Look, readings: Iterable[Reading]) -> None:
        """Adds a look and what `HostTracker` made of it; looks are in the order of time."""
        if self._first is None:
            self._first = look
        self._last = look
        self._look_count += 1
        self._unseen |= dict.fromkeys(look.unseen)
        at_s = (look.monotonic_ns - self._first.monotonic_ns) / 1e9
        for each in readings:
            key = each.guest.key
            if key not in self._guests:
                if not self._scale.has_room(1):
                    continue
                self._guests[key] = _Guest(self._scale, at_s)
            self._guests[key].add(each, at_s)

    def finish(self, *, most_guests: int, most_values: int) -> History:
        """Returns what was added.

        Args:
            most_guests: How many of them have lines with values.
            most_values: Of all lines together; there are more if that leaves too few steps.
        """
        guests = sorted(self._guests.values(), key=_Guest.rank, reverse=True)
        shown, rest = guests[:most_guests], guests[most_guests:]
        duration_s = 0.0
        if self._first is not None and self._last is not None:
            duration_s = (self._last.monotonic_ns - self._first.monotonic_ns) / 1e9
        count = self._scale.count_steps(duration_s)
        lines = sum(each.count_lines() for each in shown)
        while count > _LEAST_STEPS and lines * count > most_values:
            self._scale.widen()
            count = self._scale.count_steps(duration_s)
        return History(
            wall_ns=self._first.wall_ns if self._first is not None else 0,
            duration_s=duration_s,
            look_count=self._look_count,
            step_s=self._scale.step_s,
            step_count=count,
            guests=(
                *(each.finish(count) for each in shown),
                *(each.finish(0) for each in rest),
            ),
            shown_count=len(shown),
            host_processors=self._last.host_processors if self._last is not None else None,
            unseen=tuple(self._unseen),
            left_out=self._scale.is_full,
        )


class _Scale:
    """The steps that all lines share."""

    def __init__(self, *, step_s: float) -> None:
        self.step_s = step_s
        self._halves: list[Callable[[], None]] = []
        self.is_full = False

    def has_room(self, lines: int) -> bool:
        """Returns whether so many lines can be added; if not, it is noted."""
        has_room = len(self._halves) + lines <= _MOST_LINES
        self.is_full = self.is_full or not has_room
        return has_room

    def join(self, halve: Callable[[], None]) -> None:
        """Adds a line, which halves its steps when it is told to."""
        self._halves.append(halve)

    def find_step(self, at_s: float) -> int:
        """Returns the step of a time, after as many joins as that takes."""
        while at_s >= _MOST_STEPS * self.step_s:
            self.widen()
        return int(at_s / self.step_s)

    def widen(self) -> None:
        """Makes one step of each two."""
        self.step_s *= 2
        for halve in self._halves:
            halve()

    def count_steps(self, duration_s: float) -> int:
        """Returns how many steps a duration has, at least one."""
        self.find_step(duration_s)  # widens, if need be
        return max(1, math.ceil(duration_s / self.step_s - _LATE))


class _Span:
    """The time between two looks, in seconds since the beginning."""

    def __init__(self, end_s: float, duration_s: float) -> None:
        self.end_s = end_s
        self.begin_s = max(0.0, end_s - duration_s)

    @property
    def middle_s(self) -> float:
        """Its middle, in whose step is what cannot be divided."""
        return (self.begin_s + self.end_s) / 2

    def find_share(self, step: int, step_s: float) -> float:
        """Returns which share of the span a step has."""
        if self.end_s <= self.begin_s:
            return 1.0
        part_s = min(self.end_s, (step + 1) * step_s) - max(self.begin_s, step * step_s)
        return max(0.0, part_s) / (self.end_s - self.begin_s)


class _Line:
    """The sums of a figure in each step."""

    def __init__(self, scale: _Scale) -> None:
        self._scale = scale
        self._sums = array("d")
        self._weights = array("d")
        self.total = 0.0
        """Of the weights."""
        self._sum = 0.0
        self._peak: float | None = None
        scale.join(self._halve)

    def add(self, span: _Span, value: float | None, weight: float) -> None:
        """Adds a figure of a span of time, with its weight for the mean of all steps."""
        if value is None or weight <= 0:
            return
        last = self._scale.find_step(span.end_s)
        first = self._scale.find_step(span.begin_s)
        missing = last + 1 - len(self._sums)
        if missing > 0:
            self._sums.extend([0.0] * missing)
            self._weights.extend([0.0] * missing)
        for step in range(first, last + 1):
            part = weight * span.find_share(step, self._scale.step_s)
            self._sums[step] += value * part
            self._weights[step] += part
        self._sum += value * weight
        self.total += weight
        self._peak = value if self._peak is None else max(self._peak, value)

    @property
    def mean(self) -> float | None:
        """Over all of the weights; None without any."""
        return self._sum / self.total if self.total else None

    def finish(self, count: int) -> Line:
        """Returns the line in so many steps."""
        pairs = zip(self._sums, self._weights, strict=True)
        values = [total / weight if weight else None for total, weight in pairs][:count]
        values += [None] * (count - len(values))
        return Line(values=tuple(values), mean=self.mean, peak=self._peak)

    def share(self, count: int, step_s: float) -> tuple[float, ...]:
        """Returns which share of each step the values take, where they are of time."""
        shares = [min(1.0, total / step_s) for total in self._sums][:count]
        return (*shares, *[0.0] * (count - len(shares)))

    def _halve(self) -> None:
        self._sums = _add_pairs(self._sums)
        self._weights = _add_pairs(self._weights)


class _Counts:
    """The requests of each step by latency."""

    def __init__(self, scale: _Scale) -> None:
        self._scale = scale
        self._boundaries: tuple[int, ...] = ()
        self._steps: list[Counter[int]] = []
        scale.join(self._halve)

    def add(self, at_s: float, histogram: Histogram | None) -> None:
        """Adds requests; those that are counted in other bins than the first ones are left out."""
        if histogram is None:
            return
        self._boundaries = self._boundaries or histogram.boundaries_ns
        if histogram.boundaries_ns != self._boundaries:
            return
        step = self._scale.find_step(at_s)
        self._steps.extend(Counter[int]() for _ in range(step + 1 - len(self._steps)))
        found = self._steps[step]
        for number, count in enumerate(histogram.counts):
            if count:
                found[number] += count

    def finish(self, share: float, count: int) -> QuantileLine:
        """Returns a quantile in so many steps."""
        values = [self._find(each, share) for each in self._steps[:count]]
        overall: Counter[int] = Counter()
        for each in self._steps:
            overall.update(each)
        return QuantileLine(
            values=(*values, *[None] * (count - len(values))), overall=self._find(overall, share)
        )

    def _find(self, counts: Counter[int], share: float) -> LatencyRange | None:
        if not counts:
            return None
        dense = tuple(counts[number] for number in range(len(self._boundaries) + 1))
        histogram = Histogram(boundaries_ns=self._boundaries, counts=dense)
        return find_quantile(histogram, share)

    def _halve(self) -> None:
        pairs = [self._steps[at : at + 2] for at in range(0, len(self._steps), 2)]
        self._steps = [sum(each, Counter[int]()) for each in pairs]


class _Thread:
    def __init__(self, scale: _Scale, rates: ThreadRates) -> None:
        self.role = rates.role
        self.name = rates.name
        self.owner = rates.owner
        self.cpu = _Line(scale)
        self.delay = _Line(scale)

    def finish(self, count: int) -> ThreadHistory:
        return ThreadHistory(
            name=self.name,
            role=self.role,
            owner=self.owner if self.role in _HELPERS else None,
            cpu_share=self.cpu.finish(count),
            run_delay_share=self.delay.finish(count),
        )


class _Disk:
    def __init__(self, scale: _Scale, disk: str) -> None:
        self.id = disk
        self.lines = {name: _Line(scale) for name in _DISK_LINES}
        self.counts = _Counts(scale)

    def add(self, span: _Span, rates: DiskRates, duration_s: float) -> None:
        reads, writes = rates.reads, rates.writes
        figures = {
            "reads_per_s": reads.operations_per_s,
            "writes_per_s": writes.operations_per_s,
            "read_bytes_per_s": reads.bytes_per_s,
            "write_bytes_per_s": writes.bytes_per_s,
            "depth_mean": _add(reads.depth_mean, writes.depth_mean),
        }
        for name, value in figures.items():
            self.lines[name].add(span, value, duration_s)
        latency_ns, count = _mean_latency(reads, writes)
        self.lines["latency_mean_ns"].add(span, latency_ns, count)
        self.counts.add(span.middle_s, _add_histograms(reads.histogram, writes.histogram))

    def finish(self, count: int) -> DiskHistory:
        return DiskHistory(
            id=self.id,
            **{name: line.finish(count) for name, line in self.lines.items()},
            latency_p50=self.counts.finish(0.5, count),
            latency_p99=self.counts.finish(0.99, count),
        )


_DISK_LINES: Final = (
    "reads_per_s",
    "writes_per_s",
    "read_bytes_per_s",
    "write_bytes_per_s",
    "latency_mean_ns",
    "depth_mean",
)


class _Polling:
    def __init__(self, scale: _Scale, name: str) -> None:
        self.name = name
        self.estimated = _Line(scale)
        self.traced = _Line(scale)

    def finish(self, count: int) -> LoopPolling:
        return LoopPolling(
            name=self.name,
            estimated_share=self.estimated.finish(count),
            traced_share=self.traced.finish(count),
        )


class _Guest:
    """One guest's lines."""

    def __init__(self, scale: _Scale, at_s: float) -> None:
        self._scale = scale
        self._first_s = self._last_s = at_s
        self._reading: Reading | None = None
        self._layout: Topology | None = None
        self._judged_s = 0.0
        self._threads: dict[tuple[Role, str], _Thread] = {}
        self._polling: dict[str, _Polling] = {}
        self._disks: dict[str, _Disk] = {}
        self._verdicts: dict[tuple[str, str], tuple[Verdict, _Line]] = {}
        self._notes: dict[str, None] = {}

    def add(self, reading: Reading, at_s: float) -> None:
        """Adds a reading at a time."""
        self._layout = reading.layout or self._layout
        self._reading = reading
        self._last_s = at_s
        observation = reading.observation
        notes = (observation.problem, *observation.notes)
        if observation.sample is not None:
            notes += (observation.sample.monitor_note,)
        if len(self._notes) < _LEAST_STEPS:
            self._notes |= dict.fromkeys(filter(None, notes))
        rates = reading.rates
        if rates is None:
            return
        span = _Span(at_s, rates.duration_s)
        self._add_threads(rates.threads, span, rates.duration_s)
        self._add_polling(reading, span, rates.duration_s)
        for disk in rates.disks:
            found = self._disks.get(disk.id)
            if found is None and self._scale.has_room(len(_DISK_LINES) + 1):
                found = self._disks[disk.id] = _Disk(self._scale, disk.id)
            if found is not None:
                # A monitor that did not answer for a while tells of all of that time.
                disks_s = rates.disks_duration_s or rates.duration_s
                found.add(_Span(at_s, disks_s), disk, disks_s)
        if reading.is_judged:
            self._judged_s += rates.duration_s
            self._add_verdicts(reading.verdicts, span, rates.duration_s)

    def _add_threads(self, threads: Sequence[ThreadRates], span: _Span, duration_s: float) -> None:
        together: dict[tuple[Role, str], list[ThreadRates]] = {}
        for each in threads:
            name = each.owner or "" if each.role in _HELPERS else each.name
            together.setdefault((each.role, name), []).append(each)
        for key, group in together.items():
            found = self._threads.get(key)
            if found is None:
                if not self._scale.has_room(2):
                    continue
                found = self._threads[key] = _Thread(self._scale, group[0])
            delays = [each.run_delay_share for each in group if each.run_delay_share is not None]
            found.cpu.add(span, sum(each.cpu_share for each in group), duration_s)
            found.delay.add(span, max(delays, default=None), duration_s)

    def _add_polling(self, reading: Reading, span: _Span, duration_s: float) -> None:
        shares: dict[str, tuple[PollingEstimate | None, float | None]] = {
            each.name: (each, None) for each in reading.polling
        }
        for traced in reading.observation.traced:
            if traced.duration_s > 0:
                estimate, _ = shares.get(traced.name, (None, None))
                shares[traced.name] = estimate, min(1.0, traced.poll_s / traced.duration_s)
        for name, (estimate, share) in shares.items():
            found = self._polling.get(name)
            if found is None:
                if not self._scale.has_room(2):
                    continue
                found = self._polling[name] = _Polling(self._scale, name)
            estimated = estimate.poll_share if estimate is not None else None
            found.estimated.add(span, estimated, duration_s)
            found.traced.add(span, share, duration_s)

    def _add_verdicts(self, verdicts: Iterable[Verdict], span: _Span, duration_s: float) -> None:
        for each in verdicts:
            key = (each.kind, each.subject)
            known = self._verdicts.get(key)
            if known is None and not self._scale.has_room(1):
                continue
            line = known[1] if known is not None else _Line(self._scale)
            self._verdicts[key] = each, line
            line.add(span, 1.0, duration_s)

    def rank(self) -> tuple[float, float, float]:
        """Returns what makes it worse than others."""
        warned_s = [
            line.total
            for verdict, line in self._verdicts.values()
            if verdict.severity == "warning"
        ]
        told_s = [
            line.total
            for verdict, line in self._verdicts.values()
            if verdict.kind != "cannot-tell"
        ]
        busy = [each.cpu.mean or 0.0 for each in self._threads.values()]
        # Guests that are idle stay in their order.
        return (
            max(warned_s, default=0.0),
            max(told_s, default=0.0),
            round(max(busy, default=0.0), 2),
        )

    def count_lines(self) -> int:
        """Returns how many lines a page of it has."""
        return (
            2 * len(self._threads)
            + 2 * len(self._polling)
            + (len(_DISK_LINES) + 3) * len(self._disks)
            + len(self._verdicts)
        )

    def finish(self, count: int) -> GuestHistory:
        """Returns what was added, its lines in so many steps."""
        assert self._reading is not None  # noqa: S101 - it was made for one
        return GuestHistory(
            guest=self._reading.guest,
            layout=self._layout,
            first_s=self._first_s,
            last_s=self._last_s,
            judged_s=self._judged_s,
            threads=tuple(
                each.finish(count)
                for each in sorted(self._threads.values(), key=lambda each: _ORDER[each.role])
            ),
            polling=tuple(each.finish(count) for each in self._polling.values()),
            disks=tuple(each.finish(count) for each in self._disks.values()),
            verdicts=tuple(self._finish_verdicts(count)),
            notes=tuple(self._notes),
        )

    def _finish_verdicts(self, count: int) -> Iterator[VerdictHistory]:
        found = sorted(
            self._verdicts.values(),
            key=lambda each: (
                each[0].severity != "warning",
                each[0].kind == "cannot-tell",
                -each[1].total,
            ),
        )
        for verdict, line in found:
            yield VerdictHistory(
                verdict=verdict,
                seconds=line.total,
                shares=line.share(count, self._scale.step_s),
            )


_ORDER: Final[dict[Role, int]] = {
    "main loop": 0,
    "iothread": 1,
    "vcpu": 2,
    "worker": 3,
    "io_uring": 4,
    "other": 5,
}


def _add_pairs(values: array[float]) -> array[float]:
    if len(values) % 2:
        values.append(0.0)
    return array("d", [a + b for a, b in zip(values[::2], values[1::2], strict=True)])


def _add(first: float | None, second: float | None) -> float | None:
    if first is None or second is None:
        return first if second is None else second
    return first + second


def _mean_latency(reads: OperationRates, writes: OperationRates) -> tuple[float | None, int]:
    """Returns the mean latency of reads and writes, and how many there were."""
    known = [
        (each.latency_mean_ns, each.count)
        for each in (reads, writes)
        if each.latency_mean_ns is not None and each.count
    ]
    count = sum(each[1] for each in known)
    return (sum(a * b for a, b in known) / count if count else None), count


def _add_histograms(first: Histogram | None, second: Histogram | None) -> Histogram | None:
    if first is None or second is None or first.boundaries_ns != second.boundaries_ns:
        return first if first is not None else second
    return Histogram(
        boundaries_ns=first.boundaries_ns,
        counts=tuple(a + b for a, b in zip(first.counts, second.counts, strict=True)),
    )
