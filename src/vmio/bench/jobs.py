"""What fio is asked to do inside the guest, and what its answer says."""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final, Literal, get_args

from msgspec import Struct

from vmio.bounds import check_document
from vmio.errors import InputError, ToolError, UsageError
from vmio.units import KIB, MIB, parse_size_bytes
from vmio.values import check_between, check_matches, replace

__all__ = [
    "DEFAULT_JOBS",
    "RAMP_S",
    "RUNTIME_S",
    "AccessPattern",
    "Job",
    "JobFigures",
    "fio_argv",
    "parse_fio",
    "parse_job",
]

AccessPattern = Literal["read", "randread", "write", "randwrite"]

RUNTIME_S: Final = 0.5
"""How long a run counts. Many short pairs find more than few long ones in the same time: what
disturbs a run here comes and goes in seconds, and the interval narrows with the pairs."""
RAMP_S: Final = 0.2

_MAX_OUTPUT_BYTES = 4 * MIB
_SECTOR_BYTES = 512
_JOB_KEYS = ("rw", "bs", "iodepth", "runtime", "ramp", "name")


class Job(Struct, frozen=True, kw_only=True):
    """One load, as one fio process makes it."""

    name: str
    rw: AccessPattern
    block_size_bytes: int
    iodepth: int
    runtime_s: float = RUNTIME_S
    ramp_s: float = RAMP_S
    """How long the load runs before anything is counted."""
    batch: int = 1
    """So many completions it waits for, before it submits as many requests in one call."""
    work_us: int = 0
    """What it computes after each completion; more than the guest's shortest sleep it waits."""

    def __post_init__(self) -> None:
        check_matches("name", self.name, r"[\w.+-]{1,40}")
        check_between("block_size_bytes", self.block_size_bytes, _SECTOR_BYTES, 16 * MIB)
        check_between("iodepth", self.iodepth, 1, 1024)
        check_between("runtime_s", self.runtime_s, 0.1, 3600.0)
        check_between("ramp_s", self.ramp_s, 0.0, 600.0)
        check_between("batch", self.batch, 1, 1024)
        check_between("work_us", self.work_us, 0, 10**6)

    @property
    def writes(self) -> bool:
        """Whether it changes what is on the disk."""
        return self.rw in ("write", "randwrite")


DEFAULT_JOBS: Final = (
    Job(name="randread-4k-qd1", rw="randread", block_size_bytes=4 * KIB, iodepth=1),
    Job(name="randread-4k-qd32", rw="randread", block_size_bytes=4 * KIB, iodepth=32),
    Job(name="read-128k-qd8", rw="read", block_size_bytes=128 * KIB, iodepth=8),
)
"""Latency, what one event loop can carry, and bulk transfer."""


class JobFigures(Struct, frozen=True, kw_only=True):
    """What one run of a job came to, as fio in the guest counted it."""

    iops: float
    bandwidth_bytes_per_s: float
    requests: int
    runtime_s: float
    latency_mean_ns: float
    """From the submission of a request to its completion, as all latencies here."""
    latency_p50_ns: float
    latency_p99_ns: float
    guest_cpu_user_share: float
    """fio's own time in user mode, in processors: 1.0 is one vCPU all the time."""
    guest_cpu_system_share: float
    fio_version: str = ""


