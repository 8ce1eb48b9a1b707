"""The fio jobs inside the guest, and fio's output."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, get_args

from msgspec import Struct

from vmio.bounds import check_document
from vmio.errors import InputError, ToolError, UsageError
from vmio.units import KIB, MIB, parse_size_bytes
from vmio.values import check_between, check_matches, replace

__all__ = [
    "DEFAULT_JOBS",
    "MAX_BESIDE",
    "RAMP_S",
    "RUNTIME_S",
    "AccessPattern",
    "Job",
    "JobFigures",
    "fio_argv",
    "make_job",
    "parse_count",
    "parse_fio",
    "parse_job",
    "parse_number",
]

AccessPattern = Literal["read", "randread", "write", "randwrite", "rw", "randrw"]

RUNTIME_S: Final = 0.5
"""The measured time of a run. Many short pairs find more than few long ones in the same time: a
disturbance here lasts seconds, and the interval narrows with the number of pairs."""
RAMP_S: Final = 0.2

_MAX_OUTPUT_BYTES = 4 * MIB
_SECTOR_BYTES = 512
_JOB_KEYS = (
    *("rw", "bs", "iodepth", "runtime", "ramp", "name"),
    *("rwmixread", "fdatasync", "rate_iops"),
)
MAX_BESIDE: Final = 31
"""The most loads that run beside another one at the same time."""


class Job(Struct, frozen=True, kw_only=True):
    """One load, run by one fio process."""

    name: str
    rw: AccessPattern
    block_size_bytes: int
    iodepth: int
    runtime_s: float = RUNTIME_S
    ramp_s: float = RAMP_S
    """Ramp time before the measurement."""
    batch: int = 1
    """Completions that it waits for before it submits as many requests in one call."""
    work_us: int = 0
    """Computing time after each completion; above the guest's shortest sleep it sleeps."""
    read_percent: int = 50
    """How many of 100 requests read, of a pattern that mixes reads and writes."""
    flush_every: int = 0
    """After how many writes fio waits for an fdatasync; 0 for never."""
    rate_per_s: float | None = None
    """Requests a second, at random times (a Poisson process) as by many independent users, whose
    number in flight `iodepth` limits; None for as many as the disk can do."""
    disk: str = ""
    """The id of its disk; empty for the disk that is measured."""
    beside: tuple[Job, ...] = ()
    """The loads that run at the same time, for as long; they have none beside themselves."""

    def __post_init__(self) -> None:
        check_matches("name", self.name, r"[\w.+-]{1,40}")
        check_between("block_size_bytes", self.block_size_bytes, _SECTOR_BYTES, 16 * MIB)
        check_between("iodepth", self.iodepth, 1, 1024)
        check_between("runtime_s", self.runtime_s, 0.1, 3600.0)
        check_between("ramp_s", self.ramp_s, 0.0, 600.0)
        check_between("batch", self.batch, 1, 1024)
        check_between("work_us", self.work_us, 0, 10**6)
        check_between("read_percent", self.read_percent, 0, 100)
        check_between("flush_every", self.flush_every, 0, 10**6)
        check_between("rate_per_s", self.rate_per_s, 1, 10**7)
        check_between("the number of loads at the same time", len(self.beside), 0, MAX_BESIDE)
        if self.flush_every and not self.writes:
            raise ValueError(f"a job with rw={self.rw} has nothing to flush")
        if any(each.beside for each in self.beside):
            raise ValueError("a load beside another one has none beside itself")

    @property
    def writes(self) -> bool:
        """Whether it writes to the disk."""
        return self.rw not in ("read", "randread")

    @property
    def is_mixed(self) -> bool:
        """Whether it reads and writes."""
        return self.rw in ("rw", "randrw")

    @property
    def all(self) -> tuple[Job, ...]:
        """The job and those beside it, in the order of fio's results; all run equally long."""
        return (
            self,
            *(replace(each, runtime_s=self.runtime_s, ramp_s=self.ramp_s) for each in self.beside),
        )


