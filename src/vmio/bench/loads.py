"""Loads: named ones, fio's job files, and those of recorded guests.

A job file is somebody else's text: fio itself would write the files and run the commands that it
names. Here its options are read one by one, and only those that describe a load are taken.

Source: fio 3.33, its manual page.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from msgspec import Struct

from vmio.bench.jobs import MAX_BESIDE, AccessPattern, Job, make_job, parse_count
from vmio.errors import InputError, UsageError, VmioError
from vmio.observe.rates import DiskRates, OperationRates
from vmio.observe.readings import HostTracker, Look, Reading
from vmio.units import KIB
from vmio.values import replace

__all__ = [
    "NAMED_LOADS",
    "NamedLoad",
    "RecordedLoad",
    "combine_jobs",
    "derive_loads",
    "parse_job_file",
]


class NamedLoad(Struct, frozen=True, kw_only=True):
    """A load that has a name."""

    job: Job
    meaning: str
    """What it stands for, in one line."""
    source: str
    """Where its numbers are from."""


def _make_load(
    name: str,
    rw: AccessPattern,
    block_kib: int,
    iodepth: int,
    *,
    read_percent: int = 50,
    flush_every: int = 0,
    meaning: str,
    source: str,
) -> NamedLoad:
    job = Job(
        name=name,
        rw=rw,
        block_size_bytes=block_kib * KIB,
        iodepth=iodepth,
        read_percent=read_percent,
        flush_every=flush_every,
    )
    return NamedLoad(job=job, meaning=meaning, source=source)


NAMED_LOADS: Final[Mapping[str, NamedLoad]] = {
    each.job.name: each
    for each in (
        _make_load(
            "database",
            "randrw",
            8,
            16,
            read_percent=70,
            flush_every=16,
            meaning="pages of a database: 8 KiB at random, 70 % reads, 16 in flight",
            source="PostgreSQL's page is 8 KiB (its manual, block_size); the share of reads and "
            "the depth are those of data sheets of storage for OLTP, not a fact about databases",
        ),
        _make_load(
            "boot-storm",
            "randrw",
            8,
            16,
            read_percent=95,
            meaning="many guests that boot at once: 8 KiB at random, 95 % reads, 16 in flight",
            source="ThinScale, ThinIO facts and figures, part 2: a Windows guest boots with "
            "70,000 requests, which read 500 to 600 MB and write 20 to 30 MB; 16 guests at once",
        ),
        _make_load(
            "streaming",
            "read",
            256,
            8,
            meaning="a large file: 256 KiB in sequence, 8 in flight",
            source="Linux reads files ahead in up to 128 KiB by default (read_ahead_kb), several "
            "at a time; media servers and backups set more",
        ),
        _make_load(
            "mixed-70-30",
            "randrw",
            4,
            32,
            read_percent=70,
            meaning="a mix as in data sheets: 4 KiB at random, 70 % reads, 32 in flight",
            source="the usual mix of data sheets of storage; 4 KiB is the page and the usual "
            "block of Linux file systems",
        ),
        _make_load(
            "log",
            "write",
            8,
            1,
            flush_every=1,
            meaning="a database's log: 8 KiB in sequence, one at a time, each with fdatasync",
            source="PostgreSQL's log has blocks of 8 KiB and is written with fdatasync on Linux "
            "(its manual, wal_block_size and wal_sync_method)",
        ),
        _make_load(
            "metadata",
            "randwrite",
            4,
            4,
            flush_every=8,
            meaning="many small files: 4 KiB writes at random, 4 in flight, a flush after each 8",
            source="blocks of directories and inodes are 4 KiB in ext4 and XFS, and each commit "
            "of their journals flushes; how many blocks a commit has is an assumption",
        ),
    )
}
"""The named loads, by name."""


def combine_jobs(jobs: Sequence[Job]) -> Job:
    """Returns jobs as one that has the others beside itself; all run as long as the longest.

    Raises:
        UsageError: They are too many.
    """
    flat = [part for each in jobs for part in (replace(each, beside=()), *each.beside)]
    if len(flat) > MAX_BESIDE + 1:
        raise UsageError(
            f"{len(flat)} loads at the same time are too many",
            hint=f"{MAX_BESIDE + 1} are the most",
        )
    longest = max(flat, key=lambda each: (each.runtime_s, each.ramp_s))
    return replace(
        flat[0],
        beside=tuple(flat[1:]),
        runtime_s=longest.runtime_s,
        ramp_s=longest.ramp_s,
    )


# Job files -----------------------------------------------------------------------------------

_MAX_CHARACTERS: Final = 1 << 18
_MAX_SECTIONS: Final = MAX_BESIDE + 1
_ALIASES: Final = {
    "readwrite": "rw",
    "blocksize": "bs",
    "ramp_time": "ramp",
    "fsync": "fdatasync",
}
"""Names of one option; `fsync` counts writes as `fdatasync` does, and a disk has nothing but data
to flush."""
_TAKEN: Final = frozenset(
    {"rw", "bs", "iodepth", "rwmixread", "rwmixwrite", "fdatasync", "rate_iops", "runtime"}
    | {"ramp", "numjobs"}
)
_OURS: Final = frozenset(
    {"time_based", "group_reporting", "thread", "norandommap", "randrepeat", "size", "loops"}
    | {"clocksource", "lat_percentiles", "clat_percentiles", "percentile_list", "gtod_reduce"}
    | {"invalidate", "unified_rw_reporting", "name", "description", "io_size", "filesize"}
    | {"fallocate", "create_on_open", "unlink", "end_fsync", "refill_buffers", "randseed"}
)
"""Options that vmio sets itself, for all of a disk and a fixed time."""
_ENGINES: Final = frozenset(
    {"libaio", "io_uring", "posixaio", "sync", "psync", "pvsync", "pvsync2"}
)
_FILES: Final = "it names files"
_COMMANDS: Final = "it runs commands"
_SETTINGS: Final = "it changes settings of the guest"
_REFUSED: Final[Mapping[str, str]] = {
    **dict.fromkeys(("filename", "directory", "opendir", "filename_format", "include"), _FILES),
    **dict.fromkeys(("read_iolog", "write_iolog", "replay_redirect", "aux_path"), _FILES),
    **dict.fromkeys(("write_bw_log", "write_lat_log", "write_iops_log", "write_hist_log"), _FILES),
    **dict.fromkeys(("buffer_pattern", "verify_pattern", "trigger_file", "mem", "iomem"), _FILES),
    **dict.fromkeys(("exec_prerun", "exec_postrun", "trigger", "program"), _COMMANDS),
    **dict.fromkeys(("ioscheduler", "prio", "prioclass", "nice", "cgroup"), _SETTINGS),
    **dict.fromkeys(("cpus_allowed", "cpumask", "numa_cpu_nodes", "uid", "gid"), _SETTINGS),
    **dict.fromkeys(("hostname", "port", "listen"), "it contacts another host"),
    "profile": "it loads another load",
    **dict.fromkeys(("stonewall", "wait_for", "startdelay"), "all loads run at the same time"),
    **dict.fromkeys(("bssplit", "bsrange", "blocksize_range"), "a load has blocks of one size"),
}
_SECTION: Final = re.compile(r"\[([^\[\]]{1,80})\]")
_TIME: Final = re.compile(r"(\d{1,6}(?:\.\d{1,6})?)\s*(us|ms|s|m)?", re.ASCII)
_TIMES_S: Final[Mapping[str | None, float]] = {None: 1, "us": 1e-6, "ms": 1e-3, "s": 1, "m": 60}
_HINT: Final = "docs/guide/bench.md lists the options that are taken"


def parse_job_file(text: str, name: str, *, runtime_s: float | None = None) -> Job:
    """Parses a job file of fio, whose sections are loads of one disk at the same time.

    Args:
        text: The file's content.
        name: Its name, for errors.
        runtime_s: The runtime, instead of that in the file.

    Raises:
        InputError: It is no job file, or has an option that vmio does not take.
    """
    if len(text) > _MAX_CHARACTERS:
        raise InputError(f"{name} is too large for a job file")
    jobs: list[Job] = []
    for title, options in _read_sections(text, name):
        try:
            jobs += _make_jobs(title, options, runtime_s)
        except (ValueError, VmioError) as error:
            reason = error.message if isinstance(error, VmioError) else str(error)
            raise InputError(f"{name}: [{title[:40]}]: {reason}", hint=_HINT) from error
        if len(jobs) > _MAX_SECTIONS:
            raise InputError(f"{name} has more than {_MAX_SECTIONS} loads")
    if not jobs:
        raise InputError(f"{name} has no section with a job", hint=_HINT)
    return combine_jobs(jobs)


def _read_sections(text: str, name: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Yields each job's title and its options, with those of the global sections before it."""
    common: dict[str, str] = {}
    title: str | None = None
    options: dict[str, str] = {}
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        where = f"{name}:{number}"
        section = _SECTION.fullmatch(line)
        if section is not None:
            if title is not None:
                yield title, options
            title = None if section[1] == "global" else section[1]
            options = common if title is None else dict(common)
            continue
        key, value = _read_option(line, where)
        if title is None and options is not common:
            raise InputError(f"{where}: '{key[:40]}' is in no section", hint=_HINT)
        options[key] = value
    if title is not None:
        yield title, options


