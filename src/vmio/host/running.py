"""The QEMUs that run on this host, found by their command lines; no monitor is opened for it.

Source: proc(5) of Linux 6.12: `hidepid`, and what another user's process shows.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

__all__ = ["RunningQemus", "find_qemus"]

ROOT = Path("/")

_PROGRAM = re.compile(r"\.?(?:qemu-system-[\w.+-]+|qemu-kvm[\w.-]*|qemu|kvm)", re.ASCII)
"""QEMUs that run a whole guest; qemu-img, qemu-nbd, qemu-ga and user emulators do not."""
_BINARY = re.compile(r"qemu|kvm")
_HIDDEN = re.compile(r"\bhidepid=(?!0\b|off\b)")
_FIRST_BYTES = 4096
"""Of a command line, in which the program is: no path is longer."""


class RunningQemus(Struct, frozen=True, kw_only=True):
    """The QEMUs of this host that this user can see."""

    pids: tuple[int, ...]
    """In the order of their numbers."""
    unseen: str = ""
    """What cannot be seen, in one line; empty where all can."""


def find_qemus(root: Path | None = None) -> RunningQemus:
    """Returns the processes that run a guest.

    A process counts where its first word and, where that may be read, its program are QEMU's. The
    child that a QEMU has for its memory's end (`async-teardown`) is no guest of its own.

    Args:
        root: The file system with the `proc` to look into; that of this process if None.
    """
    proc = (root if root is not None else ROOT) / "proc"
    found: dict[int, bytes] = {}
    hidden = 0
    for pid in _list_pids(proc):
        try:
            # Not Path, which takes a third of the time of a host with many processes.
            with open(f"{proc}/{pid}/cmdline", "rb") as file:  # noqa: PTH123
                words = file.read(_FIRST_BYTES)
        except PermissionError:
            hidden += 1
        except OSError:  # it has ended
            pass
        else:
            if _is_qemu(words, f"{proc}/{pid}/exe"):
                found[pid] = words
    guests = (pid for pid, words in found.items() if found.get(_read_parent(proc, pid)) != words)
    return RunningQemus(pids=tuple(guests), unseen=_tell_unseen(proc, hidden))


def _list_pids(proc: Path) -> list[int]:
    with suppress(OSError), os.scandir(proc) as entries:
        return sorted(int(each.name) for each in entries if re.fullmatch("[1-9][0-9]*", each.name))
    return []


def _is_qemu(words: bytes, binary: str) -> bool:
    program = words.partition(b"\0")[0].decode("utf-8", "replace").rpartition("/")[2]
    if not _PROGRAM.fullmatch(program):
        return False
    try:
        # A QEMU whose package was upgraded since is `… (deleted)`.
        return _BINARY.search(os.readlink(binary).rpartition("/")[2]) is not None  # noqa: PTH115
    except OSError:  # another user's
        return True


def _read_parent(proc: Path, pid: int) -> int:
    """Returns the parent of a process; 0 where that is not known."""
    with suppress(OSError, ValueError, IndexError):
        stat = (proc / str(pid) / "stat").read_bytes()
        return int(stat.rpartition(b")")[2].split()[1])
    return 0


def _tell_unseen(proc: Path, hidden: int) -> str:
    if hidden:
        many = "a process" if hidden == 1 else f"{hidden} processes"
        return f"{many} of other users cannot be looked at; root sees all guests"
    if os.geteuid() != 0:
        with suppress(OSError):
            mounts = (proc / "self" / "mountinfo").read_text("utf-8", "replace").splitlines()
            if any(" /proc " in line and _HIDDEN.search(line) for line in mounts):
                return "/proc hides the processes of other users; root sees all guests"
    return ""
