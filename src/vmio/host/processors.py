"""This host's processors: lists of them as the kernel writes them, and the node of each.

Source: Linux, Documentation/admin-guide/cputopology.rst and mm/numaperf.rst.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from functools import cache, lru_cache
from itertools import islice
from pathlib import Path
from typing import Final

from vmio.bounds import MAX_PROCESSORS

__all__ = ["parse_processors", "read_processor_nodes"]

_NODES: Final = Path("/sys/devices/system/node")
_MAX_BYTES: Final = 1 << 16
_MAX_NODES: Final = 1 << 10
"""Source: Linux 6.12, arch/x86/Kconfig, NODES_SHIFT."""
_RANGE: Final = re.compile(rb"([0-9]{1,6})(?:-([0-9]{1,6}))?")


@lru_cache(maxsize=256)
def parse_processors(text: bytes) -> tuple[int, ...]:
    """Returns the processors of a list such as `0-3,8`, in its order; none of an empty one.

    Raises:
        ValueError: It is no such list, or has a number that no processor has.
    """
    found: list[int] = []
    for part in text.strip().split(b",") if text.strip() else ():
        match = _RANGE.fullmatch(part)
        if match is None:
            raise ValueError(f"no list of processors: {part[:40]!r}")
        first, last = int(match[1]), int(match[2] or match[1])
        if not first <= last < MAX_PROCESSORS or len(found) > MAX_PROCESSORS:
            raise ValueError(f"no processors: {part[:40]!r}")
        found += range(first, last + 1)
    return tuple(found)


@cache
def read_processor_nodes(folder: Path = _NODES) -> Mapping[int, int]:
    """Returns the NUMA node of each processor; empty on a host that does not tell.

    It is read once: a host does not move its processors.
    """
    nodes: dict[int, int] = {}
    with suppress(OSError):
        for path in islice(folder.glob("node*/cpulist"), _MAX_NODES):
            with suppress(OSError, ValueError), path.open("rb") as file:
                number = int(path.parent.name.removeprefix("node"))
                nodes |= dict.fromkeys(parse_processors(file.read(_MAX_BYTES)), number)
    return nodes
