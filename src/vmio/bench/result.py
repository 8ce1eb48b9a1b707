"""The result of a comparison of two layouts, with everything its reports need; pure values."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Final, Literal, get_args

from msgspec import Struct

from vmio.bench.jobs import Job, JobFigures
from vmio.bench.statistics import MARGIN, PairedRatio, Verdict, geometric_mean, paired_ratio
from vmio.characters import natural_key
from vmio.model.topology import Topology
from vmio.values import check_between, replace

__all__ = [
    "BUSY_SHARE",
    "Comparison",
    "HostFacts",
    "JobResult",
    "Measurement",
    "NeighbourFigures",
    "Pair",
    "Side",
    "Subject",
    "Summary",
    "ThreadKind",
    "ThreadLoad",
    "Winner",
]

Side = Literal["A", "B"]
Winner = Literal["faster", "slower", "the same", "cannot tell"]
ThreadKind = Literal["main loop", "iothread", "vcpu", "other"]
_KINDS: Final = get_args(ThreadKind)
_WINNERS: Final[Mapping[Verdict, Winner]] = {
    "higher": "faster",
    "lower": "slower",
    "the same": "the same",
    "cannot tell": "cannot tell",
}

BUSY_SHARE: Final = 0.4
"""A pair is marked if QEMU's threads waited for a processor in one of its runs for more than this
share of the time in which they could run. They wait for each other too: a third of it where
nothing else runs and requests are few.

Source: docs/concepts/method.md: the ratios of marked pairs spread several times as far.
"""


class ThreadLoad(Struct, frozen=True, kw_only=True):
    """Processor time of the QEMU threads with one name during a run."""

    name: str
    """`main loop`, an IOThread's id, `vCPU 0` …, or `workers` for all short-lived threads."""
    kind: ThreadKind
    cpu_share: float
    """In host processors: 1.0 is one processor all the time."""
    run_delay_share: float = 0.0
    """How long it waited for a processor, as a share of the time; 0 if the kernel does not say."""

    @property
    def place(self) -> tuple[int, tuple[tuple[str, int], ...]]:
        """Where it stands among others: by its kind, then as people count."""
        return _KINDS.index(self.kind), natural_key(self.name)


class Measurement(Struct, frozen=True, kw_only=True):
    """One run of one job on one side."""

    figures: JobFigures
    threads: tuple[ThreadLoad, ...] = ()
    beside: tuple[JobFigures, ...] = ()
    """Of the loads that ran at the same time."""
    neighbour_per_s: float | None = None
    """How much the neighbour did meanwhile; None without one."""

    @property
    def all_iops(self) -> float:
        """The requests a second of all loads together."""
        return self.figures.iops + math.fsum(each.iops for each in self.beside)

    @property
    def host_cpu_share(self) -> float:
        """All QEMU threads together, in host processors."""
        return math.fsum(load.cpu_share for load in self.threads)

    @property
    def waiting_share(self) -> float:
        """Time in which QEMU's threads waited for a processor, of that in which they could run."""
        waiting = math.fsum(load.run_delay_share for load in self.threads)
        return waiting / (waiting + self.host_cpu_share) if waiting > 0 else 0.0


class Pair(Struct, frozen=True, kw_only=True):
    """Two consecutive runs, one on A and one on B."""

    first: Side
    a: Measurement
    b: Measurement
    host: Measurement | None = None
    """The same job right on the host, on the file of A's disk; None if it was not run."""

    @property
    def busy(self) -> bool:
        """Whether the host was too busy during one of the runs to trust them."""
        return max(self.a.waiting_share, self.b.waiting_share) > BUSY_SHARE


class Summary(Struct, frozen=True, kw_only=True):
    """One side of one job: geometric means over the pairs, and mean loads."""

    iops: float
    bandwidth_bytes_per_s: float
    latency_mean_ns: float
    latency_p50_ns: float
    latency_p99_ns: float
    latency_p999_ns: float
    guest_cpu_share: float
    """fio's CPU time in the guest, in vCPUs."""
    host_cpu_share: float
    """All QEMU threads together, in host processors."""
    threads: tuple[ThreadLoad, ...]

    @property
    def requests_per_host_cpu_s(self) -> float:
        """IOPS for each host processor used."""
        return self.iops / self.host_cpu_share if self.host_cpu_share > 0 else 0.0


