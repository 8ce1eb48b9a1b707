"""Measures `vmio autopilot` on a real guest, against fixed values of poll-max-ns.

`python bench/autopilot.py FILE [ROUNDS]` boots the benchmark guest twice under TCG, each time with
a disk on an IOThread: one is steered all the time, the other has a fixed value. Only one of them
has a load at a time. The autopilot first sees each load until it has settled; then in each round
every load is measured on the steered guest, and on the other one with each fixed value, and both
without a load. FILE gets a line of JSON for each measurement. The best fixed value of a load is
the one with the least processor time of those within a tenth of the least latency; printed are the
ratios to it, with Student's interval on their logarithms. Processor time and mean latency are
QEMU's, from when it takes a request; the 99th percentile is fio's in the guest, and its bin of ten
a decade is printed, too. As root, QEMU's threads have real-time priority, so that other programs
of the host disturb it less; the run delay is in FILE.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import os
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from vmio.app.autopilot import steer_guests
from vmio.autopilot.intervals import Loops, measure_interval
from vmio.autopilot.pilot import AutopilotEvent
from vmio.autopilot.values import Interval, PollingGoal
from vmio.bench.statistics import paired_ratio
from vmio.observe.sampler import sample
from vmio.report.autopilot.words import describe_event
from vmio.testing.loaded_guest import Loaded, boot_loaded

FIXED_NS: Final = (0, 32_768, 1_000_000)
IDLE: Final = "idle"
LOADS: Final[dict[str, tuple[str, ...]]] = {
    IDLE: (),
    "trickle": ("--iodepth=1", "--rate_iops=200"),
    "depth 1": ("--iodepth=1",),
    "depth 32": ("--iodepth=32",),
}
OWN_NS: Final = 1_000_000
DISK: Final = "driver=file,filename={},cache.direct=on,aio=native"
DISK_BYTES: Final = 64 << 20
LOOPS: Final = Loops(iothreads=("io0",), disks=("vd0",))
INTERVAL_S: Final = 2.5
SEEN_S: Final = 2.2 * INTERVAL_S
"""Until the autopilot has seen a load that it knows, and done what follows."""
MEASURED_S: Final = 5.0
LEARNING_S: Final = 25
"""Of a load, until it is known whether the autopilot has settled."""
MOST_LEARNING: Final = 4
PER_DECADE: Final = 10


class Measured(Struct, frozen=True, kw_only=True):
    """What a guest does under a load."""

    interval: Interval
    p99_ns: float | None
    """From when the guest submits a read, by fio; None without a load."""


def prefer(pid: int) -> None:
    """Gives each thread of a process priority over all that is not real-time, if root asks."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):
            os.sched_setscheduler(int(task.name), os.SCHED_RR, os.sched_param(1))


async def set_poll(loaded: Loaded, poll_max_ns: int) -> None:
    """Sets it as a person would."""
    await loaded.process.qmp.execute(
        "qom-set", {"path": "/objects/io0", "property": "poll-max-ns", "value": poll_max_ns}
    )


async def measure(loaded: Loaded, load: str) -> Measured:
    """Returns what a guest does under a load that it has had for a while."""
    running = None
    if load != IDLE:
        # Of the first while nothing is counted, as here; fio 3.33 needs a runtime that is longer.
        times = (f"--ramp_time={SEEN_S * 1000:.0f}ms", f"--runtime={MEASURED_S + 1:.0f}s")
        running = asyncio.create_task(loaded.run_fio(loaded.devices[0], *LOADS[load], *times))
        await asyncio.sleep(SEEN_S)
    monitor = loaded.open_monitor()
    before = await sample(loaded.process.pid, monitor)
    await asyncio.sleep(MEASURED_S)
    interval = measure_interval(before, await sample(loaded.process.pid, monitor), LOOPS)
    reads = await running if running is not None else None
    if interval is None:
        raise RuntimeError("the guest could not be measured")
    p99_ns = float(reads["clat_ns"]["percentile"]["99.000000"]) if reads is not None else None
    return Measured(interval=interval, p99_ns=p99_ns)


async def learn(steered: Loaded, settled: asyncio.Event) -> None:
    """Has a guest each load until the autopilot knows it."""
    for options in filter(None, LOADS.values()):
        settled.clear()
        for _ in range(MOST_LEARNING):
            await steered.run_fio(steered.devices[0], *options, f"--runtime={LEARNING_S}s")
            if settled.is_set():
                break


