"""Finds the configs in files, folders, a whole /etc/pve or a copy of one.

In a folder, VMs are found where Proxmox VE keeps them: every `*.conf` in a folder `qemu-server` at
any depth, and `NUMBER.conf` anywhere else. In a folder without any `qemu-server` every `*.conf`
counts, and every libvirt domain that is saved there as `*.xml`. Containers (`lxc`) are ignored.

Links are followed if they stay inside the named folder, as those of /etc/pve do; a VM that can be
reached in two ways is listed once.

Source: the layout of pmxcfs, Proxmox VE's file system at /etc/pve.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path, PurePath

from msgspec import Struct

from vmio.errors import InputError
from vmio.host.files import open_file
from vmio.patterns import compile_late

__all__ = ["MAX_DEPTH", "MAX_ENTRIES", "PROCESSES", "Found", "list_vms", "locate"]

MAX_DEPTH = 16
"""A backup of a cluster's nodes has its `qemu-server` at a depth below ten."""

MAX_ENTRIES = 200_000
"""The most names that are looked at for one argument."""

PROCESSES = "/proc"

_CONFIGS = "qemu-server"
_HINT = "its name ends in .conf, or in .xml for a libvirt domain"
_DOMAIN = compile_late(rb"<domain\b")
_BEGINNING_BYTES = 4096
"""Enough for what libvirt writes above a domain."""
_PRUNED = frozenset({"lxc", "priv"})
"""Of /etc/pve: containers, and keys, which only root may see."""


class Found(Struct, frozen=True, kw_only=True):
    """A config, or an error because of which configs may be missing."""

    path: str
    """The name relative to the argument; `-` is standard input."""
    real: str = ""
    """The real path, with links resolved; of a libvirt domain its address; empty if it is neither
    a file nor a domain."""
    node: str = ""
    """The VM's host; empty if the path does not show it."""
    error: InputError | None = None

    @property
    def folder(self) -> str:
        """The real folder, or what stands for the daemon in a domain's address; empty if none."""
        return self.real.rpartition("/")[0]


def list_vms(names: Iterable[str]) -> tuple[Found, ...]:
    """Returns the configs in files and folders, each once.

    Those of one folder are ordered by node, then by the VMs' numbers.
    """
    seen: set[str] = set()
    found: list[Found] = []
    for name in names:
        meant = _search(name) if _is_folder(name) else (locate(name),)
        for one in meant:
            identity = one.real or f"\0{one.path}"
            if identity not in seen:
                seen.add(identity)
                found.append(one)
    return tuple(found)


def _is_folder(name: str) -> bool:
    # Not Path's method, which raises an error without permission.
    return name != "-" and os.path.isdir(name)  # noqa: PTH112


def locate(path: str) -> Found:
    """Returns a file, a process's command line or a libvirt domain, with its real path."""
    process = re.fullmatch(r"pid:(\d{1,10})", path, re.ASCII)
    if process is not None:
        return Found(path=path, real=f"{PROCESSES}/{process[1]}/cmdline")
    if path.startswith("libvirt:"):
        return Found(path=path, real=path)
    if path == "-" or not os.path.exists(path):  # noqa: PTH110 - as above
        return Found(path=path)
    real = os.path.realpath(path)
    return Found(path=path, real=real, node=_name_node(real.rpartition("/")[0]))


def _name_node(folder: str) -> str:
    """Returns the node of a folder `nodes/NODE/qemu-server`; empty for any other folder."""
    match folder.rsplit("/", 3)[1:]:
        case ["nodes", node, name] if name == _CONFIGS:
            return node
    return ""


def _search(name: str) -> list[Found]:
    walk = _Walk(name)
    found = [*walk.configs, *walk.errors] if walk.has_tree else [*walk.plain, *walk.errors]
    if not found:
        error = InputError(f"there is no VM config in {name}", hint=_HINT)
        return [Found(path=name, error=error)]
    return sorted(found, key=_order)


