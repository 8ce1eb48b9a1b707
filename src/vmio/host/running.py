"""The QEMUs that run on this host, found by their command lines; no monitor is opened for it.

Who manages each of them, and what it has, is `vmio.managers.discovery`.

Source: proc(5) of Linux 6.12: `hidepid`, and what another user's process shows.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from msgspec import Struct

from vmio.errors import ToolError

__all__ = [
    "TICKS_PER_S",
    "QemuProcess",
    "RunningQemus",
    "find_qemus",
    "open_process",
    "read_boot_id",
    "read_qemu",
]

ROOT = Path("/")
_BOOT = Path("/proc/sys/kernel/random/boot_id")

_PROGRAM = re.compile(r"\.?(?:qemu-system-[\w.+-]+|qemu-kvm[\w.-]*|qemu|kvm)", re.ASCII)
"""QEMUs that run a whole guest; qemu-img, qemu-nbd, qemu-ga and user emulators do not."""
_BINARY = re.compile(r"qemu|kvm")
_HIDDEN = re.compile(r"\bhidepid=(?!0\b|off\b)")
_FIRST_BYTES = 4096
"""Of a command line, in which the program is: no path is longer."""


_MAX_BYTES = 2 * 1024 * 1024
"""Of a command line: the kernel starts no program with more by default."""
_MAX_SMALL_BYTES = 1 << 16
_UNIT = re.compile(r"\.(?:service|scope)\Z")
_ESCAPED = re.compile(r"\\x([0-7][0-9a-f])", re.ASCII)
"""Source: systemd-escape(1)."""
_STATUS = re.compile(r"^(NSpid|Uid):([0-9\t ]+)$", re.MULTILINE | re.ASCII)
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
"""Of the kernel's clock, in `started_ticks`."""


ProcessKey = tuple[int, int]
"""A process's number and its start, which tell it from all others since this host's boot."""


class QemuProcess(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A QEMU of this host."""

    pid: int
    started_ticks: int
    """When it started, in ticks of the kernel's clock since this host's boot."""
    inner_pid: int
    """Its number in its own PID namespace, which its manager and its monitor know it by."""
    owner: int
    """The id of the user that it runs as."""
    stopped: bool
    """Whether it is stopped, by SIGSTOP or a debugger, so that no monitor of it answers."""
    cgroup: str
    """The path of its control group; empty if not known."""
    command: bytes = b""
    """Its words, each with a NUL after it; empty in a recording, which keeps no secrets."""

    @property
    def key(self) -> ProcessKey:
        """What tells it from all others that ever ran since this host's boot."""
        return self.pid, self.started_ticks

    @property
    def unit(self) -> str:
        """The systemd unit that it runs in; empty if it runs in none."""
        parts = (part for part in reversed(self.cgroup.split("/")) if _UNIT.search(part))
        return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), next(parts, ""))


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


def read_boot_id() -> str:
    """Returns what tells this boot of the host from others; empty if the kernel does not say."""
    with suppress(OSError):
        return _BOOT.read_text(encoding="ascii").strip()
    return ""


@contextmanager
def open_process(
    pid: int, started_ticks: int | None = None, *, root: Path = ROOT
) -> Iterator[int]:
    """Opens a process's folder in /proc, and closes it at the end.

    The descriptor never refers to another process, even if the number is reused.

    Args:
        pid: The process.
        started_ticks: Its start, as in `QemuProcess`; None if any process of that number will do.
        root: The file system with the `proc` to look into.

    Raises:
        ToolError: It has ended, or this user may not see it.
    """
    try:
        folder = os.open(root / "proc" / str(pid), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError) as error:
        raise _make_gone(pid) from error
    except OSError as error:
        raise ToolError(f"cannot look at process {pid}: {error.strerror}") from error
    try:
        if started_ticks is not None and _read_stat(folder, pid)[1] != started_ticks:
            raise _make_gone(pid)
        yield folder
    finally:
        os.close(folder)


def read_qemu(folder: int, pid: int) -> QemuProcess:
    """Returns what is known of a QEMU.

    Args:
        folder: The descriptor of `open_process`.
        pid: Its number.

    Raises:
        ToolError: It has ended.
    """
    state, started_ticks = _read_stat(folder, pid)
    command = _read(folder, "cmdline", _MAX_BYTES)
    if not command:
        raise _make_gone(pid)
    status = _read(folder, "status").decode("ascii", "replace")
    numbers = dict(_STATUS.findall(status))
    inner = numbers.get("NSpid", "").split()
    owner = numbers.get("Uid", "").split()
    return QemuProcess(
        pid=pid,
        started_ticks=started_ticks,
        inner_pid=int(inner[-1]) if inner else pid,
        owner=int(owner[1]) if len(owner) > 1 else -1,
        stopped=state in {"T", "t"},
        cgroup=_choose_group(_read(folder, "cgroup").decode("utf-8", "replace")),
        command=command,
    )


def _make_gone(pid: int) -> ToolError:
    return ToolError(f"there is no process {pid}", hint="its QEMU has ended")


def _read_stat(folder: int, pid: int) -> tuple[str, int]:
    """Returns the letter of a process's state, and its start in ticks."""
    # A name can hold blanks and brackets.
    fields = _read(folder, "stat").rpartition(b")")[2].split()
    try:
        return fields[0].decode("ascii", "replace"), int(fields[19])
    except (IndexError, ValueError) as error:
        raise _make_gone(pid) from error


def _choose_group(text: str) -> str:
    """Returns the path in the unified hierarchy, or in systemd's own where that is in use."""
    paths = {}
    for line in text.splitlines():
        _, _, rest = line.partition(":")
        controllers, colon, path = rest.partition(":")
        if colon and path != "/":
            paths[controllers] = path
    return paths.get("", paths.get("name=systemd", next(iter(paths.values()), "")))


def _read(folder: int, name: str, limit: int = _MAX_SMALL_BYTES) -> bytes:
    """Returns a file of a process; nothing where it has ended or may not be read."""
    pieces: list[bytes] = []
    with suppress(OSError):
        file = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder)
        try:
            size = 0
            while size < limit and (piece := os.read(file, _MAX_SMALL_BYTES)):
                pieces.append(piece)
                size += len(piece)
        finally:
            os.close(file)
    return b"".join(pieces)


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