def _read_option(line: str, where: str) -> tuple[str, str]:
    """Returns an option and its value.

    Raises:
        InputError: It is not one that vmio takes; the reason is in the message.
    """
    key, equals, value = (piece.strip() for piece in line.partition("="))
    key = _ALIASES.get(key, key)
    if "$" in value:
        raise InputError(f"{where}: '{key[:40]}' is refused: it uses the environment", hint=_HINT)
    if key in _TAKEN and equals and value:
        return key, value
    if key in _OURS:
        return key, value
    if key == "ioengine":
        if value in _ENGINES:
            return key, value
        reason = "it can load a library, run commands, or needs more than a disk"
        raise InputError(f"{where}: ioengine={value[:40]} is refused: {reason}", hint=_HINT)
    if key in {"direct", "buffered"}:
        if (value or "1") == ("1" if key == "direct" else "0"):
            return key, value
        raise InputError(
            f"{where}: {key}={value[:40]} is refused: the guest's memory would be measured",
            hint=_HINT,
        )
    word = key.partition(" ")[0]  # such as "include FILE"
    reason = _REFUSED.get(word, "it is not among the options that describe a load")
    raise InputError(f"{where}: '{key[:40]}' is refused: {reason}", hint=_HINT)


def _make_jobs(title: str, options: Mapping[str, str], runtime_s: float | None) -> Iterator[Job]:
    """Yields the jobs of a section, one for each of its processes."""
    copies = parse_count("numjobs", options.get("numjobs", "1"))
    if not 1 <= copies <= _MAX_SECTIONS:
        raise ValueError(f"numjobs={copies}: 1 to {_MAX_SECTIONS} can run at the same time")
    given = {
        key: options[key]
        for key in ("rw", "bs", "iodepth", "rwmixread", "fdatasync")
        if key in options
    }
    given.setdefault("rw", "read")  # as fio itself does
    for key, value in given.items():
        if "," in value:
            raise ValueError(f"{key}={value[:40]} has several values")
    if options.get("ioengine", "libaio") in {"sync", "psync", "pvsync", "pvsync2"}:
        given["iodepth"] = "1"
    if "rwmixwrite" in options and "rwmixread" not in options:
        writes = parse_count("rwmixwrite", options["rwmixwrite"])
        if writes > 100:  # noqa: PLR2004  # it is a percentage
            raise ValueError(f"rwmixwrite={writes} is more than 100 percent")
        given["rwmixread"] = f"{100 - writes}"
    if "rate_iops" in options:
        given |= _read_rate(options["rate_iops"], given["rw"])
    times = {
        key: f"{_parse_time(key, options[key]):.6f}"
        for key in ("runtime", "ramp")
        if key in options
    }
    if runtime_s is not None:
        times["runtime"] = f"{runtime_s:.6f}"
    plain = re.sub(r"[^\w.+-]", "-", title, flags=re.ASCII)[:36]
    for number in range(copies):
        words = {**given, **times, "name": plain if copies == 1 else f"{plain}.{number + 1}"}
        yield make_job(words)


