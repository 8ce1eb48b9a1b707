"""Measures what sampling guests costs: one with many disks, and many with one.

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
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from vmio.observe.sampler import GuestSampler, open_sampler, take_all
from vmio.qemu.brief import BriefMonitor
from vmio.qemu.folder import open_runtime_folder
from vmio.qemu.process import QemuProcess

if TYPE_CHECKING:
    from collections.abc import Sequence

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


def read_cpu_s(pids: Sequence[int]) -> float:
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


async def measure_many(guests: int, rounds: int, *, keep: bool) -> None:
    """Prints the share of a processor that sampling many guests each second takes."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(open_runtime_folder())
        running = []
        for number in range(guests):
            start = QemuProcess.start(render_guest(1), qmp_socket=folder / f"{number}")
            running.append(await stack.enter_async_context(start))
        samplers = stack.enter_context(ExitStack())
        opened: list[GuestSampler] = []
        for number, each in enumerate(running):
            monitor = BriefMonitor(folder / f"{number}", pid=each.pid, keep=keep)
            samplers.callback(monitor.close)
            opened.append(samplers.enter_context(open_sampler(each.pid, monitor)))
        shares: list[float] = []
        answered = 0
        theirs_s = read_cpu_s([each.pid for each in running])
        for _ in range(rounds):
            began_s, began_ns = time.monotonic(), time.process_time_ns()
            taken = await take_all(opened)
            answered += sum(each is not None and each.monitor == "answered" for each in taken)
            shares.append((time.process_time_ns() - began_ns) / 1e9 / INTERVAL_S)
            await asyncio.sleep(max(0.0, INTERVAL_S - (time.monotonic() - began_s)))
        theirs_s = read_cpu_s([each.pid for each in running]) - theirs_s
        threads = sum(len(each.threads) for each in taken if each is not None)
    print(
        f"{guests} guests, {threads} threads, every {INTERVAL_S:g} s: median"
        f" {statistics.median(shares):.1%}, at most {max(shares):.1%} of a processor (target"
        f" {TARGET_SHARE:.0%}); the QEMUs {theirs_s / rounds / INTERVAL_S:.1%};"
        f" {answered} of {guests * rounds} answered"
    )


def main() -> None:
    """Prints all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-g", "--guests", type=int, default=100, metavar="N")
    parser.add_argument("-n", "--rounds", type=int, default=20, metavar="N")
    parser.add_argument("--keep", action="store_true", help="keep the connections")
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
        asyncio.run(measure_many(options.guests, options.rounds, keep=options.keep))


if __name__ == "__main__":
    main()
