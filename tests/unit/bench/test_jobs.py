"""fio jobs: what becomes of options, of commands and of what fio prints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmio.bench.jobs import DEFAULT_JOBS, Job, fio_argv, parse_fio, parse_job
from vmio.errors import ToolError, UsageError

DATA = Path(__file__).parent / "data"
RECORDED = (DATA / "fio-3.33-randread.json").read_bytes()


def test_parse_fio_reads_a_recorded_report() -> None:
    """A report that fio 3.33 printed comes out in the units that the names say."""
    figures = parse_fio(RECORDED)
    assert figures.iops == pytest.approx(16349.301397)
    assert figures.bandwidth_bytes_per_s == 67228359
    assert figures.requests == 8191
    assert figures.runtime_s == pytest.approx(0.501)
    assert (figures.latency_p50_ns, figures.latency_p99_ns) == (1826816, 4685824)
    assert figures.latency_p999_ns == 5799936
    assert figures.latency_mean_ns == pytest.approx(1946262.003527)
    assert figures.guest_cpu_user_share == pytest.approx(0.158)
    assert figures.guest_cpu_system_share == pytest.approx(0.78)
    assert figures.fio_version == "3.33"
    # By Little's law, which holds for the whole latency only, 32 requests were under way.
    assert figures.iops * figures.latency_mean_ns / 1e9 == pytest.approx(32, rel=0.02)


def test_parse_fio_reads_flushes_and_mixes() -> None:
    """A log's fdatasync has its own percentile; reads and writes of a mix are counted together."""
    data = (DATA / "fio-3.33-log-and-mix.json").read_bytes()
    log, mix = parse_fio(data, 0), parse_fio(data, 1)
    assert log.flush_p99_ns == 4227072
    assert log.requests == 187
    assert mix.flush_p99_ns is None
    assert mix.requests == 26
    assert mix.iops == pytest.approx(86.092715)


def test_parse_fio_skips_what_is_printed_before_the_report() -> None:
    """Warnings that fio prints on the same stream are no part of the report."""
    assert parse_fio(b"fio: this platform lacks something\n" + RECORDED) == parse_fio(RECORDED)


def test_parse_fio_names_the_job_that_failed() -> None:
    """The report of a job that could not open its file is an error with fio's number."""
    with pytest.raises(ToolError, match="job 'x' failed with error"):
        parse_fio((DATA / "fio-3.33-failed.json").read_bytes())


def test_parse_fio_refuses_a_job_that_did_nothing() -> None:
    """A run without a single request has no figures."""
    report = json.loads(RECORDED)
    report["jobs"][0]["read"]["total_ios"] = 0
    with pytest.raises(ToolError, match="completed no request"):
        parse_fio(json.dumps(report).encode())


def test_parse_fio_says_that_a_clock_is_too_coarse() -> None:
    """As in a guest whose clock goes on every four milliseconds."""
    report = json.loads(RECORDED)
    report["jobs"][0]["read"]["lat_ns"]["percentile"]["50.000000"] = 0
    with pytest.raises(ToolError, match="took no time for most requests") as raised:
        parse_fio(json.dumps(report).encode())
    assert "clock" in raised.value.hint


@pytest.mark.parametrize("value", [0, -1, True, "7", None, float("nan"), float("inf"), []])
def test_parse_fio_refuses_numbers_that_are_none(value: object) -> None:
    """A rate that is no number above zero never reaches the statistics."""
    report = json.loads(RECORDED)
    report["jobs"][0]["read"]["iops"] = value
    with pytest.raises(ToolError, match="no output that vmio can parse"):
        parse_fio(json.dumps(report).encode())


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"{}", b'{"jobs": []}', b'{"jobs": [[]]}', b"\xff{", b'{"a":' * 100_000],
)
def test_parse_fio_refuses_what_is_no_report(data: bytes) -> None:
    """Junk, empty and hostile output all end in one clear error."""
    with pytest.raises(ToolError, match="no output that vmio can parse"):
        parse_fio(data)


def test_parse_fio_refuses_a_report_without_end() -> None:
    """A guest cannot make vmio parse more than a few MiB."""
    with pytest.raises(ToolError, match="no output that vmio can parse"):
        parse_fio(b" " * (5 << 20) + RECORDED)


@given(st.binary(max_size=200))
def test_parse_fio_raises_nothing_but_tool_errors(data: bytes) -> None:
    """Whatever bytes come, the answer is figures or a ToolError."""
    with pytest.raises(ToolError):
        parse_fio(data)


def test_fio_argv_reads_only() -> None:
    """The command of a reading job forbids fio to write, whatever else happens."""
    argv = fio_argv(DEFAULT_JOBS[1], "/dev/sda")
    assert argv[0] == "fio"
    assert {"--readonly", "--rw=randread", "--bs=4096", "--iodepth=32", "--direct=1"} <= {*argv}
    assert {"--ioengine=libaio", "--filename=/dev/sda", "--output-format=json"} <= {*argv}


