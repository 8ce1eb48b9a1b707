"""Records pairs of runs whose true ratio is known, for `bench/method.py`.

    record_pairs.py FILE [--minutes 5] [--even-if-busy]

Boots two guests of one layout, as `vmio bench` does, and adds a line to FILE for each pair. A
round is a pair of each series: each default job with both sides alike, and one job with side A
limited to 1,000 requests a second and B to a share of it. The guests are booted anew after every
eight rounds, so that what two boots differ by is in the recording too: eight pairs of a series
in a row are a comparison as `vmio bench` makes it. FILE is continued if it exists; of a recording
that was interrupted, all whole comparisons are kept.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from vmio import app
from vmio.bench.compare import BootedGuest, boot_pair, measure_pair
from vmio.bench.jobs import DEFAULT_JOBS, Job
from vmio.bench.result import BUSY_SHARE, Measurement, Pair, Side
from vmio.guest.image import ensure_image
from vmio.qemu.boot import Boot
from vmio.qemu.signals import run_async

CONFIG: Final = Path(__file__).parents[1] / "examples/virtio-scsi-single/701.conf"
DISK: Final = "scsi0"
ROUNDS: Final = 8
"""Rounds of each boot: the pairs of a comparison."""
LIMIT_IOPS: Final = 1000
LIMITED_JOB: Final = Job(name="limited", rw="randread", block_size_bytes=4096, iodepth=1)
"""With depth 1, because fio waits for the requests in flight at the end of a run and counts that
time: with depth d at most L requests a second its figure is low by d/L seconds of the run."""
SERIES: Final[tuple[tuple[Job, float | None], ...]] = (
    *((job, None) for job in DEFAULT_JOBS),
    *((LIMITED_JOB, share) for share in (0.8, 0.9, 1.25)),
)
"""Jobs, each with B's limit as a share of A's; None for no limits."""


class RecordedRun(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One run."""

    iops: float
    p50_ns: int
    p99_ns: int
    p999_ns: int
    cpu_share: float
    """Processor time of all QEMU threads, in processors."""
    run_delay_share: float
    """Time that QEMU's threads waited for a processor, the sum over threads."""

    @property
    def waiting_share(self) -> float:
        """Time in which QEMU's threads waited for a processor, of that in which they could run."""
        return self.run_delay_share / (self.run_delay_share + self.cpu_share)


class RecordedPair(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line of a recording."""

    series: str
    """A job's name, or for limits `limited` with B's share of A's limit."""
    ratio: float
    """The true ratio of B's IOPS to A's."""
    round: int
    first: Side
    a: RecordedRun
    b: RecordedRun

    @property
    def busy(self) -> bool:
        """Whether `vmio bench` would mark it."""
        return max(self.a.waiting_share, self.b.waiting_share) > BUSY_SHARE


def read_recording(path: Path) -> list[RecordedPair]:
    """Returns the pairs of a recording, in order; a last line that was cut off is left out."""
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")[:-1]
    return [msgspec.json.decode(line, type=RecordedPair) for line in lines]


def name_series(job: Job, share: float | None) -> str:
    """Returns a series' name."""
    return job.name if share is None else f"{job.name}-{share:g}"


def condense(run: Measurement) -> RecordedRun:
    """Returns what is kept of a run."""
    figures = run.figures
    return RecordedRun(
        iops=round(figures.iops, 2),
        p50_ns=round(figures.latency_p50_ns),
        p99_ns=round(figures.latency_p99_ns),
        p999_ns=round(figures.latency_p999_ns),
        cpu_share=round(sum(load.cpu_share for load in run.threads), 4),
        run_delay_share=round(sum(load.run_delay_share for load in run.threads), 4),
    )


async def limit(guest: BootedGuest, iops: float) -> None:
    """Limits a guest's disk to a number of requests a second; 0 is no limit."""
    for block in await guest.process.qmp.execute("query-block"):
        device = str(block.get("qdev", ""))
        if DISK in device.split("/"):
            limits = dict.fromkeys(("bps", "bps_rd", "bps_wr", "iops_rd", "iops_wr"), 0)
            arguments = {"id": device, "iops": round(iops), **limits}
            await guest.process.qmp.execute("block_set_io_throttle", arguments)
            return
    raise SystemExit(f"no disk {DISK} to limit")


async def record(path: Path, boot: Boot, *, rounds: int, minutes: float) -> None:
    """Adds comparisons to the file, which has some rounds already, until the time is over."""
    layout = app.prepare_bench(
        str(CONFIG), str(CONFIG), host=app.read_host(None, binary=True), disk=DISK
    )
    ends_s = time.monotonic() + minutes * 60
    while time.monotonic() < ends_s:
        async with boot_pair(
            layout.a, layout.b, disk=DISK, boot=boot, scratch_bytes=layout.scratch_bytes
        ) as guests:
            for job in DEFAULT_JOBS:
                await measure_pair(guests, job, first="A")  # the first runs load fio
            for number in range(rounds, rounds + ROUNDS):
                await record_round(path, guests, number)
                left_s = max(0.0, ends_s - time.monotonic())
                print(f"{number + 1} rounds, {left_s:.0f} s left", file=sys.stderr, flush=True)
        rounds += ROUNDS


async def record_round(path: Path, guests: Mapping[Side, BootedGuest], number: int) -> None:
    """Measures a pair of each series."""
    for job, share in SERIES:
        await limit(guests["A"], 0 if share is None else LIMIT_IOPS)
        await limit(guests["B"], 0 if share is None else LIMIT_IOPS * share)
        first: Side = "A" if number % 2 == 0 else "B"
        pair = await measure_pair(guests, job, first=first)
        append(path, pair, name_series(job, share), share or 1.0, number)


def prepare(path: Path) -> int:
    """Removes the comparisons that were interrupted, and returns the number of rounds."""
    known = read_recording(path)
    ended = Counter(pair.round for pair in known)
    rounds = sum(count == len(SERIES) for count in ended.values()) // ROUNDS * ROUNDS
    kept = [pair for pair in known if pair.round < rounds]
    path.write_bytes(b"".join(msgspec.json.encode(pair) + b"\n" for pair in kept))
    return rounds


def append(path: Path, pair: Pair, series: str, ratio: float, number: int) -> None:
    """Adds a pair to a recording."""
    line = RecordedPair(
        series=series,
        ratio=ratio,
        round=number,
        first=pair.first,
        a=condense(pair.a),
        b=condense(pair.b),
    )
    with path.open("ab") as file:
        file.write(msgspec.json.encode(line) + b"\n")


def main() -> None:
    """Parses the options and records."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument(
        "--even-if-busy", action="store_true", help="record even if others use the host"
    )
    arguments = parser.parse_args()
    app.check_idle(force=arguments.even_if_busy)
    image = ensure_image(controllers=("virtio-scsi-pci",))
    boot, _ = app.choose_boot(
        kernel=str(image.kernel),
        initrd=str(image.initrd),
        append=image.append,
        memory_mib=app.BENCH_MEMORY_MIB,
    )
    rounds = prepare(arguments.file)
    run_async(record(arguments.file, boot, rounds=rounds, minutes=arguments.minutes))


if __name__ == "__main__":
    main()
