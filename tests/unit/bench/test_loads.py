"""Loads: named ones, job files of fio, and recorded guests."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmio.bench.jobs import Job, fio_argv
from vmio.bench.loads import NAMED_LOADS, combine_jobs, derive_loads, parse_job_file
from vmio.errors import InputError, UsageError
from vmio.host.running import QemuProcess
from vmio.managers.discovery import RunningGuest
from vmio.observe.readings import Look, Observation
from vmio.observe.recording import read_recording
from vmio.observe.sample import DiskSample, Operations, Sample
from vmio.values import replace

JOB_FILE = """\
; a database with its log
[global]
ioengine=libaio
direct=1
time_based
runtime=30s
ramp_time=500ms
group_reporting

[pages]
rw=randrw
bs=8k
iodepth=16
rwmixread=70
numjobs=2

# the log waits for each write
[log file]
rw=write
bs=8k
fsync=1
rate_iops=200
"""


@pytest.mark.parametrize("name", NAMED_LOADS)
def test_named_load_is_a_command_of_fio(name: str) -> None:
    """Each has its name, a meaning and a source, and writes to scratch disks only."""
    load = NAMED_LOADS[name]
    assert load.job.name == name
    assert load.meaning
    assert load.source
    argv = fio_argv(load.job, "/dev/vda", scratch=True)
    assert f"--rw={load.job.rw}" in argv
    assert ("--readonly" in argv) is not load.job.writes
    assert any(word.startswith("--fdatasync=") for word in argv) is bool(load.job.flush_every)


def test_job_file_is_read_as_loads_at_the_same_time() -> None:
    """Global options hold for all sections, and each process is a load."""
    job = parse_job_file(JOB_FILE, "db.fio")
    assert [each.name for each in job.all] == ["pages.1", "pages.2", "log-file"]
    pages, _, log = job.all
    assert (pages.rw, pages.block_size_bytes, pages.iodepth) == ("randrw", 8192, 16)
    assert (pages.read_percent, pages.runtime_s, pages.ramp_s) == (70, 30, 0.5)
    assert (log.rw, log.flush_every, log.rate_per_s, log.runtime_s) == ("write", 1, 200, 30)
    assert parse_job_file(JOB_FILE, "db.fio", runtime_s=2).all[2].runtime_s == 2


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("filename=/etc/passwd", "'filename' is refused: it names files"),
        ("directory=/", "'directory' is refused: it names files"),
        ("write_lat_log=x", "'write_lat_log' is refused: it names files"),
        ("include other.fio", "'include other.fio' is refused: it names files"),
        ("exec_prerun=rm -rf /", "'exec_prerun' is refused: it runs commands"),
        ("ioengine=external:/tmp/x.so", "ioengine=external:/tmp/x.so is refused: it can load"),
        ("ioengine=exec", "ioengine=exec is refused"),
        ("bs=${SIZE}", "'bs' is refused: it uses the environment"),
        ("direct=0", "direct=0 is refused: the guest's memory would be measured"),
        ("buffered=1", "buffered=1 is refused"),
        ("uid=0", "'uid' is refused: it changes settings"),
        ("stonewall", "'stonewall' is refused: all loads run at the same time"),
        ("bssplit=4k/50:8k/50", "a load has blocks of one size"),
        ("unheard=1", "'unheard' is refused: it is not among the options"),
        ("rw=trim", "rw='trim' is not one of"),
        ("bs=4k,8k", "bs=4k,8k has several values"),
        ("numjobs=1000", "numjobs=1000: 1 to 32 can run at the same time"),
        ("numjobs=0", "numjobs=0: 1 to 32 can run at the same time"),
        ("numjobs=x", "numjobs='x' is not a whole number"),
        (f"numjobs={'9' * 5000}", "is not a whole number"),
        ("rwmixwrite=x", "[a]: rwmixwrite='x' is not a whole number"),
        ("rwmixwrite=300", "[a]: rwmixwrite=300 is more than 100 percent"),
        ("rwmixread=70.5", "[a]: rwmixread='70.5' is not a whole number"),
        ("iodepth=1.9", "[a]: iodepth='1.9' is not a whole number"),
        ("rate_iops=1k", "[a]: rate_iops='1k' is not a whole number"),
        ("rw=rw\nrate_iops=0,30", "[a]: rate_iops=0,30 limits only one direction of a mix"),
        ("rate_iops=,500", "[a]: rate_iops='' is not a whole number"),
        ("runtime=soon", "runtime=soon is not a time"),
        ("fdatasync=1", "has nothing to flush"),
    ],
)
def test_job_file_with_what_is_not_a_load_is_refused(line: str, said: str) -> None:
    """With the option, its reason, and where it is."""
    with pytest.raises(InputError, match=r"x\.fio") as caught:
        parse_job_file(f"[a]\n{line}\n", "x.fio")
    assert said in caught.value.message


@pytest.mark.parametrize(
    ("lines", "rate_per_s", "read_percent"),
    [
        ("rw=randread\nrate_iops=100", 100, 50),
        ("rw=randread\nrate_iops=100,30", 100, 50),
        ("rw=randwrite\nrate_iops=100", 100, 50),
        ("rw=randwrite\nrate_iops=100,30", 30, 50),
        ("rw=randrw\nrate_iops=100\nrwmixread=70", 200, 50),
        ("rw=randrw\nrate_iops=70,30", 100, 70),
        ("rw=rw\nrate_iops=1,3", 4, 25),
    ],
)
def test_rate_of_a_job_file_is_that_of_each_direction(
    lines: str, rate_per_s: float, read_percent: int
) -> None:
    """As fio 3.33 does it, whose mix is that of the rates."""
    job = parse_job_file(f"[a]\n{lines}\n", "x.fio")
    assert (job.rate_per_s, job.read_percent) == (rate_per_s, read_percent)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no section"),
        ("[global]\nrw=read\n", "has no section"),
        ("rw=read\n", "'rw' is in no section"),
        ("[a]\n" * 40, "more than 32 loads"),
        ("#" * (1 << 19), "too large"),
    ],
)
def test_what_is_no_job_file_is_refused(text: str, said: str) -> None:
    """Before anything is made of it."""
    with pytest.raises(InputError) as caught:
        parse_job_file(text, "x.fio")
    assert said in caught.value.message


@given(st.lists(st.sampled_from([*JOB_FILE.splitlines(), "numjobs=9", "bs=1", "[x]", "=", "rw"])))
def test_job_files_raise_nothing_but_input_errors(lines: list[str]) -> None:
    """Whatever lines come, the answer is a load that fio can be given, or an InputError."""
    try:
        job = parse_job_file("\n".join(lines), "x.fio")
    except InputError:
        return
    assert fio_argv(job, "/dev/vda", scratch=True)


def test_too_many_loads_at_once_are_refused() -> None:
    """Fio would start a thread for each."""
    one = NAMED_LOADS["log"].job
    assert len(combine_jobs([one] * 32).all) == 32
    with pytest.raises(UsageError, match="33 loads at the same time"):
        combine_jobs([one] * 33)


def test_loads_at_once_all_run_as_long_as_the_longest() -> None:
    """Whichever is named first: fio ends when the last of them does."""
    one = NAMED_LOADS["log"].job
    both = combine_jobs([one, replace(one, runtime_s=60.0, ramp_s=2.0)])
    assert [(each.runtime_s, each.ramp_s) for each in both.all] == [(60.0, 2.0)] * 2


# Recorded guests -----------------------------------------------------------------------------

GUEST = RunningGuest(
    process=QemuProcess(
        pid=7, started_ticks=1, inner_pid=7, owner=0, stopped=False, cgroup="", command=b"qemu"
    ),
    manager="none",
    id="",
    name="web",
    uptime_s=1.0,
)


def _count(count: int, size_bytes: int = 0, time_ns: int = 0) -> Operations:
    return Operations(count=count, transferred_bytes=size_bytes, time_ns=time_ns)


def _look(at_s: float, **disks: tuple[Operations, Operations, Operations]) -> Look:
    at_ns = round(at_s * 1e9)
    sample = Sample(
        monotonic_ns=at_ns,
        wall_ns=at_ns,
        threads=(),
        disks_monotonic_ns=at_ns,
        disks=tuple(
            DiskSample(id=name, reads=reads, writes=writes, flushes=flushes, unmaps=_count(0))
            for name, (reads, writes, flushes) in disks.items()
        ),
        monitor="answered",
    )
    return Look(
        monotonic_ns=at_ns,
        wall_ns=at_ns,
        duration_s=0.0,
        observations=(Observation(guest=GUEST, sample=sample),),
    )


def test_recorded_disk_is_a_load_of_its_size_share_rate_depth_and_flushes() -> None:
    """1,000 requests a second, three of four read, 8 KiB each; a flush after each tenth write."""
    nothing = (_count(0), _count(0), _count(0))
    busy = (
        _count(7500, 7500 * 8192, 15_000_000_000),
        _count(2500, 2500 * 8192, 10_000_000_000),
        _count(250),
    )
    looks = [_look(0, virtio0=nothing, idle=nothing), _look(10, virtio0=busy, idle=nothing)]
    (found,) = derive_loads(looks)
    assert (found.guest, found.disk) == ("web", "virtio0")
    assert found.job == Job(
        name="live-virtio0",
        rw="randrw",
        block_size_bytes=8192,
        iodepth=3,
        read_percent=75,
        flush_every=10,
        rate_per_s=1000.0,
    )


def test_recorded_disk_that_only_reads_never_writes() -> None:
    """Its load can run on a disk that must not be written."""
    looks = [
        _look(0, a=(_count(0), _count(0), _count(0))),
        _look(1, a=(_count(100, 100 * 4096, 1000), _count(0), _count(5))),
    ]
    (found,) = derive_loads(looks)
    assert not found.job.writes
    assert "--readonly" in fio_argv(found.job, "/dev/vda")
    assert replace(found.job, rate_per_s=None).flush_every == 0


def test_recording_of_a_real_guest_gives_loads() -> None:
    """Of each disk that did anything, within the limits of a job."""
    path = Path(__file__).parents[2] / "data" / "guests" / "db.jsonl.gz"
    found = derive_loads(read_recording(str(path)))
    assert found
    assert {each.guest for each in found} == {"db"}
    for each in found:
        assert each.job.rate_per_s is not None
        assert fio_argv(each.job, "/dev/vda", scratch=True)
