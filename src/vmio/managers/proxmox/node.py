"""Where this node of Proxmox VE keeps a VM's config, lock, process and monitor."""

from __future__ import annotations

import re
from pathlib import Path

from msgspec import Struct, field

from vmio.errors import ConflictError
from vmio.host.files import is_there
from vmio.managers.journal import find_state_folder
from vmio.managers.lock import LOCK_TIMEOUT_S
from vmio.managers.proxmox.pmxcfs import PVE

__all__ = ["Node", "find_pid", "find_qmp_socket", "find_vmid", "is_running"]

_CONFIG = re.compile(r"([1-9][0-9]{2,8})\.conf", re.ASCII)


class Node(Struct, frozen=True, kw_only=True):
    """The paths where Proxmox VE and vmio keep what belongs to a config."""

    etc: Path = PVE
    locks: Path = Path("/var/lock/qemu-server")
    run: Path = Path("/var/run/qemu-server")
    proc: Path = Path("/proc")
    state: Path = field(default_factory=find_state_folder)
    lock_timeout_s: float = LOCK_TIMEOUT_S


def find_vmid(path: Path, node: Node) -> str:
    """Returns the number of a VM of this node by its config; empty for a copy or a backup.

    Raises:
        ConflictError: The config belongs to another node, or to no VM.
    """
    try:
        real, etc = path.resolve(), node.etc.resolve()
        own = (etc / "local").resolve(strict=True)
    except (OSError, RuntimeError, ValueError):
        return ""
    if not real.is_relative_to(etc):
        return ""
    match = _CONFIG.fullmatch(real.name)
    if match is None or real.parent.name != "qemu-server":
        raise ConflictError(f"{path} is not a VM config")
    if real.parent.parent != own:
        raise ConflictError(
            f"{path} belongs to the node {real.parent.parent.name}",
            hint="run vmio there, where its lock is",
        )
    return match[1]


def is_running(vmid: str, node: Node) -> bool:
    """Returns whether a VM of this node has a process.

    If this cannot be determined, it counts as running: leaving a guest alone does no harm.
    """
    try:
        pid = (node.run / f"{vmid}.pid").read_text(encoding="ascii").strip()
        if pid.isdigit():
            (node.proc / pid).stat()
    except FileNotFoundError:
        return False
    except (OSError, ValueError):
        return True
    return True


def find_pid(vmid: str, node: Node) -> int | None:
    """Returns the process of a VM of this node; None if it is not running."""
    if not is_running(vmid, node):
        return None
    try:
        pid = (node.run / f"{vmid}.pid").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None
    return int(pid) if re.fullmatch(r"[1-9][0-9]{0,9}", pid, re.ASCII) else None


def find_qmp_socket(path: Path, node: Node) -> Path | None:
    """Returns the monitor of the running guest that a config of this node belongs to."""
    vmid = find_vmid(path, node)
    socket = node.run / f"{vmid}.qmp"
    return socket if vmid and is_running(vmid, node) and is_there(socket) else None
