"""Who is connected to a unix socket, told without connecting to it.

A monitor serves one client. The second and third to connect hear nothing, and whoever waits
becomes the holder when the first one leaves (QEMU 10.0.2, run): connecting is no harmless probe.

Source: Linux 6.18, run: the socket's path is listed once for who listens, and once more for each
connection, in state 3 when it is accepted and in state 2 while it waits.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from msgspec import Struct

__all__ = ["count_clients"]

_PROC: Final = Path("/proc")
_MAX_BYTES: Final = 32 << 20
"""About 300,000 sockets."""
_FRESH_S: Final = 0.05
"""So that a look at a hundred guests of one host reads the list once or twice."""
_ACCEPTED: Final = frozenset({b"02", b"03"})


class _List(Struct, kw_only=True):
    """The sockets of a network namespace at a moment."""

    read_s: float
    text: bytes


_lists: dict[int, _List] = {}


def count_clients(pid: int, path: Path, *, fresh: bool = False, proc: Path = _PROC) -> int | None:
    """Returns how many clients a process's socket has, those that wait included.

    None where that cannot be told: the socket is not in the list, by this name at least.

    Args:
        pid: Whose network namespace is looked at.
        path: The socket's path, as it was made.
        fresh: Whether the list must not be one that was read a moment ago, as for a look at many
            guests of a host.
        proc: The folder that stands for /proc.
    """
    if b"\n" in os.fsencode(path):
        return None
    text = _read_list(pid, proc, fresh=fresh)
    needle, start, found = b" " + os.fsencode(path) + b"\n", 0, 0
    clients = 0
    while (start := text.find(needle, start)) >= 0:
        line = text[text.rfind(b"\n", 0, start) + 1 : start].split()
        # Num, RefCount, Protocol, Flags, Type, St, Inode
        if len(line) == 7:  # noqa: PLR2004 - so many columns before the path
            found += 1
            clients += line[5] in _ACCEPTED
        start += 1
    return clients if found else None


def _read_list(pid: int, proc: Path, *, fresh: bool) -> bytes:
    """Returns the list of sockets, which processes of one namespace share for a moment."""
    try:
        # Not Path, which takes longer than all that is done here for a list that is known.
        namespace = os.stat(f"{proc}/{pid}/ns/net").st_ino  # noqa: PTH116
    except OSError:
        namespace = 0  # not ours to see, and so no other process's either
    now_s = time.monotonic()
    known = _lists.get(namespace)
    usable = namespace and not fresh
    if usable and known is not None and now_s - known.read_s < _FRESH_S:
        return known.text
    text = b""
    with suppress(OSError), (proc / f"{pid}/net/unix").open("rb") as file:
        text = file.read(_MAX_BYTES)
    _lists.clear()
    _lists[namespace] = _List(read_s=now_s, text=text)
    return text