def _order(found: Found) -> tuple[bool, str, float, str]:
    """Returns a sort key by node and number; errors come last."""
    match = re.search(r"(?:^|/)(\d{1,15})\.conf$", found.path, re.ASCII)
    number = float(match[1]) if match is not None else float("inf")
    return found.error is not None, found.node, number, found.path


def _is_domain(entry: os.DirEntry[str]) -> bool:
    """Returns whether a file looks like a libvirt domain; one that cannot be read does, too."""
    if not entry.name.endswith(".xml"):
        return False
    try:
        descriptor = open_file(entry.path, os.O_NOFOLLOW)
    except OSError:
        return True
    try:
        return _DOMAIN.search(os.read(descriptor, _BEGINNING_BYTES)) is not None
    except OSError:
        return True
    finally:
        os.close(descriptor)


class _Walk:
    """Walks the tree below one folder, and looks at every folder once.

    Attributes:
        configs: Configs recognised by their folder or their number.
        plain: The same, and every `*.conf` and libvirt domain directly in the folder.
        errors: What could not be read.
        has_tree: Whether there is a folder `qemu-server`.
    """

    def __init__(self, name: str) -> None:
        self.root = Path(name).resolve()
        self.has_tree = False
        self.configs: list[Found] = []
        self.plain: list[Found] = []
        self.errors: list[Found] = []
        self._entries = 0
        # Real folders come before links, so that configs get the path that a person would write.
        links: list[tuple[str, int]] = []
        waiting = [(name, 0)]
        seen: set[str] = set()
        while waiting or links:
            path, depth = waiting.pop() if waiting else links.pop()
            real = os.path.realpath(path)
            if real in seen or not self._holds(real):
                continue
            seen.add(real)
            in_tree = PurePath(real).name == _CONFIGS
            self.has_tree = self.has_tree or in_tree
            for entry in self._list(path):
                if self._look_at(entry, real, depth, in_tree=in_tree):
                    (links if entry.is_symlink() else waiting).append((entry.path, depth + 1))

    def _holds(self, real: str) -> bool:
        return PurePath(real).is_relative_to(self.root)

    def _list(self, path: str) -> Iterator[os.DirEntry[str]]:
        try:
            with os.scandir(path) as entries:
                names = list(islice(entries, max(0, MAX_ENTRIES - self._entries) + 1))
        except OSError as error:
            self._fail(path, f"cannot read {path}: {error.strerror}")
            return
        self._entries += len(names)
        if self._entries > MAX_ENTRIES:
            self._fail(path, f"{path} is left out: there are more than {MAX_ENTRIES} files")
            return
        yield from names

    def _look_at(self, entry: os.DirEntry[str], folder: str, depth: int, *, in_tree: bool) -> bool:
        """Keeps a config, and returns whether it is a folder to go into."""
        if entry.name.startswith("."):
            return False
        try:
            is_folder = entry.is_dir()
        except OSError:  # a link to itself
            is_folder = False
        if not is_folder:
            is_own = depth == 0
            if entry.name.endswith(".conf") or (is_own and _is_domain(entry)):
                self._keep(entry, folder, in_tree=in_tree, is_own=is_own)
            return False
        if entry.name in _PRUNED:
            return False
        if depth >= MAX_DEPTH:
            self._fail(entry.path, f"{entry.path} is left out: it is too deep")
        return depth < MAX_DEPTH

    def _keep(self, entry: os.DirEntry[str], folder: str, *, in_tree: bool, is_own: bool) -> None:
        is_vm = in_tree or re.fullmatch(r"\d+\.conf", entry.name, re.ASCII) is not None
        if not is_vm and not is_own:
            return
        if not entry.is_symlink():
            found = Found(path=entry.path, real=f"{folder}/{entry.name}", node=_name_node(folder))
        elif self._holds(os.path.realpath(entry.path)):
            found = locate(entry.path)
        else:
            error = InputError(
                f"{entry.path} is left out: it is a link that leaves {self.root}",
                hint="name the file itself to read it",
            )
            found = Found(path=entry.path, error=error)
        self.plain.append(found)
        if is_vm:
            self.configs.append(found)

    def _fail(self, path: str, message: str) -> None:
        self.errors.append(Found(path=path, error=InputError(message)))