DEFAULT_JOBS: Final = (
    Job(name="randread-4k-qd1", rw="randread", block_size_bytes=4 * KIB, iodepth=1),
    Job(name="randread-4k-qd32", rw="randread", block_size_bytes=4 * KIB, iodepth=32),
    Job(name="read-128k-qd8", rw="read", block_size_bytes=128 * KIB, iodepth=8),
)
"""Latency, the capacity of one event loop, and bulk transfer."""


class JobFigures(Struct, frozen=True, kw_only=True):
    """The result of one run of a job, as fio in the guest measured it."""

    iops: float
    bandwidth_bytes_per_s: float
    requests: int
    runtime_s: float
    latency_mean_ns: float
    """From the submission of a request to its completion, like all latencies here."""
    latency_p50_ns: float
    latency_p99_ns: float
    latency_p999_ns: float
    """A run of fewer than a thousand requests has its slowest one here."""
    guest_cpu_user_share: float
    """fio's user time, in processors: 1.0 is one vCPU all the time."""
    guest_cpu_system_share: float
    fio_version: str = ""
    flush_p99_ns: float | None = None
    """Of fdatasync; None if the job has none."""


def parse_job(text: str, *, runtime_s: float | None = None) -> Job:
    """Parses a job such as `rw=randread,bs=4k,iodepth=32`.

    The name of a default job stands for that job. A job without a name gets one from its
    parameters.

    Args:
        text: The option's value.
        runtime_s: The runtime of a job that does not set it itself.

    Raises:
        UsageError: The text is not a job; the message names the wrong part.
    """
    for job in DEFAULT_JOBS:
        if text.strip() == job.name:
            return job if runtime_s is None else replace(job, runtime_s=runtime_s)
    options: dict[str, str] = {}
    for part in text.split(","):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if key not in _JOB_KEYS or not equals or not value or key in options:
            raise UsageError(
                f"--fio-job {text[:80]!r}: cannot take {part[:40]!r}",
                hint="a job is written rw=randread,bs=4k,iodepth=32; its keys are "
                f"{', '.join(_JOB_KEYS)}; predefined jobs are "
                f"{', '.join(job.name for job in DEFAULT_JOBS)}",
            )
        options[key] = value
    try:
        return make_job(options, runtime_s=runtime_s)
    except ValueError as error:
        raise UsageError(
            f"--fio-job {text[:80]!r}: {error}",
            hint="a job is written rw=randread,bs=4k,iodepth=32,runtime=2,ramp=0.5,name=mine",
        ) from error


def make_job(options: Mapping[str, str], *, runtime_s: float | None = None) -> Job:
    """Returns the job with these options, which have fio's names and forms.

    Args:
        options: The values by their names, of those that `parse_job` takes.
        runtime_s: The runtime of a job that does not set it itself.

    Raises:
        ValueError: A value makes no sense; the message names it.
    """
    rw = options.get("rw", "randread")
    size = options.get("bs", "4k")
    return Job(
        name=options.get("name", f"{rw}-{size.lower()}-qd{options.get('iodepth', '1')}"),
        rw=_parse_pattern(rw),
        block_size_bytes=_parse_block_size(size),
        iodepth=parse_count("iodepth", options.get("iodepth", "1")),
        runtime_s=parse_number("runtime", options["runtime"])
        if "runtime" in options
        else runtime_s or RUNTIME_S,
        ramp_s=parse_number("ramp", options["ramp"]) if "ramp" in options else RAMP_S,
        read_percent=parse_count("rwmixread", options.get("rwmixread", "50")),
        flush_every=parse_count("fdatasync", options.get("fdatasync", "0")),
        rate_per_s=parse_number("rate_iops", options["rate_iops"])
        if "rate_iops" in options
        else None,
    )


