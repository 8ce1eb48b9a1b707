"""Whether a config of Proxmox VE may be changed now, and in this way.

Source: qemu-server 9.2.6. Its tools refuse a config with `lock:`, and keep changes of a running
guest in [PENDING], because migration and hotplug use the main section.
"""

from __future__ import annotations

from pathlib import Path

from vmio.errors import ConflictError
from vmio.formats.proxmox.config import parse_config
from vmio.managers.proxmox.node import Node, find_vmid, is_running
from vmio.model.source import Source

__all__ = ["check_rest", "check_state"]

_PENDING_HINT = (
    "stop it first, or run the command of `vmio apply --commands`: it applies at the next start"
)


def check_state(source: Source, path: Path, node: Node) -> None:
    """Refuses a config that must not be changed at this time.

    Raises:
        InputError: It is not a VM config.
        ConflictError: An operation is in progress, or the guest runs here.
    """
    lock = parse_config(source).main.settings().get("lock")
    if lock is not None:
        raise ConflictError(
            f"{source.name} has 'lock: {lock.value}'",
            hint="an operation of Proxmox VE is in progress, or has crashed: see qm unlock",
        )
    vmid = find_vmid(path, node)
    if vmid and is_running(vmid, node):
        raise ConflictError(
            f"guest {vmid} is running, and its config has to describe what runs",
            hint=_PENDING_HINT,
        )


def check_rest(old: Source, new: bytes) -> None:
    """Refuses to change anything but the guest itself: not its snapshots, nor pending changes.

    Raises:
        ConflictError: Something else differs.
    """
    rest = old.data[parse_config(old).main.span.end :]
    changed = Source(name=old.name, data=new)
    if new[parse_config(changed).main.span.end :] != rest:
        raise ConflictError(
            f"{old.name} has other snapshots or pending changes now",
            hint="vmio never changes those; nothing was written",
        )