async def run(path: Path, rounds: int) -> None:
    """Measures every load and setting, and prints the figures."""
    found: dict[str, dict[int | None, list[Measured]]] = {
        load: {setting: [] for setting in (None, *FIXED_NS)} for load in LOADS
    }
    settled = asyncio.Event()

    def report(event: AutopilotEvent) -> None:
        if event.step is None:
            print(describe_event(event), file=sys.stderr, flush=True)
        if event.decision is not None and event.decision.kind == "settle":
            settled.set()

    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        places = [Path(folder, name) for name in ("steered", "other")]
        for place in places:
            place.write_bytes(os.urandom(DISK_BYTES))
        steered_disk, other_disk = (DISK.format(place) for place in places)
        async with boot_loaded(steered_disk) as steered, boot_loaded(other_disk) as other:
            for each in (steered, other):
                prefer(each.process.pid)
            await set_poll(steered, OWN_NS)
            pilot = asyncio.create_task(
                steer_guests(
                    [f"pid:{steered.process.pid}"],
                    PollingGoal(),
                    interval_s=INTERVAL_S,
                    folder=Path(folder, "records"),
                    report=report,
                )
            )
            await learn(steered, settled)
            for number in range(rounds):
                for load, setting in itertools.product(found, (None, *FIXED_NS)):
                    if setting is not None:
                        await set_poll(other, setting)
                    measured = await measure(steered if setting is None else other, load)
                    found[load][setting].append(measured)
                    # The figures have a load of their own.
                    line = {"round": number, "phase": load, "fixed_ns": setting}
                    line |= {"p99_ns": measured.p99_ns, **msgspec.to_builtins(measured.interval)}
                    with path.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(line) + "\n")
            pilot.cancel()
            with suppress(asyncio.CancelledError):
                await pilot
    for load, by_setting in found.items():
        (tell_idle if load == IDLE else compare)(load, by_setting)


def tell_idle(load: str, found: Mapping[int | None, Sequence[Measured]]) -> None:
    """Prints the share of a processor that a loop without requests takes."""
    print(f"{load}: share of a processor")
    for setting, measured in found.items():
        shares = [each.interval.cpu_share for each in measured]
        print(
            f"  {name(setting)}: {statistics.median(shares):.3%}"
            f" ({min(shares):.3%} to {max(shares):.3%})"
        )


def name(setting: int | None) -> str:
    """Returns what the guest with a setting is called."""
    return "steered" if setting is None else str(setting)


def compare(load: str, found: Mapping[int | None, Sequence[Measured]]) -> None:
    """Prints the ratios of the steered guest to the best fixed value of a load."""

    def list_column(number: int) -> dict[int | None, list[float]]:
        return {
            setting: [list_figures(each)[number] for each in measured]
            for setting, measured in found.items()
        }

    latencies, costs, tails = map(list_column, range(3))
    latency, cpu, p99 = (
        {setting: statistics.median(values) for setting, values in figures.items()}
        for figures in (latencies, costs, tails)
    )
    least_ns = min(latency[each] for each in FIXED_NS)
    best = min(
        (each for each in FIXED_NS if latency[each] <= 1.1 * least_ns), key=lambda each: cpu[each]
    )
    for what, figures in (
        ("processor time of a request", costs),
        ("mean latency", latencies),
        ("99th percentile of the latency in the guest", tails),
    ):
        pairs = list(zip(figures[best], figures[None], strict=True))
        ratios = [b / a for a, b in pairs]
        if len(pairs) > 1:
            ratio = paired_ratio(pairs)
            text = f"{ratio.ratio:.2f} ({ratio.low:.2f} to {ratio.high:.2f} with 95 %)"
        else:
            text = f"{ratios[0]:.2f}"
        print(
            f"{load}: {what}, to that at {best}: {text},"
            f" in each round {', '.join(f'{each:.2f}' for each in ratios)}"
        )
    for setting in found:
        low_us, high_us = find_bin(p99[setting] / 1000)
        print(
            f"  {name(setting)}: {cpu[setting] / 1000:.1f} µs of a processor,"
            f" {latency[setting] / 1000:.0f} µs, 99th percentile {p99[setting] / 1000:.0f} µs"
            f" ({low_us:.0f} to {high_us:.0f})"
        )


def list_figures(measured: Measured) -> tuple[float, float, float]:
    """Returns the mean latency, the processor time and the 99th percentile of a request."""
    interval = measured.interval
    return interval.latency_mean_ns, interval.cpu_per_request_ns, measured.p99_ns or math.nan


def find_bin(value: float) -> tuple[float, float]:
    """Returns the ends of the bin that a value is in, of those with ten a decade."""
    number = math.floor(math.log10(value) * PER_DECADE)
    return 10 ** (number / PER_DECADE), 10 ** ((number + 1) / PER_DECADE)


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1]), int(sys.argv[2]) if sys.argv[2:] else 3))
