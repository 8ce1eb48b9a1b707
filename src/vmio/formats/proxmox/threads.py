"""Threads that several disks share: a part of `args`, since Proxmox VE has no setting for them.

QEMU's own options, which follow those that Proxmox VE writes, define them and assign them to
the controllers. Other options in `args` are kept.

Source: QEMU 10.0.2, run: `-set device.ID.iothread=` works on devices in the form `key=value`,
which qemu-server 9.2.6 uses; it does not work on a device in JSON, and accepts no list.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from vmio.patterns import compile_late

__all__ = ["cut_ours", "has_ours", "render_ours"]

_OURS = compile_late(
    r"(?:^|(?<![ \t])[ \t]++)(?:-object[ \t]+iothread,id=vmio\d+(?:,[\w=,-]*)?"
    r"|-set[ \t]+device\.\w+\.iothread=vmio\d+)(?=[ \t]|$)",
    re.ASCII,
)
"""The part of `args` that a plan of vmio wrote, with all the blanks before it.

Looked for from each of many blanks it would take the square of their number.
"""


def cut_ours(args: str) -> str:
    """Returns `args` without the part that a plan of vmio wrote."""
    return _OURS.sub("", args).strip() if args else ""


def has_ours(args: str) -> bool:
    """Returns whether a plan of vmio wrote a part of `args`."""
    return bool(args) and _OURS.search(args) is not None


def render_ours(threads: Mapping[str, str], polls: Mapping[str, str]) -> str:
    """Returns the options that define threads and assign them to controllers.

    Args:
        threads: The thread of each controller.
        polls: The poll-max-ns of threads that do not have QEMU's default.
    """
    words = []
    for name in dict.fromkeys(threads.values()):
        poll = f",poll-max-ns={polls[name]}" if name in polls else ""
        words.append(f"-object iothread,id={name}{poll}")
    words += [f"-set device.{controller}.iothread={by}" for controller, by in threads.items()]
    return " ".join(words)
