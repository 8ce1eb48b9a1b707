"""Measures vmio's light verbs as whole processes, compared with a Python that does nothing.

Each round runs every command once, one after the other, so that a slow minute of the machine
affects all of them; a ratio is the median of the rounds' own ratios to the bare Python.
"""

from __future__ import annotations

import argparse
import os
import shlex
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples" / "701.conf"
BARE = (sys.executable, "-c", "pass")


def measure_process(argv: tuple[str, ...]) -> tuple[float, float]:
    """Runs one command to its end and returns its wall time and its peak memory.

    Returns:
        The milliseconds from before the spawn to after the wait, and the resident MiB at the peak.

    Raises:
        OSError: The command does not exist.
        SystemExit: The command failed, so its time would mean nothing.
    """
    start_ns = time.perf_counter_ns()
    with Path(os.devnull).open("wb") as nothing:
        quiet = [(os.POSIX_SPAWN_DUP2, nothing.fileno(), stream) for stream in (1, 2)]
        pid = os.posix_spawnp(argv[0], argv, os.environ, file_actions=quiet)
        _, status, usage = os.wait4(pid, 0)
    wall_ms = (time.perf_counter_ns() - start_ns) / 1e6
    # 1 means findings, which `vmio check` is for.
    if os.waitstatus_to_exitcode(status) not in {0, 1}:
        sys.exit(f"cold_start: {shlex.join(argv)} failed, so it was not measured")
    return wall_ms, usage.ru_maxrss / 1024


def list_commands(words: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Returns the commands to measure: the given one, or those with a promised time."""
    if words:
        return (tuple(words),)
    vmio = str(Path(sys.executable).with_name("vmio"))
    return ((vmio, "--version"), (vmio, "--help"), (vmio, "check", os.path.relpath(EXAMPLE)))


def render_row(name: str, samples: Sequence[tuple[float, float]], bare_ms: Sequence[float]) -> str:
    """Returns a command's line of the table."""
    walls_ms = [wall_ms for wall_ms, _ in samples]
    ratio = statistics.median(a / b for a, b in zip(walls_ms, bare_ms, strict=True))
    return (
        f"{min(walls_ms):8.0f} {statistics.median(walls_ms):8.0f} {max(walls_ms):8.0f} ms"
        f" {max(rss for _, rss in samples):7.0f} MiB {ratio:7.1f}x  {name}"
    )


def main() -> None:
    """Measures and prints a table, a line per command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", "--rounds", type=int, default=20, metavar="N")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="measure this instead")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("N must be at least 1")

    commands = (BARE, *list_commands(options.command))
    for command in commands:
        measure_process(command)  # the first run reads from the disk and writes the bytecode
    rounds = [tuple(map(measure_process, commands)) for _ in range(options.rounds)]
    bare_ms = [samples[0][0] for samples in rounds]
    print(f"{'min':>8} {'median':>8} {'max':>8}    {'peak':>7}     {'/ python':>8}")
    for command, samples in zip(commands, zip(*rounds, strict=True), strict=True):
        print(render_row(shlex.join((Path(command[0]).name, *command[1:])), samples, bare_ms))


if __name__ == "__main__":
    main()
