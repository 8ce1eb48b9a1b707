"""Measures the benchmark guest: from QEMU's start until its agent answers.

The reference guest is booted, with its three disks on scratch files, with the accelerator that
vmio itself would choose. If the cache has no image, it is built first, which is not counted.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from pathlib import Path

from vmio import app
from vmio.guest.agent import Agent, agent_argv
from vmio.guest.image import ensure_image
from vmio.model.host import Host
from vmio.model.version import parse_version
from vmio.qemu.boot import Volumes
from vmio.qemu.folder import open_runtime_folder
from vmio.values import replace

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples" / "virtio-scsi-single" / "701.conf"
TIMEOUT_S = 180.0


async def measure_boot() -> float:
    """Boots the guest once and returns the seconds until its agent answered."""
    image = ensure_image()
    guest = app.load(str(EXAMPLE), host=Host(qemu_version=parse_version("10.0.0")))
    how, _ = app.choose_boot(
        kernel=str(image.kernel), initrd=str(image.initrd), append=image.append, memory_mib=512
    )
    with open_runtime_folder() as folder:
        socket = folder / "agent"
        how = replace(how, extra=agent_argv(socket))
        start_s = time.monotonic()
        async with (
            app.boot(guest, how, Volumes(scratch_bytes=1 << 30)),
            Agent.connect(socket, TIMEOUT_S),
        ):
            return time.monotonic() - start_s


def main() -> None:
    """Boots the guest several times and prints the shortest, median and longest time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", "--rounds", type=int, default=5, metavar="N")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("N must be at least 1")
    times_s = [asyncio.run(measure_boot()) for _ in range(options.rounds)]
    accelerator = app.choose_boot()[0].accelerator
    print(f"{'min':>6} {'median':>6} {'max':>6}")
    print(
        f"{min(times_s):6.1f} {statistics.median(times_s):6.1f} {max(times_s):6.1f} s"
        f"  until the guest's agent answers, {accelerator}"
    )


if __name__ == "__main__":
    main()
