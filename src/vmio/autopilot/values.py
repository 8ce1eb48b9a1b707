"""What the autopilot is told, what it has seen, and what it decides; pure values."""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

from vmio.values import check_between

__all__ = [
    "MOST_POLL_NS",
    "PRESETS_NS",
    "Comparison",
    "Decision",
    "DecisionKind",
    "Interval",
    "Lesson",
    "Load",
    "PollingGoal",
    "Ratio",
    "Search",
    "State",
    "Step",
    "Trouble",
]

MOST_POLL_NS: Final = 2**63 - 1
"""QEMU's own limit."""
PRESETS_NS: Final = (0, 8_192, 32_768, 131_072, 524_288)
"""Values of `poll-max-ns` that are tried besides a guest's own: off, QEMU's default, and others a
factor of four apart, since the effect is a step near the typical wait. Source: QEMU 10.0.2, run,
at 0 to 1,000,000; steps on a short list are those of Linux's Net DIM."""

_SAME_LOAD: Final = 3.0
"""Factor. Requests per second and depth of a load that did not change differ by less, whatever
the polling; those of idle, a trickle, depth 1 and depth 32 differ by five and more."""


class PollingGoal(Struct, frozen=True, kw_only=True):
    """What is wanted of a guest's polling, and what it must not cost."""

    floor_ns: int = 0
    """No smaller `poll-max-ns` is set."""
    ceiling_ns: int = 1_000_000
    """No larger one is set; a guest's own value may be."""
    tolerance: float = 0.10
    """By which the mean latency may exceed that at the guest's own setting; and by which the
    processor time of a request may rise where its latency falls by as much."""
    most_run_delay: float = 0.05
    """Share of time that an IOThread or a vCPU waits for a processor, above which an interval
    shows nothing. Source: QEMU 10.0.2, run: above it a guest's requests per second differed by up
    to a factor of 5."""

    def __post_init__(self) -> None:
        check_between("floor_ns", self.floor_ns, 0, MOST_POLL_NS)
        check_between("ceiling_ns", self.ceiling_ns, self.floor_ns, MOST_POLL_NS)
        check_between("tolerance", self.tolerance, 0.01, 1)
        check_between("most_run_delay", self.most_run_delay, 0, 1)


class Load(Struct, frozen=True, kw_only=True):
    """What a guest asks of the disks of an event loop."""

    requests_per_s: float
    depth: float
    """Requests under way at once, on average, by Little's law."""

    def is_like(self, other: Load) -> bool:
        """Returns whether this is the same load, as far as polling itself changes it."""
        return all(
            mine <= _SAME_LOAD * its and its <= _SAME_LOAD * mine
            for mine, its in (
                (self.requests_per_s, other.requests_per_s),
                (self.depth, other.depth),
            )
        )


class Interval(Struct, frozen=True, kw_only=True):
    """What event loops that share their disks did from one look at a guest to the next."""

    duration_s: float
    poll_max_ns: int
    """As QEMU reports it at the end."""
    requests: int
    """Completed."""
    load: Load
    cpu_share: float
    """Of the loops together; 1.0 is one processor all the time."""
    cpu_per_request_ns: float
    latency_mean_ns: float
    """Of reads and writes, from when QEMU took them until it completed them."""
    run_delay_share: float
    """The largest of the loops' and the vCPUs'."""
    is_limited: bool = False
    """Whether a limit of a disk made requests wait."""


Trouble = Literal["idle", "contended", "limited", "unread"]
"""Why an interval shows nothing about polling."""

DecisionKind = Literal[
    "idle",
    "contended",
    "limited",
    "unread",
    "cheap",
    "measure",
    "try",
    "compare",
    "again",
    "settle",
    "keep",
    "known load",
    "slower",
    "holds",
    "other load",
    "waiting",
    "left",
]
"""cheap: the loop takes too little to matter; measure: an unknown load is first seen at the
guest's own setting; try: a neighbour of it; compare: back at the guest's own, after a trial;
again: the trial did not tell; settle: the search is over; keep: nothing changed since; known load:
its result is used again; slower: requests are slower than they were, and the guest's own setting
shows whether they are there, too; holds: they are, or were by chance; other load: the load changed
during a trial; waiting: a change was not made yet; left: somebody else has set it."""


class Decision(Struct, frozen=True, kw_only=True):
    """The setting that is wanted from now on, and why."""

    kind: DecisionKind
    poll_max_ns: int
    cpu_ratio: float | None = None
    """Processor time of a request at the setting that was tried, to that at the guest's own."""
    latency_ratio: float | None = None
    """Likewise, mean latency."""


class Step(Struct, frozen=True, kw_only=True):
    """A look at event loops that share their disks: what was seen of them, and decided."""

    address: str
    """Of their guest, `pid:NUMBER`."""
    own_ns: int
    """The guest's own setting."""
    interval: Interval | None
    """None if it could not be read."""
    decision: Decision
    is_dry: bool = False
    """Whether it is not made."""


class Ratio(Struct, frozen=True, kw_only=True):
    """A figure of a trial, between two intervals at the guest's own setting."""

    tried: float
    """To the geometric mean of those two."""
    own: float
    """Of the one after the trial to the one before it: how much intervals differ by chance."""


class Comparison(Struct, frozen=True, kw_only=True):
    """What a trial of a setting came to."""

    poll_max_ns: int
    cpu: Ratio
    """Processor time of a request."""
    latency: Ratio
    """Mean latency."""


class Lesson(Struct, frozen=True, kw_only=True):
    """What a search found for a load."""

    load: Load
    poll_max_ns: int
    """The setting that is best."""
    latency_ns: float
    """At the guest's own setting: what a trial made of itself is never the reference, or small
    losses would add up."""
    parked_s: float
    """For how long of this load it holds, which doubles with each search that finds the same."""
    left_s: float
    """How much of that is left."""
    known: tuple[Comparison, ...] = ()
    """The latest trials of each setting, the latest last."""
    slowest_ns: float = 0.0
    """The slowest interval that was doubted in vain: what chance comes to. It fades."""
    slow_count: int = 0
    """Slow intervals in a row up to now."""


class Search(Struct, frozen=True, kw_only=True):
    """A search among the presets around a guest's own setting."""

    candidate_ns: int
    tries: int = 0
    """Trials of the candidate in this search."""
    own: Interval | None = None
    """The latest one at the guest's own setting."""
    tried: Interval | None = None
    """The one after it, at the candidate."""
    own_latencies_ns: tuple[float, ...] = ()
    """The mean latencies of all intervals at the guest's own setting."""
    known: tuple[Comparison, ...] = ()
    """Trials of this load, also in earlier searches, the latest last."""
    failing_ns: int = -1
    """The largest setting below the guest's own at which the latency did not hold."""
    holding_ns: int
    """The smallest one at which it did."""
    best_ns: int
    best_cpu_ratio: float = 1.0
    lesson: Lesson | None = None
    """The earlier result that is tried, if one is."""
    doubted_ns: float = 0.0
    """The latency that made it doubtful; 0 if only its time is over."""


class State(Struct, frozen=True, kw_only=True):
    """What the intervals so far leave for the next."""

    own_ns: int
    """The guest's own setting, which everything is compared with."""
    wanted_ns: int
    """The one that was decided last."""
    last_ns: int
    """The one before."""
    search: Search | None = None
    lessons: tuple[Lesson, ...] = ()
    """The latest last."""
    last_load: Load | None = None
    """Of the last interval, if it showed something."""
    is_left: bool = False
    """Whether somebody else has set it, who has the say since."""