def _read_rate(text: str, rw: str) -> dict[str, str]:
    """Returns the requests a second of all directions, and of a mix the share of reads.

    fio limits each direction by itself, to one rate or to its own (`READS,WRITES`), so that a mix
    is that of the rates, whatever else is asked for.
    """
    rates = [parse_count("rate_iops", each) for each in text.split(",")]
    reads, writes = rates[0], rates[min(1, len(rates) - 1)]
    if rw not in {"rw", "randrw"}:
        return {"rate_iops": f"{writes if rw in {'write', 'randwrite'} else reads}"}
    if not reads or not writes:
        raise ValueError(f"rate_iops={text[:40]} limits only one direction of a mix")
    both = reads + writes
    return {"rate_iops": f"{both}", "rwmixread": f"{round(100 * reads / both)}"}


def _parse_time(key: str, text: str) -> float:
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(f"{key}={text[:40]} is not a time")
    return float(match[1]) * _TIMES_S[match[2]]


# Recorded guests -----------------------------------------------------------------------------

_LEAST_PER_S: Final = 1.0
"""Requests a second below which a disk has no load worth a measurement."""
_BLOCK: Final = 4 * KIB
_MAX_BLOCK: Final = 1024 * KIB
_MAX_DEPTH: Final = 256


class RecordedLoad(Struct, frozen=True, kw_only=True):
    """What a recorded guest did on one of its disks, as a load."""

    guest: str
    """The guest's name, or its number if it has none."""
    disk: str
    job: Job


