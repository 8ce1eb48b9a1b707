"""What pmxcfs, the file system at /etc/pve, reports about the VMs in it.

`.vmlist` contains each VM of the cluster with its node and a version, which increases with each
change of its config; reading it takes one call, while looking at the configs takes one call each.
The versions start again when pmxcfs is started, at the time given in `.version`.

Source: pmxcfs of 2026-05, run.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from vmio.bounds import load_json
from vmio.errors import InputError
from vmio.host.files import is_file, read_source
from vmio.patterns import compile_late

__all__ = ["MAX_VMS", "PVE", "ListedVm", "VmList", "find_config", "parse_vmlist", "read_vmlist"]

PVE = Path("/etc/pve")
"""The configs of this host and of the other nodes of its cluster."""

MAX_VMS = 200_000
"""pmxcfs holds 262,144 files in all."""

_NODE = compile_late(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})", re.ASCII)
_NUMBER = compile_late(r"[1-9][0-9]{0,8}", re.ASCII)
_START = compile_late(rb'"starttime"\s*:\s*([0-9]{1,18})')


class VmList(NamedTuple):
    """A tree's list of VMs; while it is unchanged, no VM's config has changed."""

    text: bytes
    start_s: int
    """When pmxcfs was started, in seconds since 1970; older versions cannot be compared."""


class ListedVm(NamedTuple):
    """One VM of the cluster."""

    node: str
    version: int


def read_vmlist(root: Path) -> VmList | None:
    """Returns a tree's `.vmlist`; None if it has none, like most copies."""
    if not is_file(root / ".vmlist") or not is_file(root / ".version"):
        return None
    try:
        text = read_source(str(root / ".vmlist")).data
        start = _START.search(read_source(str(root / ".version")).data)
    except InputError:
        return None
    return VmList(text, int(start[1])) if start is not None else None


def parse_vmlist(text: bytes) -> dict[int, ListedVm] | None:
    """Returns the VMs in a `.vmlist`, without the containers; None if it cannot be parsed."""
    try:
        document = load_json(text)
    except ValueError:
        return None
    listed = document.get("ids") if isinstance(document, dict) else None
    if not isinstance(listed, dict) or len(listed) > MAX_VMS:
        return None
    found = {}
    for number, about in listed.items():
        match about:
            case {"type": "qemu", "node": str(node), "version": int(version)}:
                if _NUMBER.fullmatch(number) and _NODE.fullmatch(node):
                    found[int(number)] = ListedVm(node, version)
            case _:
                pass
    return found


def find_config(root: Path, node: str, number: int) -> str:
    """Returns the path of a VM's config in a tree; as text, because a cluster has many."""
    return f"{root}/nodes/{node}/qemu-server/{number}.conf"