def test_fio_argv_writes_to_scratch_disks_only() -> None:
    """A job that writes is refused on any disk that is not known to be scratch."""
    job = Job(name="w", rw="randwrite", block_size_bytes=4096, iodepth=1)
    with pytest.raises(UsageError, match="not a scratch disk"):
        fio_argv(job, "/dev/sda")
    argv = fio_argv(job, "/dev/sda", scratch=True)
    assert "--rw=randwrite" in argv
    assert "--readonly" not in argv


def test_fio_argv_has_the_jobs_beside_on_their_own_disks() -> None:
    """One command for all, each with its device; nothing is read-only if one of them writes."""
    reads = Job(name="r", rw="randread", block_size_bytes=4096, iodepth=1, disk="scsi1")
    log = Job(
        name="w", rw="write", block_size_bytes=8192, iodepth=1, flush_every=1, beside=(reads,)
    )
    devices = {"scsi1": "/dev/sdb"}
    with pytest.raises(UsageError, match="job w writes"):
        fio_argv(log, "/dev/sda", devices=devices)
    argv = fio_argv(log, "/dev/sda", scratch=True, devices=devices)
    assert [word for word in argv if word.startswith("--filename")] == [
        "--filename=/dev/sda",
        "--filename=/dev/sdb",
    ]
    assert "--readonly" not in argv
    assert "--fdatasync=1" in argv
    reversed_argv = fio_argv(reads, "/dev/sdb", devices=devices)
    assert "--readonly" in reversed_argv


def test_fio_argv_mixes_and_limits_by_direction() -> None:
    """Limits are for reads and for writes, and a mix is counted as one."""
    job = Job(
        name="m",
        rw="randrw",
        block_size_bytes=4096,
        iodepth=8,
        read_percent=75,
        rate_per_s=1000,
        disk="",
    )
    argv = fio_argv(job, "/a:b", scratch=True)
    assert {"--rwmixread=75", "--unified_rw_reporting=1", "--rate_iops=750,250"} <= {*argv}
    assert {"--rate_process=poisson", "--filename=/a\\:b"} <= {*argv}


def test_parse_job_takes_options_in_any_order() -> None:
    """What is not said has a default, and the name says what the job does."""
    job = parse_job("iodepth=16, bs=64k,rw=read", runtime_s=3)
    assert job == Job(
        name="read-64k-qd16", rw="read", block_size_bytes=65536, iodepth=16, runtime_s=3
    )


def test_parse_job_prefers_the_jobs_own_runtime() -> None:
    """A runtime in the job wins over the one for all jobs."""
    job = parse_job("name=mine,runtime=2.5,ramp=0", runtime_s=9)
    assert (job.name, job.runtime_s, job.ramp_s) == ("mine", 2.5, 0)


def test_parse_job_knows_the_default_jobs_by_name() -> None:
    """A default job's name alone is enough."""
    assert parse_job("randread-4k-qd32") == DEFAULT_JOBS[1]
    assert parse_job("randread-4k-qd32", runtime_s=4).runtime_s == 4


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "cannot take ''"),
        ("nothing", "cannot take 'nothing'"),
        ("bs=4k,bs=8k", "cannot take 'bs=8k'"),
        ("size=4k", "cannot take 'size=4k'"),
        ("rw=trim", "rw='trim' is not one of"),
        ("bs=700", "is not a multiple of 512"),
        ("bs=0", "must be at least 512"),
        ("bs=1T", "must be at most 16777216"),
        ("rwmixread=101,rw=rw", "must be at most 100"),
        ("fdatasync=1", "has nothing to flush"),
        ("rate_iops=0", "must be at least 1"),
        ("iodepth=0", "must be at least 1"),
        ("iodepth=many", "iodepth='many' is not a whole number"),
        ("iodepth=1.9", "iodepth='1.9' is not a whole number"),
        ("runtime=nan", "runtime='nan' is not a number"),
        ("runtime=0", "must be at least 0.1"),
        ("ramp=1e9", "ramp='1e9' is not a number"),
        ("name=a b;c", "name cannot be"),
    ],
)
def test_parse_job_says_which_part_it_cannot_take(text: str, said: str) -> None:
    """A job that makes no sense is a usage error that quotes the part."""
    with pytest.raises(UsageError, match="--fio-job") as caught:
        parse_job(text)
    assert said in caught.value.message
    assert caught.value.hint


@given(st.text(max_size=60))
def test_parse_job_raises_nothing_but_usage_errors(text: str) -> None:
    """Whatever is typed, the answer is a job that fio can be given, or a UsageError."""
    try:
        job = parse_job(text)
    except UsageError:
        return
    assert fio_argv(job, "/dev/sda", scratch=True)


@pytest.mark.parametrize("name", ['"\\ud800"', "[" * 90 + "]" * 90, "9" * 40])
def test_parse_fio_refuses_what_could_not_be_told(name: str) -> None:
    """The name of a job that failed is told, so it is a text that can be written."""
    data = b'{"jobs": [{"jobname": %s, "error": 1}]}' % name.encode()
    with pytest.raises(ToolError, match="no output that vmio can parse"):
        parse_fio(data)
