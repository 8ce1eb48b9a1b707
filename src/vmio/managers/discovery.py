"""The guests that run on this host, with their managers and monitors; none of these is disturbed.

All of it is read from /proc, and nothing is connected to: a monitor serves one client at a time.
It is the one home of discovery: `vmio.host.running` finds the processes, which know no manager,
and what measures a guest (`vmio.observe`) starts from a `RunningGuest`.

Source: docs/guide/ps.md has what was run.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from msgspec import Struct

from vmio.errors import ToolError, VmioError
from vmio.formats.base import ReadContext
from vmio.formats.qemu.layout import lay_out_command
from vmio.formats.qemu.monitors import MonitorOption, Transport, list_monitors
from vmio.formats.qemu.reader import read_process_vm
from vmio.host.command import make_file_reader
from vmio.host.files import is_there
from vmio.host.running import (
    ROOT,
    TICKS_PER_S,
    ProcessKey,
    QemuProcess,
    find_qemus,
    open_process,
    read_qemu,
)
from vmio.host.sockets import SocketTables, SocketUse
from vmio.managers.owners import Access, Manager, Owner, choose_access, identify
from vmio.model.host import Host
from vmio.model.source import Source
from vmio.model.topology import Topology
from vmio.values import replace

__all__ = [
    "Monitor",
    "MonitorState",
    "ProcessKey",
    "RunningGuest",
    "RunningGuests",
    "discover",
    "open_guest_process",
]

MonitorState = Literal["free", "held", "absent", "outgoing", "unknown"]
"""free: nobody is connected; held: somebody is; absent: nothing listens there, or its file was
removed; outgoing: QEMU itself connects to somebody; unknown: this user may not see it, or it is no
socket."""

_RANKS = {"any": 0, "brief": 1, "none": 2}


class Monitor(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A monitor of a running guest."""

    protocol: Literal["qmp", "hmp"]
    """For programs, or for people."""
    transport: Transport
    address: str
    """The socket's path as QEMU sees it, which can be in another root; an abstract name begins
    with @. Otherwise `HOST:PORT`. Empty if not known. Whoever connects to it compares the peer's
    process with the guest's: another QEMU could have made a file of that name since."""
    state: MonitorState
    waiting: int = 0
    """Clients that are connected and not served yet."""
    access: Access


class RunningGuest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A guest that runs on this host."""

    process: QemuProcess
    manager: Manager
    id: str
    """What its manager calls it; empty if not known."""
    name: str
    pod: str = ""
    """The id of its pod; empty if it is in none."""
    uuid: str = ""
    uptime_s: float
    """Since its process started."""
    monitors: tuple[Monitor, ...] = ()
    layout: Topology | None = None
    """Its disks and threads as its command line says, so without what was plugged since; None if
    that cannot be read."""
    problem: str = ""
    """Why it cannot be read, in a line that names the guest; empty if it can."""

    @property
    def key(self) -> ProcessKey:
        """What tells it from all others that ever ran on this host since its boot."""
        return self.process.key

    @property
    def address(self) -> str:
        """What it is called in every verb."""
        return f"pid:{self.process.pid}"

    @property
    def full_name(self) -> str:
        """What its manager calls it, the same after each start, as `172 web`; empty if not known.

        libvirt's number is another one after each start, so it is not in it.
        """
        match self.manager:
            case "proxmox":
                return f"{self.id} {self.name}".strip()
            case "kubevirt":
                return self.id
            case "libvirt":
                return self.name
            case "none":
                return self.name or self.id

    @property
    def label(self) -> str:
        """What people call it: its full name, or its address where it has none."""
        return self.full_name or self.address

    @property
    def monitor(self) -> Monitor | None:
        """The monitor for programs that is the best to use, free or not; None if it has none."""
        usable = (each for each in self.monitors if each.protocol == "qmp")
        return min(
            usable,
            key=lambda each: (_RANKS[each.access], each.state != "free"),
            default=None,
        )


class RunningGuests(Struct, frozen=True, kw_only=True):
    """The guests of this host that this user can see."""

    guests: tuple[RunningGuest, ...]
    """In the order of their processes' numbers."""
    unseen: tuple[str, ...] = ()
    """What cannot be seen, a line each."""


def discover(
    *, root: Path = ROOT, now_s: float | None = None, known: Iterable[RunningGuest] = ()
) -> RunningGuests:
    """Returns the guests that run on this host.

    One that ends meanwhile is left out.

    Args:
        root: The file system with the `proc` to look into.
        now_s: The time since boot in seconds, that of suspension included; None for now.
        known: Guests that were found before: those that still run are returned as they were, but
            for their uptime, which takes a tenth of the time.
    """
    tables = SocketTables()
    found = find_qemus(root)
    now_s = time.clock_gettime(time.CLOCK_BOOTTIME) if now_s is None else now_s
    before = {each.process.pid: each for each in known}
    guests = []
    for pid in found.pids:
        with suppress(ToolError):
            old = before.get(pid)
            if old is not None and _is_running(old, root):
                guests.append(replace(old, uptime_s=_find_uptime(old.process, now_s)))
                continue
            with open_process(pid, root=root) as folder:
                guests.append(_read_guest(folder, pid, tables, now_s))
    unseen = (found.unseen, _tell_unseen(guests))
    return RunningGuests(guests=tuple(guests), unseen=tuple(filter(None, unseen)))