class _Sums(Struct, kw_only=True):
    """What a disk did in all windows in which it is known."""

    seconds: float = 0.0
    reads: int = 0
    writes: int = 0
    flushes: int = 0
    size_bytes: float = 0.0
    deepest: float = 0.0
    """The largest mean depth of a window: the limit of a load whose requests come at random."""

    def add(self, rates: DiskRates, duration_s: float) -> None:
        """Adds a window."""
        self.seconds += duration_s
        self.reads += rates.reads.count or 0
        self.writes += rates.writes.count or 0
        self.flushes += rates.flushes.count or 0
        for each in (rates.reads, rates.writes):
            self.size_bytes += (each.bytes_per_s or 0.0) * duration_s
        self.deepest = max(self.deepest, _find_depth(rates.reads) + _find_depth(rates.writes))


def derive_loads(looks: Iterable[Look]) -> tuple[RecordedLoad, ...]:
    """Returns the load of each disk of recorded guests that did anything.

    A load has the mean size, the share of reads, the rate and the flushes of the recording; in
    flight are as many requests as in its deepest window. QEMU does not count where on a disk
    requests are: they are taken as random, which is the harder load for a disk.
    """
    tracker = HostTracker()
    sums: dict[tuple[str, str], _Sums] = {}
    for look in looks:
        for reading in tracker.add(look):
            rates = reading.rates
            if rates is None or not rates.disks_duration_s:
                continue
            for disk in rates.disks:
                own = sums.setdefault((_name_guest(reading), disk.id), _Sums())
                own.add(disk, rates.disks_duration_s)
    return tuple(
        RecordedLoad(guest=guest, disk=disk, job=_make_job(disk, each))
        for (guest, disk), each in sums.items()
        if each.seconds and (each.reads + each.writes) / each.seconds >= _LEAST_PER_S
    )


def _make_job(disk: str, sums: _Sums) -> Job:
    requests = sums.reads + sums.writes
    size_bytes = round(sums.size_bytes / requests / _BLOCK) * _BLOCK
    rw: AccessPattern = "randrw"
    if not sums.writes or not sums.reads:
        rw = "randread" if sums.reads else "randwrite"
    return Job(
        name=re.sub(r"[^\w.+-]", "-", f"live-{disk}", flags=re.ASCII)[:40],
        rw=rw,
        block_size_bytes=min(_MAX_BLOCK, max(_BLOCK, size_bytes)),
        iodepth=min(_MAX_DEPTH, max(1, math.ceil(sums.deepest))),
        read_percent=round(100 * sums.reads / requests),
        flush_every=max(1, round(sums.writes / sums.flushes))
        if sums.flushes and sums.writes
        else 0,
        rate_per_s=min(1e7, requests / sums.seconds),
    )


def _find_depth(rates: OperationRates) -> float:
    return rates.depth_mean or 0.0


def _name_guest(reading: Reading) -> str:
    guest = reading.guest
    return guest.name or guest.id or guest.address
