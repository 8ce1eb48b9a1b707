"""Measures `vmio autopilot` on a real guest, against fixed values of poll-max-ns.

`python bench/autopilot.py FILE [ROUNDS]` boots the benchmark guest twice under TCG, each time with
a disk on an IOThread: one is steered all the time, the other has a fixed value. Only one of them
has a load at a time. The autopilot first sees each load for a while; then in each round
every load is measured on the steered guest, and on the other one with each fixed value. FILE gets
a line of JSON for each measurement. The best fixed value of a load is the one with the least
processor time of those within a tenth of the least latency; printed are the medians of the ratios
to it, with their range. As root, QEMU's threads have real-time priority, so that other programs of
the host disturb it less; the run delay is in FILE.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from vmio.app.autopilot import steer_guests
from vmio.autopilot.intervals import Loops, measure_interval
from vmio.autopilot.pilot import AutopilotEvent
from vmio.autopilot.values import Interval, PollingGoal
from vmio.observe.sampler import sample
from vmio.report.autopilot.words import describe_event
from vmio.testing.loaded_guest import Loaded, boot_loaded

FIXED_NS: Final = (0, 32_768, 1_000_000)
LOADS: Final = {
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
LEARNING_S: Final = 75


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


async def measure(loaded: Loaded, load: str) -> Interval:
    """Returns what a guest does under a load that it has had for a while."""
    runtime = f"--runtime={SEEN_S + MEASURED_S + 1.5:.0f}s"
    running = asyncio.create_task(loaded.run_fio(loaded.devices[0], *LOADS[load], runtime))
    await asyncio.sleep(SEEN_S)
    monitor = loaded.open_monitor()
    before = await sample(loaded.process.pid, monitor)
    await asyncio.sleep(MEASURED_S)
    interval = measure_interval(before, await sample(loaded.process.pid, monitor), LOOPS)
    await running
    if interval is None:
        raise RuntimeError("the guest could not be measured")
    return interval


async def run(path: Path, rounds: int) -> None:
    """Measures every load and setting, and prints the figures."""
    found: dict[str, dict[int | None, list[Interval]]] = {
        load: {setting: [] for setting in (None, *FIXED_NS)} for load in LOADS
    }

    def report(event: AutopilotEvent) -> None:
        print(describe_event(event), file=sys.stderr, flush=True)

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
            for options in LOADS.values():
                learning = f"--runtime={LEARNING_S}s"
                await steered.run_fio(steered.devices[0], *options, learning)
            for number in range(rounds):
                for load, by_setting in found.items():
                    for setting, intervals in by_setting.items():
                        if setting is not None:
                            await set_poll(other, setting)
                        intervals.append(
                            await measure(steered if setting is None else other, load)
                        )
                        line = {"round": number, "load": load, "fixed_ns": setting}
                        line |= msgspec.to_builtins(intervals[-1])
                        with path.open("a", encoding="utf-8") as file:
                            file.write(json.dumps(line) + "\n")
            pilot.cancel()
            with suppress(asyncio.CancelledError):
                await pilot
    for load, by_setting in found.items():
        compare(load, by_setting)


def compare(load: str, found: Mapping[int | None, Sequence[Interval]]) -> None:
    """Prints the ratios of the steered guest to the best fixed value of a load."""
    latency, cpu = (
        {
            setting: statistics.median(getattr(each, name) for each in intervals)
            for setting, intervals in found.items()
        }
        for name in ("latency_mean_ns", "cpu_per_request_ns")
    )
    least_ns = min(latency[each] for each in FIXED_NS)
    best = min(
        (each for each in FIXED_NS if latency[each] <= 1.1 * least_ns), key=lambda each: cpu[each]
    )
    pairs = list(zip(found[None], found[best], strict=True))
    for name, values in (
        ("processor time", [a.cpu_per_request_ns / b.cpu_per_request_ns for a, b in pairs]),
        ("latency", [a.latency_mean_ns / b.latency_mean_ns for a, b in pairs]),
    ):
        print(
            f"{load}: {name} of a request, to that at {best}: {statistics.median(values):.2f}"
            f" ({min(values):.2f} to {max(values):.2f})"
        )
    for setting in found:
        print(
            f"  {'steered' if setting is None else setting}: {cpu[setting] / 1000:.1f} µs of a"
            f" processor, {latency[setting] / 1000:.0f} µs"
        )


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1]), int(sys.argv[2]) if sys.argv[2:] else 3))
