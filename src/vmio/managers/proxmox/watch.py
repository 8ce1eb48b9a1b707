"""Configs and what results about them depend on, as they were at one look.

Files are compared by their time, size and inode, since /etc/pve is a FUSE file system: what
another node writes there raises no inotify event here.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path, PurePath

from attrs import frozen

from vmio.host.files import find_storage_cfg
from vmio.managers.proxmox.inventory import MAX_ENTRIES, Found

__all__ = ["State", "View", "look_at", "read_state"]

_FACTS = (".toml", ".txt")

State = tuple[int, int, int] | None
"""A file's time of change in ns, size in bytes and inode; None where there is none."""


@frozen(kw_only=True)
class View:
    """What there was to see at one time."""

    shared: Mapping[str, State]
    """What all results go by: facts of hosts, storages, house rules, folders."""
    configs: Mapping[str, tuple[Found, State]]
    """By path, in the order of the inventory."""

    @property
    def vms(self) -> tuple[Found, ...]:
        """The configs, or why there may be some that were not found."""
        return tuple(found for found, _ in self.configs.values())


def read_state(path: str) -> State:
    """Returns what tells a file from what it was before."""
    try:
        found = os.stat(path)  # noqa: PTH116 - ten thousand times a second, perhaps
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def look_at(vms: Iterable[Found], files: Iterable[str]) -> View:
    """Returns the states of configs and of what their results go by.

    Args:
        vms: The configs.
        files: What results go by, apart from what lies about in the folders around configs.
    """
    configs = {vm.path: (vm, read_state(vm.real or vm.path)) for vm in vms}
    folders = {vm.folder for vm, _ in configs.values() if vm.error is None}
    paths = set(files)
    around: set[str] = set()
    for folder in folders:
        storage = find_storage_cfg(Path(folder))
        if storage is not None:
            paths.add(str(storage))
        if PurePath(folder).name == "qemu-server":
            around.update(map(str, PurePath(folder).parents[:2]))
    for folder in around:
        paths.update(_list_facts(folder))
    shared: dict[str, State] = {path: read_state(path) for path in paths}
    # Not a folder's state, which changes with every config in it, but that there are configs.
    shared.update((f"{folder}/", None) for folder in folders)
    return View(shared=shared, configs=configs)


def _list_facts(folder: str) -> list[str]:
    """Returns the files of a folder that may tell of a host, those too that come later."""
    try:
        with os.scandir(folder) as entries:
            return [
                entry.path for entry in islice(entries, MAX_ENTRIES) if entry.name.endswith(_FACTS)
            ]
    except OSError:
        return []