def _tell_unseen(guests: Sequence[RunningGuest]) -> str:
    """Returns which monitors this user may not look at, in one line; empty if none."""
    best = [each.monitor for each in guests if each.monitor is not None]
    count = sum(
        each.state == "unknown" and each.access != "none" and each.transport != "other"
        for each in best
    )
    if not count:
        return ""
    many = "a guest" if count == 1 else f"{count} guests"
    hint = "; root sees all" if os.geteuid() != 0 else ""
    return f"the monitor of {many} cannot be looked at{hint}"


@contextmanager
def open_guest_process(guest: RunningGuest, *, root: Path = ROOT) -> Iterator[int]:
    """Opens the /proc folder of the very process that was found, and closes it at the end.

    The descriptor never refers to another process, even if the number is reused.

    Raises:
        ToolError: The guest has ended, or this user may not see it.
    """
    with open_process(guest.process.pid, guest.process.started_ticks, root=root) as folder:
        yield folder


def _is_running(guest: RunningGuest, root: Path) -> bool:
    with suppress(ToolError), open_guest_process(guest, root=root):
        return True
    return False


def _find_uptime(process: QemuProcess, now_s: float) -> float:
    return max(0.0, now_s - process.started_ticks / TICKS_PER_S)


def _read_guest(folder: int, pid: int, tables: SocketTables, now_s: float) -> RunningGuest:
    process = read_qemu(folder, pid)
    uptime_s = _find_uptime(process, now_s)
    source = Source(name=f"pid:{pid}", data=process.command)
    # By the descriptor, since the number can be another process's by now.
    reader = make_file_reader(Path("/proc/self/fd", str(folder)))
    try:
        vm = read_process_vm(source, ReadContext(host=Host(), read_file=reader)).vm
        layout = lay_out_command(vm)
    except VmioError as error:
        return RunningGuest(
            process=process,
            manager="none",
            id="",
            name="",
            uptime_s=uptime_s,
            problem=error.message,
        )
    options = list_monitors(vm.options)
    owner = identify(vm.name, vm.options, options, process.cgroup)
    uuids = (each.properties.get("value", "") for each in vm.options if each.name == "uuid")
    return RunningGuest(
        process=process,
        manager=owner.manager,
        id=owner.id,
        name=owner.name,
        pod=owner.pod,
        uuid=next(uuids, ""),
        uptime_s=uptime_s,
        monitors=tuple(_look_at(each, owner, folder, tables) for each in options),
        layout=layout,
    )


def _look_at(option: MonitorOption, owner: Owner, folder: int, tables: SocketTables) -> Monitor:
    use = _find_use(option, folder, tables)
    address, state = option.address, use.state
    if option.transport == "fd":
        address = use.path
    elif option.transport == "unix" and option.listens and not address.startswith("/"):
        with suppress(OSError):  # another user's
            address = os.path.join(os.readlink("cwd", dir_fd=folder), address)  # noqa: PTH118
    elif option.transport == "abstract":
        address = f"@{address}"
    if option.transport in {"unix", "fd"} and state == "free" and _is_removed(address, folder):
        state = "absent"
    return Monitor(
        protocol=option.protocol,
        transport=option.transport,
        address=address,
        state=state if option.listens else "outgoing",
        waiting=use.waiting,
        access=choose_access(owner, option),
    )


def _is_removed(path: str, folder: int) -> bool:
    """Returns whether a socket has no file any more, so that nobody can connect to it."""
    with suppress(OSError):  # it is another user's
        # In another root a link would lead to this one's files.
        if os.path.samestat(os.stat("root", dir_fd=folder), os.stat(ROOT)):  # noqa: PTH116
            return path.startswith("/") and not is_there(path)
    return False


def _find_use(option: MonitorOption, folder: int, tables: SocketTables) -> SocketUse:
    # A byte that is not UTF-8 was replaced when the command line was read.
    if option.listens and "\ufffd" not in option.address:
        if option.transport == "unix":
            return tables.find_use(folder, option.address)
        if option.transport == "abstract":
            return tables.find_use(folder, f"@{option.address}")
        if option.transport == "fd":
            return tables.find_use_by_descriptor(folder, option.address)
        if option.transport == "tcp":
            return tables.find_port_use(folder, option.address.rpartition(":")[2])
    return SocketUse(path="", state="unknown")
