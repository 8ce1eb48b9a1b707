"""Words that a shell can complete: no errors, and never more work than reading a file."""

from __future__ import annotations

from itertools import islice

from vmio.app.addresses import QMP, find_guest
from vmio.app.guests import Guest, find_vms, lay_out, load
from vmio.app.plan import list_policies
from vmio.errors import UsageError, VmioError
from vmio.host.files import is_folder
from vmio.model.host import Host

__all__ = [
    "complete_disks",
    "complete_policies",
    "complete_rules",
    "complete_running",
    "complete_snapshots",
    "complete_vms",
]

_MOST = 500
"""The most words offered; nobody chooses among more."""


def complete_rules() -> tuple[tuple[str, str], ...]:
    """Returns the code and the name of every rule."""
    from vmio.lint.registry import RULES

    return tuple((entry.code, entry.name) for entry in RULES)


def complete_policies() -> tuple[tuple[str, str], ...]:
    """Returns each policy's usage, without its number, and its summary."""
    return tuple(
        (usage.partition(":")[0] + (":" if ":" in usage else ""), summary)
        for usage, summary in list_policies()
    )


def complete_vms(folder: str) -> tuple[str, ...]:
    """Returns the paths of the configs in a folder or a whole tree; none where it is neither."""
    if not is_folder(folder):
        return ()
    try:
        return tuple(vm.path for vm in islice(find_vms([folder]), _MOST) if vm.error is None)
    except VmioError:
        return ()


def complete_running() -> tuple[tuple[str, str], ...]:
    """Returns the addresses of the guests that run here, their ids and their names, with notes."""
    from vmio.app.ps import list_running

    guests = list_running().guests[:_MOST]
    words = {each.address: each.name for each in guests}
    words |= {each.id: each.name for each in guests if each.id}
    words |= {each.name: each.address for each in guests if each.name}
    return tuple(words.items())


def complete_disks(vm: str) -> tuple[str, ...]:
    """Returns the disks of a guest; none where it cannot be read."""
    try:
        return tuple(each.disk.id for each in lay_out(_load(vm)).disks)
    except VmioError:
        return ()


def complete_snapshots(vm: str) -> tuple[str, ...]:
    """Returns the snapshots of a guest; none where it cannot be read."""
    try:
        return _load(vm).vm.snapshots
    except VmioError:
        return ()


def _load(vm: str) -> Guest:
    if vm.startswith(QMP):
        raise UsageError("a monitor has one client at a time, and is not asked for a completion")
    return load(find_guest(vm), host=Host())