def parse_number(key: str, text: str) -> float:
    """Returns a number in an option's value.

    Raises:
        ValueError: It is none.
    """
    if re.fullmatch(r"\d{1,6}(\.\d{1,6})?", text, re.ASCII) is None:
        raise ValueError(f"{key}={text[:40]!r} is not a number")
    return float(text)


def parse_count(key: str, text: str) -> int:
    """Returns a whole number in an option's value.

    Raises:
        ValueError: It is none.
    """
    if re.fullmatch(r"\d{1,7}", text, re.ASCII) is None:
        raise ValueError(f"{key}={text[:40]!r} is not a whole number")
    return int(text)


def fio_argv(
    job: Job, device: str, *, scratch: bool = False, devices: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """Returns the fio command that runs a job on a device, and those beside it on theirs.

    Args:
        job: The job.
        device: The guest's block device, such as /dev/sda, or a file.
        scratch: Whether the content of all these disks may be lost.
        devices: The devices of jobs that name their disk, by its id.

    Raises:
        UsageError: A job writes and the disk is not known to be scratch.
        KeyError: `devices` lacks a disk.
    """
    # fio refuses every write once one job of a command is read-only.
    reads_only = not any(each.writes for each in job.all)
    words: list[str] = ["fio"]
    for each in job.all:
        own = (devices or {})[each.disk] if each.disk else device
        if each.writes and not scratch:
            raise UsageError(
                f"job {each.name} writes, and {own} is not a scratch disk",
                hint="use --scratch SIZE, or a job that reads",
            )
        words += _list_options(each, own)
    return (*words, *(("--readonly",) if reads_only else ()), "--output-format=json")


def _list_options(job: Job, device: str) -> Iterator[str]:
    """Yields the options of one job."""
    # fio splits a file's name at colons.
    yield from (f"--name={job.name}", f"--filename={device.replace(':', chr(92) + ':')}")
    yield from (f"--rw={job.rw}", f"--bs={job.block_size_bytes}", f"--iodepth={job.iodepth}")
    yield from ("--ioengine=libaio", "--direct=1", "--time_based")
    yield f"--runtime={round(job.runtime_s * 1000)}ms"
    yield f"--ramp_time={round(job.ramp_s * 1000)}ms"
    # By default fio measures the TSC's rate at its start, wrongly under TCG on a busy host.
    yield "--clocksource=clock_gettime"
    # Since submission: a disk that answers before the submitting call returns would seem to
    # take no time in the completion latency alone.
    yield from ("--lat_percentiles=1", "--clat_percentiles=0")
    # With one seed, all runs would read the same blocks from the host's cache.
    yield from ("--randrepeat=0", "--norandommap", "--thread")
    if job.batch > 1:
        yield f"--iodepth_batch_submit={job.batch}"
        yield f"--iodepth_batch_complete_min={job.batch}"
    # fio spins for times shorter than the guest's shortest sleep, which it measures. With
    # thinktime_spin it can hang, because the remaining time can become negative.
    if job.work_us:
        yield f"--thinktime={job.work_us}us"
    if job.is_mixed:
        # Percentiles of reads and of writes cannot be put together afterwards.
        yield from (f"--rwmixread={job.read_percent}", "--unified_rw_reporting=1")
    if job.flush_every:
        yield f"--fdatasync={job.flush_every}"
    if job.rate_per_s is not None:
        yield from (f"--rate_iops={_split_rate(job)}", "--rate_process=poisson")


def _split_rate(job: Job) -> str:
    """Returns fio's limit of requests a second, which it applies to each direction."""
    rate = job.rate_per_s or 0.0
    if not job.is_mixed:
        return f"{max(1, round(rate))}"
    reads = rate * job.read_percent / 100
    return f"{max(1, round(reads))},{max(1, round(rate - reads))}"


def parse_fio(data: bytes, number: int = 0) -> JobFigures:
    """Returns the figures in fio's output with `--output-format=json`.

    Args:
        data: The output.
        number: The index of the job, if there are several.

    Raises:
        ToolError: It is not fio's output, or the job failed or did nothing.
    """
    try:
        report = _parse_object(data)
        job = report["jobs"][number]
        if job.get("error"):
            raise ToolError(
                f"fio's job {str(job.get('jobname'))[:40]!r} failed with error {job['error']}",
                hint="the guest's disk may be too small, missing or failing",
            )
        sides = [job[name] for name in ("mixed", "read", "write") if name in job]
        done = max(sides, key=lambda side: int(side["total_ios"]))
        if int(done["total_ios"]) < 1:
            raise ToolError(
                f"fio's job {str(job.get('jobname'))[:40]!r} completed no request",
                hint="set a longer --runtime",
            )
        latency = done["lat_ns"]
        percentiles = latency["percentile"]
        if percentiles["50.000000"] == 0:
            raise ToolError(
                f"fio's job {str(job.get('jobname'))[:40]!r} took no time for most requests",
                hint="the guest's clock has longer steps than a request takes: look at"
                " /sys/devices/system/clocksource/clocksource0/current_clocksource there",
            )
        return JobFigures(
            iops=_positive(done["iops"]),
            bandwidth_bytes_per_s=_positive(done["bw_bytes"]),
            requests=int(done["total_ios"]),
            runtime_s=_positive(done["runtime"]) / 1000,
            latency_mean_ns=_positive(latency["mean"]),
            latency_p50_ns=_positive(percentiles["50.000000"]),
            latency_p99_ns=_positive(percentiles["99.000000"]),
            latency_p999_ns=_positive(percentiles["99.900000"]),
            guest_cpu_user_share=_finite(job["usr_cpu"]) / 100,
            guest_cpu_system_share=_finite(job["sys_cpu"]) / 100,
            fio_version=re.sub(r"^fio-|[^\w.+-]", "", str(report.get("fio version", "")))[:40],
            flush_p99_ns=_find_flush_p99(job.get("sync")),
        )
    except (
        AttributeError,
        IndexError,
        InputError,
        KeyError,
        OverflowError,
        TypeError,
        ValueError,
    ) as error:
        raise ToolError(
            "fio in the guest printed no output that vmio can parse",
            output=data[:400].decode("utf-8", "replace"),
            hint="fio 3 prints one with --output-format=json",
        ) from error


def _find_flush_p99(syncs: Any) -> float | None:  # noqa: ANN401  # a part of such a report
    # fio 3.33 has 0 in `total_ios` of them.
    if syncs is None or int(syncs["lat_ns"].get("N", 0)) < 1:
        return None
    return _positive(syncs["lat_ns"]["percentile"]["99.000000"])


def _parse_pattern(text: str) -> AccessPattern:
    pattern: AccessPattern
    for pattern in get_args(AccessPattern):
        if text == pattern:
            return pattern
    raise ValueError(f"rw={text[:40]!r} is not one of {', '.join(get_args(AccessPattern))}")


def _parse_block_size(text: str) -> int:
    size_bytes = parse_size_bytes(text.upper())
    if size_bytes is None or size_bytes % _SECTOR_BYTES:
        raise ValueError(f"bs={text[:40]!r} is not a multiple of {_SECTOR_BYTES} bytes")
    return size_bytes


def _parse_object(data: bytes) -> Any:  # noqa: ANN401  # what a guest prints can be anything
    """Parses the JSON from the first brace on; fio prints its warnings before it."""
    if len(data) > _MAX_OUTPUT_BYTES:
        raise InputError(f"fio printed {len(data)} bytes")
    try:
        report = json.JSONDecoder().raw_decode(data[max(0, data.find(b"{")) :].decode())[0]
    except RecursionError as error:
        raise InputError("fio printed a nest of brackets") from error
    check_document(report)
    return report


def _finite(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(value)
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(number)
    return number


def _positive(value: object) -> float:
    number = _finite(value)
    if number <= 0:
        raise ValueError(number)
    return number
