"""What a comparison of two layouts came to, with all that its reports need; pure values."""

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
    " apart; which goes first alternates. Whatever the host was doing at the time is a factor of"
    " both and cancels in their ratio. The ratio shown is the geometric mean of B/A over all"
    " pairs, its interval is Student's on the logarithms of the ratios. B is called faster or"
    " slower when the interval leaves out 1 and the difference is at least 5 %; anything else is"
    " no clear difference. Host CPU is each QEMU thread's own clock over the measured part of a"
    " run: 1.0 is one host processor all the time."
)


class ThreadLoad(Struct, frozen=True, kw_only=True):
    """How busy threads of QEMU of one name were during a run."""

    name: str
    """`main loop`, an IOThread's id, `vCPU 0` …, or `workers` for all that come and go."""
    kind: ThreadKind
    cpu_share: float
    """In host processors: 1.0 is one of them all the time."""

    @property
    def place(self) -> tuple[int, tuple[tuple[str, int], ...]]:
        """Where it stands among others: by its kind, then as people count."""
        return _KINDS.index(self.kind), natural_key(self.name)


class Measurement(Struct, frozen=True, kw_only=True):
    """One run of one job on one side."""

    figures: JobFigures
    threads: tuple[ThreadLoad, ...] = ()


class Pair(Struct, frozen=True, kw_only=True):
    """A run on A and one on B that followed each other."""

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
    """fio's own time in the guest, in vCPUs."""
    host_cpu_share: float
    """All of QEMU's threads together, in host processors."""
    threads: tuple[ThreadLoad, ...]

    @property
    def requests_per_host_cpu_s(self) -> float:
        """What a second of a host processor is worth in requests."""
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
    """One of the two layouts, as it was measured."""

    name: str
    """What the person called it, such as the config's file name."""
    title: str
    """What tells it from the other one, such as its controllers' kind."""
    topology: Topology
    """As the running QEMU reported it."""
    argv: tuple[str, ...]
    """The QEMU that was measured."""
    config_argv: tuple[str, ...] = ()
    """The command that the config itself comes to on its own host; empty where there is none."""
    boot_s: float = 0.0


class HostFacts(Struct, frozen=True, kw_only=True):
    """What the figures depend on besides the layouts; empty where the host does not say."""

    cpu_model: str = ""
    cpu_count: int = 1
    kernel: str = ""
    distribution: str = ""
    memory_bytes: int = 0
    governor: str = ""
    load_average_1min: float = 0.0
    """Before the first guest was started."""


class Comparison(Struct, frozen=True, kw_only=True):
    """Two layouts, measured against each other."""

    a: Subject
    b: Subject
    disk: str
    """The disk that was measured, by its id in the configs."""
    volume: str = ""
    """What lay under it, in words."""
    device: str = ""
    """What it is called in the guest."""
    jobs: tuple[JobResult, ...]
    host: HostFacts
    accelerator: str
    accelerator_reason: str = ""
    """Why this one, when another was wished for; empty otherwise."""
    qemu_version: str
    guest: str = ""
    """The kernel and programs of the benchmark guest."""
    fio_version: str = ""
    vmio_version: str
    started_at: str
    """ISO 8601, in UTC."""
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
