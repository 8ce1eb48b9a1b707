"""What the autopilot's log comes to over time, in so many points that a page can show; pure.

When event loops have too many points, each two become one: the memory is bounded.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from vmio.autopilot.log import LogLine
from vmio.autopilot.values import DecisionKind, Interval, Step

__all__ = ["LoopsLine", "TimeLine", "TimePoint", "build_time_line"]

_MOST_POINTS: Final = 2000
_MOST_LOOPS: Final = 200
_MOST_EVENTS: Final = 400


class TimePoint(Struct, frozen=True, kw_only=True):
    """What event loops did in some time up to a look."""

    time_s: float
    """Of the look, since the log began."""
    poll_max_ns: int | None
    """In force; None if the guest could not be read."""
    duration_s: float = 0.0
    requests: int = 0
    cpu_share: float = 0.0
    latency_mean_ns: float = 0.0
    decision: DecisionKind | None = None
    """The last one that changed the setting, or ended a search."""
    wanted_ns: int = 0
    """The setting that it wants."""


class LoopsLine(Struct, frozen=True, kw_only=True):
    """Event loops that share disks, over time."""

    address: str
    guest: str
    iothreads: tuple[str, ...]
    own_ns: int
    is_dry: bool
    """Whether nothing was set."""
    points: tuple[TimePoint, ...]
    look_count: int
    kinds: dict[DecisionKind, int]
    """How often each was decided."""
    time_at_s: dict[int, float]
    """How long each setting was in force, without time in which nothing is known."""


class TimeLine(Struct, frozen=True, kw_only=True):
    """A log over time."""

    wall_ns: int
    duration_s: float
    loops: tuple[LoopsLine, ...]
    events: tuple[tuple[float, str], ...]
    """The last ones, with their times."""
    event_count: int
    left_out: bool
    """Whether there were more event loops than are kept."""


_QUIET: Final = frozenset[DecisionKind]({"keep", "idle", "cheap", "waiting"})


class _Line:
    """Gathers what is known of event loops."""

    def __init__(self, line: LogLine, step: Step) -> None:
        self.first = line
        self.address = step.address
        self.own_ns = step.own_ns
        self.is_dry = step.is_dry
        self.points: list[TimePoint] = []
        self.look_count = 0
        self.kinds: Counter[DecisionKind] = Counter()
        self.time_at_s: defaultdict[int, float] = defaultdict(float)
        self._span = 1
        """Looks in a point."""
        self._open: list[TimePoint] = []

    def add(self, time_s: float, step: Step) -> None:
        """Adds a look."""
        self.look_count += 1
        self.kinds[step.decision.kind] += 1
        interval = step.interval
        if interval is not None:
            self.time_at_s[interval.poll_max_ns] += interval.duration_s
        self._open.append(_make_point(time_s, interval, step))
        if len(self._open) >= self._span:
            self.points.append(_join(self._open))
            self._open = []
        if len(self.points) >= _MOST_POINTS:
            self.points = [_join(self.points[at : at + 2]) for at in range(0, _MOST_POINTS, 2)]
            self._span *= 2

    def finish(self) -> LoopsLine:
        """Returns what was gathered."""
        return LoopsLine(
            address=self.address,
            guest=self.first.guest,
            iothreads=self.first.iothreads,
            own_ns=self.own_ns,
            is_dry=self.is_dry,
            points=(*self.points, *([_join(self._open)] if self._open else [])),
            look_count=self.look_count,
            kinds=dict(self.kinds),
            time_at_s=dict(self.time_at_s),
        )


def build_time_line(wall_ns: int, lines: Iterable[LogLine]) -> TimeLine:
    """Returns what a log comes to.

    Args:
        wall_ns: When it began.
        lines: Its lines, in their order.
    """
    found: dict[tuple[str, str, tuple[str, ...]], _Line] = {}
    events: deque[tuple[float, str]] = deque(maxlen=_MOST_EVENTS)
    event_count = 0
    duration_s = 0.0
    left_out = False
    for line in lines:
        duration_s = line.time_s
        if line.text:
            events.append((line.time_s, line.text))
            event_count += 1
        step = line.step
        if step is None:
            continue
        key = (step.address, line.guest, line.iothreads)
        if key not in found:
            if len(found) >= _MOST_LOOPS:
                left_out = True
                continue
            found[key] = _Line(line, step)
        found[key].add(line.time_s, step)
    return TimeLine(
        wall_ns=wall_ns,
        duration_s=duration_s,
        loops=tuple(each.finish() for each in found.values()),
        events=tuple(events),
        event_count=event_count,
        left_out=left_out,
    )


def _make_point(time_s: float, interval: Interval | None, step: Step) -> TimePoint:
    kind = step.decision.kind
    return TimePoint(
        time_s=time_s,
        poll_max_ns=interval.poll_max_ns if interval is not None else None,
        duration_s=interval.duration_s if interval is not None else 0.0,
        requests=interval.requests if interval is not None else 0,
        cpu_share=interval.cpu_share if interval is not None else 0.0,
        latency_mean_ns=interval.latency_mean_ns if interval is not None else 0.0,
        decision=None if kind in _QUIET else kind,
        wanted_ns=step.decision.poll_max_ns,
    )


def _join(points: list[TimePoint]) -> TimePoint:
    """Returns points that follow each other as one."""
    last = points[-1]
    if len(points) == 1:
        return last
    requests = sum(each.requests for each in points)
    duration_s = sum(each.duration_s for each in points)
    waited_ns = sum(each.latency_mean_ns * each.requests for each in points)
    used_s = sum(each.cpu_share * each.duration_s for each in points)
    decided = next((each for each in reversed(points) if each.decision is not None), last)
    return TimePoint(
        time_s=last.time_s,
        poll_max_ns=last.poll_max_ns,
        duration_s=duration_s,
        requests=requests,
        cpu_share=used_s / duration_s if duration_s else 0.0,
        latency_mean_ns=waited_ns / requests if requests else 0.0,
        decision=decided.decision,
        wanted_ns=decided.wanted_ns,
    )
