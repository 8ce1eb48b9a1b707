"""How long the tasks of a control group have waited for I/O, as the kernel counts it.

Source: Linux, Documentation/accounting/psi.rst.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Final

from msgspec import Struct

__all__ = ["IoWaits", "read_io_waits"]

_GROUPS: Final = Path("/sys/fs/cgroup")
_MAX_BYTES: Final = 1 << 12
_LINE: Final = re.compile(rb"^(some|full) .*\btotal=([0-9]{1,18})$", re.MULTILINE)


class IoWaits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Times since a control group was made."""

    some_us: int
    """In which at least one task waited."""
    full_us: int
    """In which all of them waited."""


def read_io_waits(group: str, *, root: Path = _GROUPS) -> IoWaits | None:
    """Returns how long the tasks of a control group have waited; None if the kernel does not say.

    Args:
        group: Its path in the unified hierarchy, as /proc/PID/cgroup has it.
        root: Where that hierarchy is mounted.
    """
    if not group.startswith("/") or ".." in group.split("/"):
        return None
    with suppress(OSError, ValueError):
        descriptor = os.open(f"{root}{group}/io.pressure", os.O_RDONLY | os.O_CLOEXEC)
        try:
            text = os.read(descriptor, _MAX_BYTES)
        finally:
            os.close(descriptor)
        totals = {each[1]: int(each[2]) for each in _LINE.finditer(text)}
        if len(totals) == 2:  # noqa: PLR2004 - some and full
            return IoWaits(some_us=totals[b"some"], full_us=totals[b"full"])
    return None
