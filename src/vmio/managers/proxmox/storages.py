"""Finds and reads the storages of a cluster."""

from __future__ import annotations

from pathlib import Path

from vmio.formats.proxmox.storage import Storages, parse_storages
from vmio.host.files import is_file, read_source

__all__ = ["Storages", "find_storage_cfg", "find_storages", "read_storages"]

_ETC_STORAGE = Path("/etc/pve/storage.cfg")
_LEVELS_UP = 4
"""The most levels from a VM's config up to `storage.cfg`: /etc/pve/nodes/NODE/qemu-server."""


def find_storage_cfg(folder: Path) -> Path | None:
    """Returns the storage.cfg for a folder's configs: in it, above it, or this host's."""
    absolute = folder.absolute()
    for candidate in (absolute, *absolute.parents[:_LEVELS_UP]):
        path = candidate / "storage.cfg"
        if is_file(path):
            return path
    return _ETC_STORAGE if is_file(_ETC_STORAGE) else None


def find_storages(folder: Path) -> Storages | None:
    """Returns the storages for a folder's configs; None if not known.

    Raises:
        InputError: Their file cannot be read or parsed.
    """
    path = find_storage_cfg(folder)
    return read_storages(str(path)) if path is not None else None


def read_storages(path: str) -> Storages:
    """Reads the storages in a file.

    Raises:
        InputError: It cannot be read, or is not a storage.cfg.
    """
    return parse_storages(read_source(path))
