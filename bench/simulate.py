"""Measures the simulator: requests a second of both its forms, and a sweep on all processors.

    simulate.py [--settings N] [--requests N]

Each form runs one disk on one IOThread at depth 1 and 16, with and without polling. The sweep
takes as many values of poll_max_ns, each from one beginning, over processes; without numba it is
left out, since it would take half an hour.
"""

from __future__ import annotations

import argparse
import random
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from os import sched_getaffinity
from types import ModuleType

from vmio.sim import kernel, reference
from vmio.sim.profile import DEFAULT_PROFILE, Profile
from vmio.sim.reference import BY_HANDLER, Counts, Devices, Host, Loops, Queues

CASES = ((1, 0), (1, 32_768), (1, 1_000_000), (16, 0), (16, 32_768), (16, 1_000_000))
"""Depth and poll_max_ns."""
SAMPLES = 1 << 13


def simulate(
    form: ModuleType, depth: int, max_ns: int, requests: int, profile: Profile = DEFAULT_PROFILE
) -> None:
    """Runs one disk on one IOThread."""
    costs, source = profile.loop, random.Random(1)  # noqa: S311 - a simulation's, not a secret's
    quantiles = profile.service[0].quantiles_ns
    form.simulate(
        BY_HANDLER,
        loops=Loops(
            max_ns=[max_ns],
            grow=[0],
            shrink=[0],
            weight=[0],
            can_poll=[1],
            wake_ns=[costs.wake_ns],
            sleep_ns=[costs.sleep_ns],
            queue_run_ns=[costs.queue_run_ns],
            queue_request_ns=[costs.queue_request_ns],
            done_run_ns=[costs.done_run_ns],
            done_request_ns=[costs.done_request_ns],
            first_ns=[0],
        ),
        queues=Queues(
            loop=[0],
            device=[0],
            depth=[depth],
            interval_ns=[0],
            think_ns=[0],
            guest_run_ns=[profile.guest_run_ns],
            guest_request_ns=[profile.guest_request_ns],
        ),
        devices=Devices(
            samples=[source.choice(quantiles) for _ in range(SAMPLES)],
            size=SAMPLES,
            tables=[0],
            most=1,
        ),
        host=Host(
            syscall_ns=profile.syscall_ns,
            poll_pass_ns=profile.poll_pass_ns,
            self_kick_ns=profile.self_kick_ns,
            processors=64,
        ),
        gaps=[1024],
        requests=requests,
        warm_up=requests // 10,
        counts=Counts(
            cpu_ns=[0], sleeps=[0], passes=[0], polled=[0], latencies_ns=[0] * requests, events=[]
        ),
    )


def measure(form: ModuleType, depth: int, max_ns: int, requests: int) -> float:
    """Returns requests a second, the best of three runs."""
    best_s = float("inf")
    for _ in range(3):
        start_s = time.perf_counter()
        simulate(form, depth, max_ns, requests)
        best_s = min(best_s, time.perf_counter() - start_s)
    return requests * 1.1 / best_s


def run_setting(max_ns: int, requests: int) -> None:
    """Runs one point of the sweep."""
    simulate(kernel, 1, max_ns, requests)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=int, default=1000)
    parser.add_argument("--requests", type=int, default=100_000)
    arguments = parser.parse_args()
    compiled = kernel.is_available()
    if compiled:
        start_s = time.perf_counter()
        simulate(kernel, 1, 0, 100)
        print(f"compiling: {time.perf_counter() - start_s:.1f} s")
    print(f"{'depth':>5} {'poll_max_ns':>11} {'reference/s':>12} {'kernel/s':>12} {'ratio':>6}")
    for depth, max_ns in CASES:
        plain = measure(reference, depth, max_ns, 20_000)
        fast = measure(kernel, depth, max_ns, 1_000_000) if compiled else 0.0
        print(f"{depth:5} {max_ns:11} {plain:12,.0f} {fast:12,.0f} {fast / plain:6.1f}")
    if not compiled:
        print("numba is not installed: no kernel, no sweep")
        return
    workers = len(sched_getaffinity(0))
    start_s = time.perf_counter()
    with ProcessPoolExecutor(workers) as pool:
        points = range(0, 1000 * arguments.settings, 1000)
        for _ in pool.map(partial(run_setting, requests=arguments.requests), points, chunksize=10):
            pass
    print(
        f"sweep: {arguments.settings} settings of {arguments.requests} requests, {workers}"
        f" processes: {time.perf_counter() - start_s:.1f} s"
    )


if __name__ == "__main__":
    main()
