"""Measures one sample of a process with many threads, compared with reading the same files.

    observe.py [-t THREADS] [-n ROUNDS]

Each round takes both in turn, so that other load on the host affects both.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import threading
import time

from vmio.observe.sampler import sample

FILES = ("stat", "schedstat", "status")


def read_files() -> None:
    """Opens, reads and closes the files of each thread of this process, with the fewest calls."""
    tasks = os.open("/proc/self/task", os.O_RDONLY)
    for thread in os.listdir(tasks):  # noqa: PTH208 - by the fewest calls
        for name in FILES:
            descriptor = os.open(f"{thread}/{name}", os.O_RDONLY, dir_fd=tasks)
            os.read(descriptor, 4096)
            os.close(descriptor)
    os.close(tasks)


async def measure(rounds: int) -> tuple[list[float], list[float]]:
    """Returns the processor milliseconds of each sample and of each plain reading."""
    pid = os.getpid()
    sampled_ms, read_ms = [], []
    for _ in range(rounds):
        began_ns = time.thread_time_ns()
        await sample(pid)
        between_ns = time.thread_time_ns()
        read_files()
        sampled_ms.append((between_ns - began_ns) / 1e6)
        read_ms.append((time.thread_time_ns() - between_ns) / 1e6)
    return sampled_ms, read_ms


def main() -> None:
    """Prints the shortest, median and longest time of both, and the median of their ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-t", "--threads", type=int, default=100, metavar="N")
    parser.add_argument("-n", "--rounds", type=int, default=200, metavar="N")
    options = parser.parse_args()
    if options.rounds < 1 or options.threads < 1:
        parser.error("N must be at least 1")
    end = threading.Event()
    for _ in range(options.threads - 1):
        threading.Thread(target=end.wait).start()
    try:
        sampled_ms, read_ms = asyncio.run(measure(options.rounds))
    finally:
        end.set()
    print(f"{'min':>6} {'median':>6} {'max':>6}")
    for times_ms, what in ((sampled_ms, "a sample"), (read_ms, "reading the files alone")):
        print(
            f"{min(times_ms):6.2f} {statistics.median(times_ms):6.2f} {max(times_ms):6.2f} ms"
            f"  {what}, {options.threads} threads"
        )
    ratios = [a / b for a, b in zip(sampled_ms, read_ms, strict=True)]
    print(f"{statistics.median(ratios):6.2f} times as long")


if __name__ == "__main__":
    main()