class JobResult(Struct, frozen=True, kw_only=True, dict=True):
    """All pairs of one job."""

    job: Job
    pairs: tuple[Pair, ...]
    margin: float = MARGIN
    """The relative difference that does not matter."""
    anytime: bool = False
    """Whether pairs were measured until there was a verdict."""

    def __post_init__(self) -> None:
        check_between("the number of pairs", len(self.pairs), 2)

    @cached_property
    def iops_ratio(self) -> PairedRatio:
        """How many times A's requests B does."""
        return self._compare(lambda run: run.figures.iops)

    @cached_property
    def latency_p99_ratio(self) -> PairedRatio:
        """B's 99th percentile of the latency, compared with A's."""
        return self._compare(lambda run: run.figures.latency_p99_ns)

    @cached_property
    def latency_p999_ratio(self) -> PairedRatio:
        """B's 99.9th percentile of the latency, compared with A's."""
        return self._compare(lambda run: run.figures.latency_p999_ns)

    @cached_property
    def cpu_ratio(self) -> PairedRatio | None:
        """B's host CPU time of a request, compared with A's; None if a run has none."""
        if any(run.host_cpu_share <= 0 for pair in self.pairs for run in (pair.a, pair.b)):
            return None
        return self._compare(lambda run: run.host_cpu_share / run.all_iops)

    @cached_property
    def flush_p99_ratio(self) -> PairedRatio | None:
        """B's 99th percentile of fdatasync, compared with A's; None if a run has none."""
        if any(
            run.figures.flush_p99_ns is None for pair in self.pairs for run in (pair.a, pair.b)
        ):
            return None
        return self._compare(lambda run: run.figures.flush_p99_ns or 0.0)

    @cached_property
    def host_share_a(self) -> PairedRatio | None:
        """A's IOPS as a share of the host's; None if the job was not run on the host."""
        return self._compare_with_host(lambda pair: pair.a)

    @cached_property
    def host_share_b(self) -> PairedRatio | None:
        """B's IOPS as a share of the host's; None if the job was not run on the host."""
        return self._compare_with_host(lambda pair: pair.b)

    @property
    def parts(self) -> tuple[JobResult, ...]:
        """The result of each load that ran at the same time, this one first."""
        return tuple(self._take_part(number) for number in range(len(self.job.all)))

    @property
    def verdict(self) -> Winner:
        """B's result, by its IOPS."""
        return _WINNERS[self.iops_ratio.verdict]

    @property
    def busy_pairs(self) -> int:
        """How many pairs were measured while the host was too busy."""
        return sum(pair.busy for pair in self.pairs)

    def _compare(self, figure: Callable[[Measurement], float]) -> PairedRatio:
        return paired_ratio(
            [(figure(pair.a), figure(pair.b)) for pair in self.pairs],
            margin=self.margin,
            anytime=self.anytime,
        )

    def _compare_with_host(self, side: Callable[[Pair], Measurement]) -> PairedRatio | None:
        both = [
            (pair.host.figures.iops, side(pair).figures.iops)
            for pair in self.pairs
            if pair.host is not None
        ]
        if len(both) < len(self.pairs):
            return None
        return paired_ratio(both, margin=self.margin, anytime=self.anytime)

    def _take_part(self, number: int) -> JobResult:
        """Returns the result of one of the loads that ran at the same time."""
        jobs = self.job.all
        job, *others = (jobs[number], *jobs[:number], *jobs[number + 1 :])
        own = replace(job, beside=tuple(replace(each, beside=()) for each in others))
        pairs = tuple(
            replace(
                pair,
                a=_turn_to(pair.a, number),
                b=_turn_to(pair.b, number),
                host=None if pair.host is None else _turn_to(pair.host, number),
            )
            for pair in self.pairs
        )
        return JobResult(job=own, pairs=pairs, margin=self.margin, anytime=self.anytime)

    @cached_property
    def a(self) -> Summary:
        """Side A over all pairs."""
        return _summarise([pair.a for pair in self.pairs])

    @cached_property
    def b(self) -> Summary:
        """Side B over all pairs."""
        return _summarise([pair.b for pair in self.pairs])


