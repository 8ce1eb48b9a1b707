"""Measures the simulator: requests a second of both its forms, and a sweep on all processors.

    simulate.py [--settings N] [--requests N] [--only-sweep]

Each form runs one disk on one IOThread at depth 1 and 16, with and without polling. The sweep is
`vmio.app.simulate_sweep` over many values of poll_max_ns, as `vmio simulate --sweep` calls it:
each value from two initial states with two seeds, so that each of the four runs counts a quarter
of the requests, after a warm-up of a tenth of them. Wall time says little if other programs use
the processors too, so the processor time of all processes is printed as well.
"""

from __future__ import annotations

import argparse
import random
import time
from os import sched_getaffinity
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage
from types import ModuleType

from vmio import app
from vmio.model.source import Source
from vmio.sim import events, kernel
from vmio.sim.profile import DEFAULT_PROFILE, Profile
from vmio.sim.records import BY_HANDLER, Devices, Loops, Queues, build_world

CASES = ((1, 0), (1, 32_768), (1, 1_000_000), (16, 0), (16, 32_768), (16, 1_000_000))
"""Depth and poll_max_ns."""
SAMPLES = 1 << 13
CONFIG = b"scsi0: local:100/disk.raw,iothread=1,size=1G\nscsihw: virtio-scsi-single\n"
STEP_NS = 1000


def simulate(
    form: ModuleType, depth: int, max_ns: int, requests: int, profile: Profile = DEFAULT_PROFILE
) -> None:
    """Runs one disk on one IOThread."""
    source = random.Random(1)  # noqa: S311 - a simulation's, not a secret's
    quantiles = profile.service[0].quantiles_ns
    world = build_world(
        BY_HANDLER,
        loops=Loops.alone(max_ns),
        queues=Queues.alone(depth),
        devices=Devices(
            samples=[source.choice(quantiles) for _ in range(SAMPLES)],
            size=SAMPLES,
            tables=[0],
            most=1,
        ),
        costs=profile.costs,
        processors=64,
        requests=requests,
        warm_up=requests // 10,
    )
    form.run(world)


def measure(form: ModuleType, depth: int, max_ns: int, requests: int) -> float:
    """Returns requests a second, the best of three runs."""
    best_s = float("inf")
    for _ in range(3):
        start_s = time.perf_counter()
        simulate(form, depth, max_ns, requests)
        best_s = min(best_s, time.perf_counter() - start_s)
    return requests * 1.1 / best_s


def measure_forms() -> None:
    """Prints how fast Python and the compiled form are."""
    compiled = kernel.is_available()
    if compiled:
        start_s = time.perf_counter()
        simulate(kernel, 1, 0, 100)
        print(f"compiling: {time.perf_counter() - start_s:.1f} s")
    print(f"{'depth':>5} {'poll_max_ns':>11} {'python/s':>12} {'kernel/s':>12} {'ratio':>6}")
    for depth, max_ns in CASES:
        plain = measure(events, depth, max_ns, 20_000)
        fast = measure(kernel, depth, max_ns, 1_000_000) if compiled else 0.0
        print(f"{depth:5} {max_ns:11} {plain:12,.0f} {fast:12,.0f} {fast / plain:6.1f}")


def measure_sweep(settings: int, requests: int) -> None:
    """Prints the time of a sweep, from the config's text to the last point."""
    start_s, busy_s = time.perf_counter(), count_processor_time_s()
    host = app.read_host(None, qemu_version="10.0.2")
    guest = app.load_source(Source(name="100.conf", data=CONFIG), host=host, storages=None)
    values = f"poll_max_ns=0:{STEP_NS * (settings - 1)}:{STEP_NS}"
    grid, results = app.simulate_sweep(
        guest, host, "qd=1", [values], seeds=2, requests=requests // 4
    )
    points = sum(1 for _ in results)
    assert points == grid.size  # noqa: S101 - else it would not be what is printed
    print(
        f"sweep: {points} settings of {requests // 4 * 4} requests in 4 runs,"
        f" {len(sched_getaffinity(0))} processes: {time.perf_counter() - start_s:.1f} s,"
        f" of processors {count_processor_time_s() - busy_s:.1f} s"
    )


def count_processor_time_s() -> float:
    """Returns the processor time of this process and of those that it has waited for."""
    return sum(
        used.ru_utime + used.ru_stime for used in map(getrusage, (RUSAGE_SELF, RUSAGE_CHILDREN))
    )


def main() -> None:
    """Prints the table and the sweep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=int, default=1000)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--only-sweep", action="store_true")
    arguments = parser.parse_args()
    if not arguments.only_sweep:
        measure_forms()
    measure_sweep(arguments.settings, arguments.requests)


if __name__ == "__main__":
    main()
