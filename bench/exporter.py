"""Measures what metrics cost: figures of a look, and writing them in both formats.

    exporter.py [-g GUESTS] [-d DISKS] [-n ROUNDS]

The looks are made of a recorded guest's samples, once for each guest, with 12 threads and the
disks that are asked for; no process is looked at. What is printed is processor time.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import msgspec
from msgspec import Struct

from vmio.exporter.collector import render_figures
from vmio.exporter.figures import HostFigures, HostFiguresTracker
from vmio.host.running import QemuProcess
from vmio.managers.discovery import RunningGuest
from vmio.model.topology import Topology
from vmio.observe.histograms import FINE_BOUNDARIES_NS
from vmio.observe.readings import Look, Observation
from vmio.observe.sample import DiskSample, Histogram, Sample, ThreadSample
from vmio.values import replace

RECORDED = Path(__file__).parents[1] / "tests" / "data" / "situations" / "recorded.json"
SITUATION = "disk-busy"
FORMATS = {"text": "", "OpenMetrics": "application/openmetrics-text;version=1.0.0"}
TARGET_S = 0.3
THREADS = 12
EMPTY = Histogram(boundaries_ns=FINE_BOUNDARIES_NS, counts=(0,) * (len(FINE_BOUNDARIES_NS) + 1))


class Recorded(Struct, frozen=True, kw_only=True):
    """What is needed of the file with recorded situations."""

    layout: Topology
    situations: dict[str, tuple[Sample, ...]]


def make_guest(number: int, layout: Topology) -> RunningGuest:
    """Returns a guest of Proxmox VE."""
    process = QemuProcess(
        pid=number,
        started_ticks=number,
        inner_pid=number,
        owner=0,
        stopped=False,
        cgroup="",
        command=b"",
    )
    return RunningGuest(
        process=process,
        manager="proxmox",
        id=str(number),
        name=f"guest{number}",
        uptime_s=1.0,
        layout=layout,
    )


def widen(sample: Sample, disks: int, *, latencies: bool) -> Sample:
    """Returns a sample with so many disks and threads."""
    more: list[DiskSample] = []
    for number in range(disks):
        disk = sample.disks[number % len(sample.disks)]
        histogram = EMPTY if latencies else None
        more.append(
            replace(
                disk,
                id=disk.id if number < len(sample.disks) else f"more{number}",
                reads=replace(disk.reads, histogram=histogram),
                writes=replace(disk.writes, histogram=histogram),
                flushes=replace(disk.flushes, histogram=histogram),
            )
        )
    vcpu = next(each for each in sample.threads if each.role == "vcpu")
    threads: list[ThreadSample] = [*sample.threads]
    while len(threads) < THREADS:
        number = len(threads)
        threads.append(replace(vcpu, thread_id=10**7 + number, name=f"vCPU {number}"))
    return replace(sample, disks=tuple(more), threads=tuple(threads))


def measure(recorded: Recorded, guests: int, disks: int, rounds: int, *, latencies: bool) -> None:
    """Prints what figures and their exposition take."""
    samples = [widen(each, disks, latencies=latencies) for each in recorded.situations[SITUATION]]
    running = [make_guest(100 + number, recorded.layout) for number in range(guests)]
    times_s: dict[str, list[float]] = {"figures": [], **{name: [] for name in FORMATS}}
    size_bytes, lines = 0, 0
    for _ in range(rounds):
        tracker = HostFiguresTracker()
        figures: HostFigures | None = None
        for sample in samples:
            look = Look(
                monotonic_ns=sample.monotonic_ns,
                wall_ns=sample.wall_ns,
                duration_s=0.0,
                observations=tuple(Observation(guest=each, sample=sample) for each in running),
            )
            began_s = time.process_time()
            figures = tracker.add(look)
            times_s["figures"].append(time.process_time() - began_s)
        assert figures is not None  # noqa: S101 - a situation has samples
        for name, accept in FORMATS.items():
            began_s = time.process_time()
            body, _ = render_figures(figures, accept)
            times_s[name].append(time.process_time() - began_s)
            size_bytes, lines = len(body), body.count(b"\n")
    print(
        f"{guests} guests with {disks} disks and {THREADS} threads each"
        f"{', latencies' if latencies else ''}: {lines:,} lines, {size_bytes / 1e6:.1f} MB"
    )
    for name, found_s in times_s.items():
        print(
            f"  {name:12} median {statistics.median(found_s):.3f}, {min(found_s):.3f} to"
            f" {max(found_s):.3f} s" + (f" (target {TARGET_S:g})" if name in FORMATS else "")
        )


def main() -> None:
    """Prints all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-g", "--guests", type=int, default=100, metavar="N")
    parser.add_argument("-d", "--disks", type=int, default=4, metavar="N")
    parser.add_argument("-n", "--rounds", type=int, default=10, metavar="N")
    options = parser.parse_args()
    if min(options.guests, options.disks, options.rounds) < 1:
        parser.error("N must be at least 1")
    recorded = msgspec.json.decode(RECORDED.read_bytes(), type=Recorded)
    for latencies in (False, True):
        measure(recorded, options.guests, options.disks, options.rounds, latencies=latencies)


if __name__ == "__main__":
    main()