class NeighbourFigures(Struct, frozen=True, kw_only=True):
    """What kept the main loop busy beside the measured loads."""

    name: str
    """Such as `monitor`, or `monitor=10` with a rate."""
    unit: str
    """What its work is counted in, in the plural."""
    alone_a: float
    """The main loop's processor time in A with the neighbour and no load, in host processors."""
    alone_b: float


class Subject(Struct, frozen=True, kw_only=True):
    """One of the two measured layouts."""

    name: str
    """The user's name for it, such as the config's file name."""
    title: str
    """What distinguishes it from the other one, such as its controllers' kind."""
    topology: Topology
    """As the running QEMU reported it."""
    argv: tuple[str, ...]
    """The measured QEMU's command line."""
    config_argv: tuple[str, ...] = ()
    """The config's command line on its own host; empty if there is none."""
    boot_s: float = 0.0


class HostFacts(Struct, frozen=True, kw_only=True):
    """The host's facts that the figures depend on; empty if not available."""

    cpu_model: str = ""
    cpu_count: int = 1
    kernel: str = ""
    distribution: str = ""
    memory_bytes: int = 0
    governor: str = ""
    load_average_1min: float = 0.0
    """Load average before the first guest was started."""


class Comparison(Struct, frozen=True, kw_only=True):
    """Two layouts, measured against each other."""

    a: Subject
    b: Subject
    disk: str
    """The measured disk, by its id in the configs."""
    volume: str = ""
    """The storage under it, in words."""
    device: str = ""
    """Its name in the guest."""
    jobs: tuple[JobResult, ...]
    """Each load's; those of loads that ran at the same time follow each other."""
    where: str = "vmio's own guest"
    """In what the load ran."""
    neighbour: NeighbourFigures | None = None
    host: HostFacts
    accelerator: str
    accelerator_reason: str = ""
    """Why this accelerator was used instead of the preferred one; empty otherwise."""
    qemu_version: str
    guest: str = ""
    """The kernel and programs of the benchmark guest."""
    fio_version: str = ""
    vmio_version: str
    started_at: str
    """UTC, in ISO 8601."""
    duration_s: float


def _turn_to(run: Measurement, number: int) -> Measurement:
    """Returns a run as the run of another one of its loads."""
    figures = (run.figures, *run.beside)
    return replace(
        run, figures=figures[number], beside=(*figures[:number], *figures[number + 1 :])
    )


def _summarise(runs: list[Measurement]) -> Summary:
    figures = [run.figures for run in runs]
    kinds: dict[str, ThreadKind] = {load.name: load.kind for run in runs for load in run.threads}
    shares = {
        name: math.fsum(
            load.cpu_share for run in runs for load in run.threads if load.name == name
        )
        / len(runs)
        for name in kinds
    }
    return Summary(
        iops=geometric_mean(one.iops for one in figures),
        bandwidth_bytes_per_s=geometric_mean(one.bandwidth_bytes_per_s for one in figures),
        latency_mean_ns=geometric_mean(one.latency_mean_ns for one in figures),
        latency_p50_ns=geometric_mean(one.latency_p50_ns for one in figures),
        latency_p99_ns=geometric_mean(one.latency_p99_ns for one in figures),
        latency_p999_ns=geometric_mean(one.latency_p999_ns for one in figures),
        guest_cpu_share=math.fsum(
            one.guest_cpu_user_share + one.guest_cpu_system_share for one in figures
        )
        / len(runs),
        host_cpu_share=math.fsum(shares.values()),
        threads=tuple(
            ThreadLoad(name=name, kind=kinds[name], cpu_share=share)
            for name, share in shares.items()
        ),
    )
