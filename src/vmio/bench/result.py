"""The result of a comparison of two layouts, with everything its reports need; pure values."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Final, Literal, get_args

from msgspec import Struct

from vmio.bench.jobs import Job, JobFigures
from vmio.bench.statistics import PairedRatio, geometric_mean, paired_ratio
from vmio.characters import natural_key
from vmio.model.topology import Topology
from vmio.values import check_between

__all__ = [
    "METHOD",
    "Comparison",
    "HostFacts",
    "JobResult",
    "Measurement",
    "Pair",
    "Side",
    "Subject",
    "Summary",
    "ThreadKind",
    "ThreadLoad",
]

Side = Literal["A", "B"]
ThreadKind = Literal["main loop", "iothread", "vcpu", "other"]
_KINDS: Final = get_args(ThreadKind)

METHOD: Final = (
    "Both guests are booted before anything is measured, and each is stopped over QMP while the"
    " other one runs, so that they never compete. A pair is one run on A and one on B, seconds"
    " apart; which goes first alternates. Whatever the host does at the time affects both and"
    " cancels in their ratio. The ratio shown is the geometric mean of B/A over all"
    " pairs, its interval is Student's on the logarithms of the ratios. B is called faster or"
    " slower when the interval excludes 1 and the difference is at least 5 %; anything else is"
    " no clear difference. Host CPU is each QEMU thread's own clock over the measured part of a"
    " run: 1.0 is one host processor all the time."
)


class ThreadLoad(Struct, frozen=True, kw_only=True):
    """Processor time of the QEMU threads with one name during a run."""

    name: str
    """`main loop`, an IOThread's id, `vCPU 0` …, or `workers` for all short-lived threads."""
    kind: ThreadKind
    cpu_share: float
    """In host processors: 1.0 is one processor all the time."""

    @property
    def place(self) -> tuple[int, tuple[tuple[str, int], ...]]:
        """Where it stands among others: by its kind, then as people count."""
        return _KINDS.index(self.kind), natural_key(self.name)


class Measurement(Struct, frozen=True, kw_only=True):
    """One run of one job on one side."""

    figures: JobFigures
    threads: tuple[ThreadLoad, ...] = ()


class Pair(Struct, frozen=True, kw_only=True):
    """Two consecutive runs, one on A and one on B."""

    first: Side
    a: Measurement
    b: Measurement


class Summary(Struct, frozen=True, kw_only=True):
    """One side of one job: geometric means over the pairs, and mean loads."""

    iops: float
    bandwidth_bytes_per_s: float
    latency_mean_ns: float
    latency_p50_ns: float
    latency_p99_ns: float
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

    def __post_init__(self) -> None:
        check_between("the number of pairs", len(self.pairs), 2)

    @cached_property
    def iops_ratio(self) -> PairedRatio:
        """How many times A's requests B does."""
        return paired_ratio([(pair.a.figures.iops, pair.b.figures.iops) for pair in self.pairs])

    @cached_property
    def a(self) -> Summary:
        """Side A over all pairs."""
        return _summarise([pair.a for pair in self.pairs])

    @cached_property
    def b(self) -> Summary:
        """Side B over all pairs."""
        return _summarise([pair.b for pair in self.pairs])


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
