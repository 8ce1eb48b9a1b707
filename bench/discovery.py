"""Measures one look of `vmio ps` at a host with many guests.

    discovery.py [-g GUESTS] [-n ROUNDS]

The guests are a shell that has QEMU's name and a Proxmox guest's command line, and whose monitors
this process listens on: real ones would need gigabytes of memory and a minute to start.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from vmio.managers.discovery import discover

COMMAND = Path(__file__).parents[1] / "tests" / "golden" / "proxmox" / "701.conf.cmd"


def start_guests(count: int, stack: ExitStack) -> None:
    """Starts what looks like guests, until the end of a stack."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vmio-bench-")))
    shell = folder / "qemu-system-x86_64"
    shutil.copy(shutil.which("bash") or "", shell)
    (folder / "qemu-server").mkdir()
    text = COMMAND.read_text(encoding="utf-8").replace("/var/run", str(folder))
    for number in range(1000, 1000 + count):
        words = shlex.split(text.replace("701", str(number)).replace("\\\n", " "))
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(f"{folder}/qemu-server/{number}.qmp")
        listener.listen()
        # It waits for commands on a pipe that brings none.
        argv = [words[0], "-s", "--", *words[1:]]
        process = subprocess.Popen(argv, executable=shell, stdin=subprocess.PIPE)
        stack.callback(process.wait)
        stack.callback(process.kill)


def main() -> None:
    """Prints the shortest, median and longest processor time of a look."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-g", "--guests", type=int, default=200, metavar="N")
    parser.add_argument("-n", "--rounds", type=int, default=11, metavar="N")
    options = parser.parse_args()
    times_ms = []
    with ExitStack() as stack:
        start_guests(options.guests, stack)
        for _ in range(options.rounds):
            began_s = time.process_time()
            found = discover()
            times_ms.append((time.process_time() - began_s) * 1000)
    free = sum(each.monitor is not None and each.monitor.state == "free" for each in found.guests)
    print(
        f"{len(found.guests)} guests, {free} free monitors: {min(times_ms):.0f} /"
        f" {statistics.median(times_ms):.0f} / {max(times_ms):.0f} ms of processor time"
    )


if __name__ == "__main__":
    main()
