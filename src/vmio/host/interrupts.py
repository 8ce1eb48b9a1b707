"""Which processor of this host handles the interrupts of devices."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

__all__ = ["compare_interrupts", "read_interrupts"]

_TOLD: Final = Path("/proc/interrupts")
_MAX_BYTES: Final = 4 << 20
"""A host of 256 processors with a thousand interrupts has 3 MB."""


def read_interrupts(path: Path = _TOLD) -> dict[int, int]:
    """Returns how many device interrupts each processor has handled so far, by its number.

    Interrupts of the processors themselves, such as timers, are left out; empty if not available.

    Args:
        path: The kernel's file.

    Source: proc_interrupts(5): a column for each processor that is online, which the first line
    names; a device's row begins with a number.
    """
    try:
        with path.open("rb") as file:
            lines = file.read(_MAX_BYTES).decode("ascii", "replace").splitlines()
        processors = [int(word.removeprefix("CPU")) for word in lines[0].split()]
        taken = dict.fromkeys(processors, 0)
        for line in lines[1:]:
            name, *counts = line.split()[: 1 + len(processors)]
            if name.rstrip(":").isdigit():
                for processor, count in zip(processors, counts, strict=False):
                    taken[processor] += int(count)
    except (OSError, ValueError, IndexError):
        return {}
    return taken


def compare_interrupts(before: Mapping[int, int], after: Mapping[int, int]) -> dict[int, float]:
    """Returns each processor's share of the interrupts between two readings; empty if none."""
    taken = {each: count - before.get(each, count) for each, count in after.items()}
    total = sum(taken.values())
    return {each: count / total for each, count in taken.items()} if total > 0 else {}
