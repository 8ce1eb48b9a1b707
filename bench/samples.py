"""Measures what watching guests costs: one with many disks, and a hundred with four each.

    samples.py [-g GUESTS] [-n ROUNDS] [--keep]

The guests are QEMUs that never start their vCPUs, with disks that do nothing. What is printed
is the processor time of this process alone, and apart from it that of the QEMUs, which answer.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import statistics
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from vmio.observe.readings import HostTracker
from vmio.observe.sampler import open_sampler
from vmio.observe.watching import watch_host
from vmio.qemu.brief import BriefMonitor
from vmio.qemu.folder import open_runtime_folder
from vmio.qemu.process import QemuProcess

if TYPE_CHECKING:
    from collections.abc import Iterable

TARGETS_MS = {4: 2.0, 30: 8.0}
TARGET_SHARE = 0.08
INTERVAL_S = 1.0
BARE = (
    *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-S"),
    *("-machine", "pc", "-accel", "tcg", "-m", "16", "-name", "x,debug-threads=on"),
    *("-object", "iothread,id=io0"),
)


def render_guest(disks: int) -> tuple[str, ...]:
    """Returns the command line of a guest; more than four disks share a controller."""
    words = list(BARE)
    shared = disks > 4  # noqa: PLR2004 - a bus has 32 slots, and these are for all else
    if shared:
        words += ["-device", "virtio-scsi-pci,id=s0,iothread=io0"]
    for number in range(disks):
        device = (
            f"scsi-hd,bus=s0.0,drive=n{number},id=sd{number}"
            if shared
            else f"virtio-blk-pci,iothread=io0,drive=n{number},id=vd{number}"
        )
        words += ["-blockdev", f"driver=null-co,node-name=n{number}", "-device", device]
    return tuple(words)


def read_cpu_s(pids: Iterable[int]) -> float:
    """Returns the processor seconds of processes so far."""
    used = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        used += int(fields[11]) + int(fields[12])
    return used / 100


async def measure_one(disks: int, rounds: int, *, keep: bool, queues: bool) -> list[float]:
    """Returns the processor milliseconds of each sample of a guest."""
    found: list[float] = []
    with open_runtime_folder() as folder:
        async with QemuProcess.start(render_guest(disks), qmp_socket=folder / "q") as guest:
            monitor = BriefMonitor(folder / "q", pid=guest.pid, keep=keep)
            with open_sampler(guest.pid, monitor, limits=True, queues=queues) as sampler:
                for _ in range(rounds):
                    began_ns = time.process_time_ns()
                    taken = await sampler.take()
                    found.append((time.process_time_ns() - began_ns) / 1e6)
                    if taken is None or len(taken.disks) != disks:
                        raise SystemExit(f"the guest does not answer: {taken}")
            monitor.close()
    return found


async def measure_many(guests: int, rounds: int) -> None:
    """Prints the share of a processor that watching many guests each second takes.

    All that a screen or an exporter needs is in it: the searches for guests, the looks, and the
    rates and verdicts made of them.
    """
    pids: set[int] = set()
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(open_runtime_folder())
        for number in range(guests):
            start = QemuProcess.start(render_guest(4), qmp_socket=folder / f"{number}")
            pids.add((await stack.enter_async_context(start)).pid)
        watcher = await stack.enter_async_context(
            watch_host(matches=lambda guest: guest.process.pid in pids)
        )
        tracker = HostTracker()
        tracker.add(await watcher.look())  # opens the threads' files, and asks for the limits
        shares: list[float] = []
        answered = threads = 0
        theirs_s = read_cpu_s(pids)
        for _ in range(rounds):
            began_s, began_ns = time.monotonic(), time.process_time_ns()
            readings = tracker.add(await watcher.look())
            shares.append((time.process_time_ns() - began_ns) / 1e9 / INTERVAL_S)
            samples = [each.observation.sample for each in readings]
            answered += sum(each is not None and each.monitor == "answered" for each in samples)
            threads = sum(len(each.threads) for each in samples if each is not None)
            await asyncio.sleep(max(0.0, INTERVAL_S - (time.monotonic() - began_s)))
        theirs_s = read_cpu_s(pids) - theirs_s
    print(
        f"{guests} guests with 4 disks each, {threads} threads, every {INTERVAL_S:g} s: mean"
        f" {statistics.mean(shares):.1%}, median {statistics.median(shares):.1%}, at most"
        f" {max(shares):.1%} of a processor (target: mean {TARGET_SHARE:.0%}); the QEMUs"
        f" {theirs_s / rounds / INTERVAL_S:.1%}; {answered} of {guests * rounds} answered"
    )


def main() -> None:
    """Prints all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-g", "--guests", type=int, default=100, metavar="N")
    parser.add_argument("-n", "--rounds", type=int, default=20, metavar="N")
    parser.add_argument("--keep", action="store_true", help="keep the connection to the one guest")
    options = parser.parse_args()
    if options.rounds < 1 or options.guests < 0:
        parser.error("N must be at least 1")
    for disks, target_ms in TARGETS_MS.items():
        for queues in (False, True):
            times_ms = asyncio.run(
                measure_one(disks, options.rounds, keep=options.keep, queues=queues)
            )
            # The first one opens the threads' files, and asks for the limits.
            rest_ms = times_ms[1:] or times_ms
            print(
                f"{disks:2} disks{', virtqueues too' if queues else '':16}: first"
                f" {times_ms[0]:.2f}, then median {statistics.median(rest_ms):.2f}, at most"
                f" {max(rest_ms):.2f} ms a sample (target {target_ms:g} without virtqueues)"
            )
    if options.guests:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 8192)), hard))
        asyncio.run(measure_many(options.guests, options.rounds))


if __name__ == "__main__":
    main()
