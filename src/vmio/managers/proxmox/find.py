"""Finds a VM of this host's cluster by its number or its name."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from msgspec import Struct

from vmio.errors import InputError
from vmio.formats.proxmox.config import parse_config
from vmio.host.files import is_file, read_source
from vmio.managers.proxmox.pmxcfs import MAX_VMS, PVE, find_config, parse_vmlist, read_vmlist

__all__ = ["VmPlace", "find_vm", "find_vms"]

_MAX_NODES = 1000
_MAX_TOLD = 20
_TRIES = 2
"""A config in /etc/pve is missing for a moment while it is replaced."""
_NUMBER = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)
_CONFIG = re.compile(rf"({_NUMBER.pattern})\.conf", re.ASCII)


class VmPlace(Struct, frozen=True, kw_only=True):
    """A VM's number, node and config."""

    number: int
    node: str
    path: Path
    """Its config."""

    def read_name(self) -> str:
        """Returns the VM's name in its config; empty if it has none or cannot be read."""
        return _read_name(str(self.path))


def find_vms(root: Path = PVE) -> tuple[VmPlace, ...]:
    """Returns the VMs of a Proxmox VE tree in order of their numbers, without opening configs.

    Args:
        root: The tree, with a folder `nodes`; a missing one has no VMs.
    """
    return tuple(_place(root, number, node) for number, node in _list_vms(root))


def find_vm(root: Path, text: str) -> VmPlace | None:
    """Returns the VM with a number or a name; None if the tree has no such VM.

    A number is never taken for a name, so that a mistyped number does not open every config.

    Args:
        root: The tree, such as /etc/pve.
        text: A VM's number, or its name in its config.

    Raises:
        InputError: Several VMs have that name, or, in a copied tree, that number.
    """
    if _NUMBER.fullmatch(text):
        found = _find_number(root, int(text))
    else:
        found = _find_name(root, text) if text else []
    if len(found) > 1:
        told = ", ".join(f"{number} on {node}" for number, node in found[:_MAX_TOLD])
        more = f" and {len(found) - _MAX_TOLD} more" if len(found) > _MAX_TOLD else ""
        raise InputError(
            f"'{text}' names {len(found)} VMs: {told}{more}",
            hint="name one by its number, or by the path of its config",
        )
    return _place(root, *found[0]) if found else None


def _find_number(root: Path, number: int) -> list[tuple[int, str]]:
    # Looking into each node's folder is faster than reading .vmlist, which has the whole cluster.
    for _ in range(_TRIES):
        nodes = _list_nodes(root)
        found = [node for node in nodes if is_file(find_config(root, node, number))]
        if found:
            break
    return [(number, node) for node in found]


def _find_name(root: Path, name: str) -> list[tuple[int, str]]:
    return [
        (number, node)
        for number, node in _list_vms(root)
        if _read_name(find_config(root, node, number), name) == name
    ]


def _list_vms(root: Path) -> list[tuple[int, str]]:
    vmlist = read_vmlist(root)
    listed = parse_vmlist(vmlist.text) if vmlist is not None else None
    if listed is not None:
        return sorted((number, vm.node) for number, vm in listed.items())
    return sorted(islice(_walk(root), MAX_VMS))


def _walk(root: Path) -> Iterator[tuple[int, str]]:
    for node in _list_nodes(root):
        for name in _list_names(f"{root}/nodes/{node}/qemu-server", MAX_VMS):
            match = _CONFIG.fullmatch(name)
            if match is not None:
                yield int(match[1]), node


def _list_nodes(root: Path) -> list[str]:
    names = _list_names(f"{root}/nodes", _MAX_NODES)
    return [name for name in names if not name.startswith(".")]


def _list_names(folder: str, most: int) -> list[str]:
    """Returns the names in a folder; none if it does not exist or cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in islice(entries, most))
    except OSError:
        return []


def _read_name(path: str, asked: str = "") -> str:
    """Returns the name in a config; empty if it has none, or not the requested one."""
    try:
        source = read_source(path)
        # Most configs of a cluster belong to other VMs and need not be parsed.
        if asked and asked.encode("utf-8", "replace") not in source.data:
            return ""
        name = parse_config(source).main.settings().get("name")
    except InputError:
        return ""
    return name.value if name is not None else ""


def _place(root: Path, number: int, node: str) -> VmPlace:
    return VmPlace(number=number, node=node, path=Path(find_config(root, node, number)))
