"""The state of configs and of the files that their results depend on, at one time.

/etc/pve is a FUSE file system: what another node writes there causes no inotify event here.
Instead it counts the changes of each VM's config; other files are compared by time, size and
inode. No file is kept open between two looks, because an open one would be renamed to
`.fuse_hidden…` when Proxmox VE replaces it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from pathlib import Path, PurePath

from msgspec import Struct, field

from vmio.managers.libvirt.find import LIBVIRT
from vmio.managers.libvirt.find import read_state as read_domain_state
from vmio.managers.proxmox.inventory import MAX_ENTRIES, Found
from vmio.managers.proxmox.pmxcfs import PVE, VmList, find_config, parse_vmlist, read_vmlist
from vmio.managers.proxmox.storages import find_storage_cfg

__all__ = ["ConfigWatcher", "FileStates", "State", "read_state"]

_FACTS = (".toml", ".txt")

State = tuple[int, int, int] | None
"""A file's modification time in ns, size in bytes and inode; None if it does not exist.

For a libvirt domain: its text's digest and size, and 0.
For a config in /etc/pve: the start time of pmxcfs in s, the config's version, and 0. There a file
keeps its inode when it is replaced, and times are whole seconds.
"""


class FileStates(Struct, frozen=True, kw_only=True):
    """The files at one time."""

    shared: Mapping[str, State]
    """What all results go by: facts of hosts, storages, project configuration, folders."""
    configs: Mapping[str, tuple[Found, State]]
    """By path, in the order of the inventory."""

    @property
    def vms(self) -> tuple[Found, ...]:
        """The configs, or errors because of which configs may be missing."""
        return tuple(found for found, _ in self.configs.values())


def read_state(path: str) -> State:
    """Returns the state of a file or a libvirt domain, which differs after a change."""
    if path.startswith(LIBVIRT):
        return read_domain_state(path)
    try:
        found = os.stat(path)  # noqa: PTH116 - ten thousand times a second, perhaps
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


class ConfigWatcher(Struct, kw_only=True):
    """Looks at the same configs repeatedly.

    While `.vmlist` reports no change of any VM's config, those of /etc/pve are neither listed nor
    looked at: each would take a call to pmxcfs.
    """

    find: Callable[[], Iterable[Found]]
    """Returns the configs that exist now."""
    root: Path = PVE
    """The tree of a running pmxcfs; in a copy, editing a config does not change `.vmlist`."""
    _configs: Mapping[str, tuple[Found, State]] = field(default_factory=dict)
    _vmlist: VmList | None = None
    """The list before the last search; None if some configs are not in the tree."""

    def look(self, files: Iterable[str]) -> FileStates:
        """Returns the states of the configs and of the files that their results depend on.

        Args:
            files: Files that results depend on, apart from those in the folders around configs.
        """
        # Before the configs, so that a change meanwhile shows at the next look.
        vmlist = read_vmlist(self.root)
        if vmlist is None or vmlist != self._vmlist:
            versions = _list_versions(self.root, vmlist) if vmlist is not None else {}
            vms = tuple(self.find())
            self._configs = {
                vm.path: (vm, versions.get(vm.real) or read_state(vm.real or vm.path))
                for vm in vms
            }
            self._vmlist = vmlist if all(vm.real in versions for vm in vms) else None
        return FileStates(shared=_look_around(self._configs, files), configs=self._configs)


def _list_versions(root: Path, vmlist: VmList) -> dict[str, State]:
    real = Path(os.path.realpath(root))
    return {
        find_config(real, vm.node, number): (vmlist.start_s, vm.version, 0)
        for number, vm in (parse_vmlist(vmlist.text) or {}).items()
    }


def _look_around(
    configs: Mapping[str, tuple[Found, State]], files: Iterable[str]
) -> dict[str, State]:
    """Returns the states of the files that results depend on, besides the configs themselves."""
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
    # Only whether the folder has configs: its own state changes with every config in it.
    shared.update((f"{folder}/", None) for folder in folders)
    return shared


def _list_facts(folder: str) -> list[str]:
    """Returns the possible files of a folder with facts of a host, existing or not."""
    try:
        with os.scandir(folder) as entries:
            return [
                entry.path for entry in islice(entries, MAX_ENTRIES) if entry.name.endswith(_FACTS)
            ]
    except OSError:
        return []
