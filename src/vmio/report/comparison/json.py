"""A comparison as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from vmio.report.envelope import Count, render_document
from vmio.report.layout.json import TopologyData, describe_topology

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vmio.bench.result import (
        Comparison,
        HostFacts,
        JobResult,
        Measurement,
        NeighbourFigures,
        Subject,
        Summary,
        ThreadLoad,
    )
    from vmio.bench.statistics import PairedRatio

__all__ = [
    "ComparisonData",
    "MeasuredHostData",
    "RatioData",
    "describe_host",
    "describe_ratio",
    "render_comparison_json",
]


class MeasuredHostData(TypedDict):
    """The host that measured; fields that it does not report are empty."""

    cpu_model: str
    cpu_count: Count
    """Processors that vmio may use."""
    kernel: str
    distribution: str
    memory_bytes: Count
    governor: str
    """The frequency governor of processor 0."""
    load_average_1min: float
    """Load average before the guests were started."""


class SubjectData(TypedDict):
    """One of the two measured layouts."""

    name: str
    """The config, as given on the command line."""
    title: str
    """What distinguishes this layout from the other one."""
    boot_s: float
    """Time until the guest's agent answered; both guests boot at once."""
    argv: list[str]
    """The measured QEMU's command line, one word an item."""
    config_argv: list[str]
    """The config's command line on its own host; empty if not known."""
    topology: TopologyData
    """The layout that the running QEMU reported."""


class ThreadLoadData(TypedDict):
    """Processor time of the QEMU threads with one name."""

    name: str
    """`main loop`, an IOThread's id, `vCPU 0` …, or `workers` for all short-lived threads."""
    kind: str
    """`main loop`, `iothread`, `vcpu` or `other`."""
    cpu_share: float
    """In host processors: 1.0 is one processor all the time."""
    run_delay_share: float
    """How long it waited for a processor, as a share of the time."""


class RatioData(TypedDict):
    """One figure of B divided by A's, over all pairs of a job."""

    ratio: float
    """Geometric mean over the pairs."""
    low: float
    high: float
    """The ends of the confidence interval."""
    verdict: str
    """B's figure: `higher`, `lower`, `the same` or `cannot tell`."""


class SummaryData(TypedDict):
    """One side of a job: geometric means over its runs; arithmetic means of CPU shares."""

    iops: float
    bandwidth_bytes_per_s: float
    latency_mean_ns: float
    """From submission to completion, in the guest; the percentiles that follow likewise."""
    latency_p50_ns: float
    latency_p99_ns: float
    latency_p999_ns: float
    guest_cpu_share: float
    """fio's CPU time, in vCPUs."""
    host_cpu_share: float
    """All QEMU threads together, in host processors."""
    requests_per_host_cpu_s: float
    """IOPS for each host processor used."""
    threads: list[ThreadLoadData]


class MeasurementData(TypedDict):
    """One run of a job on one side, as fio measured it."""

    iops: float
    bandwidth_bytes_per_s: float
    requests: Count
    runtime_s: float
    """The measured time."""
    latency_mean_ns: float
    latency_p50_ns: float
    latency_p99_ns: float
    latency_p999_ns: float
    guest_cpu_user_share: float
    """fio's time in user mode, in vCPUs."""
    guest_cpu_system_share: float
    """fio's time in the kernel, in vCPUs."""
    flush_p99_ns: float | None
    """Of fdatasync; null if the job has none."""
    neighbour_per_s: float | None
    """How much the neighbour did meanwhile, in its unit; null without one."""
    threads: list[ThreadLoadData]


class PairData(TypedDict):
    """Two consecutive runs, one on A and one on B."""

    first: str
    """The side that ran first, `A` or `B`."""
    busy: bool
    """Whether the host was too busy: QEMU's threads waited for a processor for more than 0.4 of
    the time in which they could run."""
    a: MeasurementData
    b: MeasurementData
    host: MeasurementData | None
    """The same job right on the host, on the file of A's disk; null if it was not run."""


