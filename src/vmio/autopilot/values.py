"""What the autopilot is told, what it has seen, and what it decides; pure values."""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

from vmio.values import check_between

__all__ = [
    "MOST_POLL_NS",
    "PRESETS_NS",
    "Decision",
    "DecisionKind",
    "Interval",
    "Lesson",
    "Load",
    "PollingGoal",
    "Search",
    "State",
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
    "other load",
    "waiting",
    "left",
]
"""cheap: the loop takes too little to matter; measure: an unknown load is first seen at the
guest's own setting; try: a neighbour of it; compare: back at the guest's own, after a trial;
again: the trial did not tell; settle: the search is over; keep: nothing changed since; known load:
its result is used again; slower: the result does not hold any more; other load: the load changed
during a trial; waiting: a change was not made yet; left: somebody else has set it."""


class Decision(Struct, frozen=True, kw_only=True):
    """The setting that is wanted from now on, and why."""

    kind: DecisionKind
    poll_max_ns: int
    cpu_ratio: float | None = None
    """Processor time of a request at the setting that was tried, to that at the guest's own."""
    latency_ratio: float | None = None
    """Likewise, mean latency."""


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


class Search(Struct, frozen=True, kw_only=True):
    """A search among the presets next to a guest's own setting."""

    candidate_ns: int
    own: tuple[Interval, ...]
    """At the guest's own setting, before each trial of the candidate and after it."""
    tried: tuple[Interval, ...] = ()
    """At the candidate."""
    best_ns: int
    best_cpu_ratio: float = 1.0


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
    is_left: bool = False
    """Whether somebody else has set it, who has the say since."""
