#!/usr/bin/env python3
"""The reference guest, with and without IOThreads, from its config to a measured comparison.

Each step is a vmio call that you can make yourself; it is printed before it runs. Run it with the
Python in which vmio is installed:

    python examples/demo.py [--report FILE] [--quick]
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import time
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parent
SHARED = EXAMPLES / "701.conf"
SINGLE = EXAMPLES / "virtio-scsi-single" / "701.conf"
FINDINGS = 1


def say(text: str) -> None:
    """Prints a heading."""
    bold, plain = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")
    print(f"\n{bold}{text}{plain}", flush=True)


def vmio(*words: str, expect: int = 0) -> None:
    """Prints and runs a vmio call, and ends the demo if its exit status is unexpected."""
    print(f"\n$ {shlex.join(('vmio', *words))}", flush=True)
    done = subprocess.run([sys.executable, "-m", "vmio", *words], check=False)
    if done.returncode != expect:
        sys.exit(done.returncode or 1)


def show_path(path: Path) -> str:
    """Returns a path in its shortest form from here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def main() -> None:
    """Runs the five steps."""
    parser = argparse.ArgumentParser(description="The reference guest, measured both ways.")
    parser.add_argument("--report", default="vmio-report.html", help="where to write the report")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter measurements")
    options = parser.parse_args()
    started = time.monotonic()
    shared, single = show_path(SHARED), show_path(SINGLE)

    say("1. VM 701 asks for an IOThread on each of its three disks. Why does it get none?")
    vmio("check", shared, expect=FINDINGS)

    say("2. The same guest on virtio-scsi-single: one controller and one IOThread for each disk.")
    vmio("check", single)
    vmio("show", single)

    say("3. Both booted: which thread serves each disk, as the running QEMU reports it.")
    vmio("run", shared, "--scratch", "1G", "--verify")
    vmio("run", single, "--scratch", "1G", "--verify")

    say("4. Both measured side by side, with fio inside the guest.")
    quick = ("--pairs", "2", "--runtime", "0.3") if options.quick else ()
    vmio("bench", shared, single, "--scratch", "1G", "--html", options.report, *quick)

    say(f"The report: {options.report} ({time.monotonic() - started:.0f} s in total)")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        # The interrupted call has reported it and cleaned up by itself.
        sys.exit(130)