class JobData(TypedDict):
    """A job, and the comparison of the sides in it."""

    name: str
    rw: str
    """fio's access pattern."""
    block_size_bytes: Count
    iodepth: Count
    """Requests in flight."""
    runtime_s: float
    """The measured part of each run."""
    ramp_s: float
    """The ramp time before it, which is not measured."""
    batch: Count
    """Completions that it waits for before it submits as many requests in one call."""
    work_us: Count
    """Computing time after each completion."""
    read_percent: Count
    """How many of 100 requests read, of a pattern that mixes reads and writes."""
    flush_every: Count
    """After how many writes it waits for an fdatasync; 0 for never."""
    rate_per_s: float | None
    """Requests a second, at random times; null for as many as the disk can do."""
    disk: str
    """The disk that it ran on."""
    beside: list[str]
    """The names of the jobs that ran at the same time."""
    iops_ratio: float
    """Geometric mean over the pairs of B's IOPS divided by A's."""
    iops_ratio_low: float
    iops_ratio_high: float
    """The ends of the confidence interval of the ratio."""
    confidence: float
    """Confidence level of the intervals."""
    margin: float
    """The relative difference that does not matter."""
    anytime: bool
    """Whether pairs were measured until there was a verdict; the intervals allow for that."""
    verdict: str
    """B's result: `faster`, `slower`, `the same` or `cannot tell`."""
    latency_p99_ratio: RatioData
    latency_p999_ratio: RatioData
    cpu_ratio: RatioData | None
    """Host CPU time of a request; null if a run had none."""
    flush_p99_ratio: RatioData | None
    """The 99th percentile of fdatasync; null if the job has none."""
    host_share_a: RatioData | None
    """A's IOPS as a share of those right on the host; null if the job was not run there."""
    host_share_b: RatioData | None
    """B's, likewise."""
    a: SummaryData
    b: SummaryData
    pairs: list[PairData]


class NeighbourData(TypedDict):
    """What kept the main loop busy beside the jobs."""

    name: str
    """Such as `monitor`, or `monitor=10` with a rate."""
    unit: str
    """What its work is counted in."""
    alone_a: float
    """The main loop's processor time in A with the neighbour and no job, in host processors."""
    alone_b: float


class ComparisonData(TypedDict):
    """Two layouts, measured against each other."""

    started_at: str
    """UTC, in ISO 8601."""
    duration_s: float
    """The whole comparison, including booting."""
    disk: str
    """The measured disk, by its id in the configs."""
    volume: str
    """The storage under the disk, in words."""
    device: str
    """Its name in guest A."""
    where: str
    """In what the jobs ran."""
    neighbour: NeighbourData | None
    """Null without one."""
    accelerator: str
    """`kvm` or `tcg`."""
    accelerator_reason: str
    """Why KVM was not used although it was requested; else empty."""
    qemu_version: str
    fio_version: str
    """The version of fio in the guests."""
    guest: str
    """The kernel and packages of the benchmark guest."""
    host: MeasuredHostData
    a: SubjectData
    b: SubjectData
    jobs: list[JobData]


def render_comparison_json(comparison: Comparison) -> str:
    """Returns a comparison as a document."""
    data: ComparisonData = {
        "started_at": comparison.started_at,
        "duration_s": comparison.duration_s,
        "disk": comparison.disk,
        "volume": comparison.volume,
        "device": comparison.device,
        "where": comparison.where,
        "neighbour": None
        if comparison.neighbour is None
        else _describe_neighbour(comparison.neighbour),
        "accelerator": comparison.accelerator,
        "accelerator_reason": comparison.accelerator_reason,
        "qemu_version": comparison.qemu_version,
        "fio_version": comparison.fio_version,
        "guest": comparison.guest,
        "host": describe_host(comparison.host),
        "a": _describe_subject(comparison.a),
        "b": _describe_subject(comparison.b),
        "jobs": [_describe_job(result, comparison.disk) for result in comparison.jobs],
    }
    return render_document("comparison", data)


def describe_host(host: HostFacts) -> MeasuredHostData:
    """Returns the host's facts that figures depend on."""
    return {
        "cpu_model": host.cpu_model,
        "cpu_count": host.cpu_count,
        "kernel": host.kernel,
        "distribution": host.distribution,
        "memory_bytes": host.memory_bytes,
        "governor": host.governor,
        "load_average_1min": host.load_average_1min,
    }


def _describe_subject(subject: Subject) -> SubjectData:
    return {
        "name": subject.name,
        "title": subject.title,
        "boot_s": subject.boot_s,
        "argv": list(subject.argv),
        "config_argv": list(subject.config_argv),
        "topology": describe_topology(subject.topology),
    }