def parse_job(text: str, *, runtime_s: float | None = None) -> Job:
    """Returns the job that an option such as `rw=randread,bs=4k,iodepth=32` means.

    The name of one of the default jobs means that job. A job that is not named gets a name from
    what it does.

    Args:
        text: The option's value.
        runtime_s: How long a job runs that does not say it itself.

    Raises:
        UsageError: The text is no job; the message says which part of it.
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
                hint="a job reads rw=randread,bs=4k,iodepth=32; its keys are "
                f"{', '.join(_JOB_KEYS)}; ready-made ones are "
                f"{', '.join(job.name for job in DEFAULT_JOBS)}",
            )
        options[key] = value
    rw = options.get("rw", "randread")
    size = options.get("bs", "4k")
    try:
        return Job(
            name=options.get("name", f"{rw}-{size.lower()}-qd{options.get('iodepth', '1')}"),
            rw=_parse_pattern(rw),
            block_size_bytes=_parse_block_size(size),
            iodepth=int(_parse_number("iodepth", options.get("iodepth", "1"))),
            runtime_s=_parse_number("runtime", options["runtime"])
            if "runtime" in options
            else runtime_s or RUNTIME_S,
            ramp_s=_parse_number("ramp", options["ramp"]) if "ramp" in options else RAMP_S,
        )
    except ValueError as error:
        raise UsageError(
            f"--fio-job {text[:80]!r}: {error}",
            hint="a job reads rw=randread,bs=4k,iodepth=32,runtime=2,ramp=0.5,name=mine",
        ) from error


def fio_argv(job: Job, device: str, *, scratch: bool = False) -> tuple[str, ...]:
    """Returns the fio command that runs a job on a device of the guest.

    Args:
        job: What to do.
        device: The guest's block device, such as /dev/sda.
        scratch: Whether what is on that disk may be lost.

    Raises:
        UsageError: The job writes and the disk is not known to be scratch.
    """
    if job.writes and not scratch:
        raise UsageError(
            f"job {job.name} writes, and {device} is not a scratch disk",
            hint="use --scratch SIZE, or a job that reads",
        )
    return (
        "fio",
        f"--name={job.name}",
        f"--filename={device}",
        f"--rw={job.rw}",
        f"--bs={job.block_size_bytes}",
        f"--iodepth={job.iodepth}",
        "--ioengine=libaio",
        "--direct=1",
        "--time_based",
        f"--runtime={round(job.runtime_s * 1000)}ms",
        f"--ramp_time={round(job.ramp_s * 1000)}ms",
        # By itself fio measures the TSC's rate as it starts, wrongly under TCG on a busy host.
        "--clocksource=clock_gettime",
        # From the submission on: a disk that answers before the submitting call is back would
        # seem to take no time, which is what the completion latency alone then says.
        "--lat_percentiles=1",
        "--clat_percentiles=0",
        # One seed for all runs would read the same blocks again and again from the host's cache.
        "--randrepeat=0",
        "--norandommap",
        "--thread",
        *(
            (f"--iodepth_batch_submit={job.batch}", f"--iodepth_batch_complete_min={job.batch}")
            if job.batch > 1
            else ()
        ),
        # What is shorter than the guest's shortest sleep, which fio measures, it spends spinning.
        # With thinktime_spin it can hang: what is left of the time may be less than none.
        *((f"--thinktime={job.work_us}us",) if job.work_us else ()),
        *(() if job.writes else ("--readonly",)),
        "--output-format=json",
    )


def parse_fio(data: bytes, number: int = 0) -> JobFigures:
    """Returns the figures in what fio printed with `--output-format=json`.

    Args:
        data: What it printed.
        number: The job's, where there are several.

    Raises:
        ToolError: It is no report of fio's, or one of a job that failed or did nothing.
    """
    try:
        report = _parse_object(data)
        job = report["jobs"][number]
        if job.get("error"):
            raise ToolError(
                f"fio's job {str(job.get('jobname'))[:40]!r} failed with error {job['error']}",
                hint="the guest's disk may be too small, missing or failing",
            )
        done = max((job["read"], job["write"]), key=lambda side: int(side["total_ios"]))
        if int(done["total_ios"]) < 1:
            raise ToolError(
                f"fio's job {str(job.get('jobname'))[:40]!r} finished no request",
                hint="let it run longer, with --runtime",
            )
        latency = done["lat_ns"]
        percentiles = latency["percentile"]
        return JobFigures(
            iops=_positive(done["iops"]),
            bandwidth_bytes_per_s=_positive(done["bw_bytes"]),
            requests=int(done["total_ios"]),
            runtime_s=_positive(done["runtime"]) / 1000,
            latency_mean_ns=_positive(latency["mean"]),
            latency_p50_ns=_positive(percentiles["50.000000"]),
            latency_p99_ns=_positive(percentiles["99.000000"]),
            guest_cpu_user_share=_finite(job["usr_cpu"]) / 100,
            guest_cpu_system_share=_finite(job["sys_cpu"]) / 100,
            fio_version=re.sub(r"^fio-|[^\w.+-]", "", str(report.get("fio version", "")))[:40],
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
            "fio in the guest printed no report that vmio can read",
            output=data[:400].decode("utf-8", "replace"),
            hint="fio 3 prints one with --output-format=json",
        ) from error


def _parse_pattern(text: str) -> AccessPattern:
    pattern: AccessPattern
    for pattern in get_args(AccessPattern):
        if text == pattern:
            return pattern
    raise ValueError(f"rw={text[:40]!r} is none of {', '.join(get_args(AccessPattern))}")


def _parse_block_size(text: str) -> int:
    size_bytes = parse_size_bytes(text.upper())
    if size_bytes is None or size_bytes % _SECTOR_BYTES:
        raise ValueError(f"bs={text[:40]!r} is no multiple of {_SECTOR_BYTES} bytes")
    return size_bytes


def _parse_number(key: str, text: str) -> float:
    if re.fullmatch(r"\d{1,6}(\.\d{1,6})?", text, re.ASCII) is None:
        raise ValueError(f"{key}={text[:40]!r} is no number")
    return float(text)


def _parse_object(data: bytes) -> Any:  # noqa: ANN401  # what a guest prints can be anything
    """Returns the JSON that begins at the first brace; fio prints its warnings before it."""
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
