"""The Makefile tells what it can do."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Steps of other targets, which nobody calls by hand.
INTERNAL = {"run-tests", "setup-dev", "setup-test"}


def test_help_lists_every_target() -> None:
    """A bare `make` prints a line for each target, and for nothing else."""
    targets = set(re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE))

    shown = subprocess.run(
        ["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout

    listed = re.findall(r"^  make (\S+)\s+\S.*$", shown, re.MULTILINE)
    assert len(listed) == len(shown.splitlines())
    assert set(listed) == targets - INTERNAL


def test_setup_refuses_what_it_does_not_know() -> None:
    """A wrong word ends in the usage and status 2 and changes nothing."""
    done = subprocess.run(
        [ROOT / "tools" / "setup", "everything"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 2
    assert done.stderr.splitlines() == ["setup: usage: tools/setup run|dev|lock [--qemu] | system"]