def _describe_neighbour(neighbour: NeighbourFigures) -> NeighbourData:
    return {
        "name": neighbour.name,
        "unit": neighbour.unit,
        "alone_a": neighbour.alone_a,
        "alone_b": neighbour.alone_b,
    }


def _describe_job(result: JobResult, disk: str) -> JobData:
    job, ratio = result.job, result.iops_ratio
    return {
        "name": job.name,
        "rw": job.rw,
        "block_size_bytes": job.block_size_bytes,
        "iodepth": job.iodepth,
        "runtime_s": job.runtime_s,
        "ramp_s": job.ramp_s,
        "batch": job.batch,
        "work_us": job.work_us,
        "read_percent": job.read_percent,
        "flush_every": job.flush_every,
        "rate_per_s": job.rate_per_s,
        "disk": job.disk or disk,
        "beside": [each.name for each in job.beside],
        "iops_ratio": ratio.ratio,
        "iops_ratio_low": ratio.low,
        "iops_ratio_high": ratio.high,
        "confidence": ratio.confidence,
        "margin": ratio.margin,
        "anytime": result.anytime,
        "verdict": result.verdict,
        "latency_p99_ratio": describe_ratio(result.latency_p99_ratio),
        "latency_p999_ratio": describe_ratio(result.latency_p999_ratio),
        "cpu_ratio": _describe_known(result.cpu_ratio),
        "flush_p99_ratio": _describe_known(result.flush_p99_ratio),
        "host_share_a": _describe_known(result.host_share_a),
        "host_share_b": _describe_known(result.host_share_b),
        "a": _describe_summary(result.a),
        "b": _describe_summary(result.b),
        "pairs": [
            {
                "first": pair.first,
                "busy": pair.busy,
                "a": _describe_measurement(pair.a),
                "b": _describe_measurement(pair.b),
                "host": None if pair.host is None else _describe_measurement(pair.host),
            }
            for pair in result.pairs
        ],
    }


def _describe_known(ratio: PairedRatio | None) -> RatioData | None:
    return None if ratio is None else describe_ratio(ratio)


def describe_ratio(ratio: PairedRatio) -> RatioData:
    """Returns a ratio with its interval."""
    return {
        "ratio": ratio.ratio,
        "low": ratio.low,
        "high": ratio.high,
        "verdict": ratio.verdict,
    }


def _describe_summary(summary: Summary) -> SummaryData:
    return {
        "iops": summary.iops,
        "bandwidth_bytes_per_s": summary.bandwidth_bytes_per_s,
        "latency_mean_ns": summary.latency_mean_ns,
        "latency_p50_ns": summary.latency_p50_ns,
        "latency_p99_ns": summary.latency_p99_ns,
        "latency_p999_ns": summary.latency_p999_ns,
        "guest_cpu_share": summary.guest_cpu_share,
        "host_cpu_share": summary.host_cpu_share,
        "requests_per_host_cpu_s": summary.requests_per_host_cpu_s,
        "threads": _describe_threads(summary.threads),
    }


def _describe_measurement(measurement: Measurement) -> MeasurementData:
    figures = measurement.figures
    return {
        "iops": figures.iops,
        "bandwidth_bytes_per_s": figures.bandwidth_bytes_per_s,
        "requests": figures.requests,
        "runtime_s": figures.runtime_s,
        "latency_mean_ns": figures.latency_mean_ns,
        "latency_p50_ns": figures.latency_p50_ns,
        "latency_p99_ns": figures.latency_p99_ns,
        "latency_p999_ns": figures.latency_p999_ns,
        "guest_cpu_user_share": figures.guest_cpu_user_share,
        "guest_cpu_system_share": figures.guest_cpu_system_share,
        "flush_p99_ns": figures.flush_p99_ns,
        "neighbour_per_s": measurement.neighbour_per_s,
        "threads": _describe_threads(measurement.threads),
    }


def _describe_threads(threads: Iterable[ThreadLoad]) -> list[ThreadLoadData]:
    return [
        {
            "name": load.name,
            "kind": load.kind,
            "cpu_share": load.cpu_share,
            "run_delay_share": load.run_delay_share,
        }
        for load in threads
    ]
