"""Facts that all configs in one folder share: their host and its storages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePath

from msgspec import Struct, field

from vmio.errors import InputError
from vmio.formats.proxmox.storage import Storages, parse_storages
from vmio.host.files import read_source
from vmio.managers.proxmox.inventory import PROCESSES, Found
from vmio.managers.proxmox.pmxcfs import PVE
from vmio.managers.proxmox.storages import find_storage_cfg
from vmio.model.host import Host
from vmio.values import replace

__all__ = ["Place", "Places", "read_places"]

_DESCRIPTION = "host.toml"
_VERSIONS = ("pveversion.txt", "versions.txt")


class Place(Struct, frozen=True, kw_only=True):
    """The host and storages of the configs in one folder."""

    host: Host
    storages: Storages | None = None
    """None if not known."""
    known: bool = True
    """Whether more is known about the host than its name."""


class Places(Struct, frozen=True, kw_only=True):
    """The places of configs, by folder, and the errors of reading them."""

    by_folder: Mapping[str, Place] = field(default_factory=dict)
    errors: tuple[Found, ...] = ()
    files: tuple[str, ...] = ()
    """The files that were read."""


def read_places(
    vms: Iterable[Found],
    *,
    describe: Callable[[str | None, Host | None], Host],
    host: Host | None = None,
    storages: Storages | None = None,
) -> Places:
    """Returns the places of configs.

    A node's host is read from a saved description: `host.toml` or `NODE.toml` in its folder, or
    `NODE.toml` beside the folder, as written by `vmio host -o`; else from the output of
    `pveversion -v` in `pveversion.txt` or `versions.txt`. Beside a config without a node, it may
    be `host.toml` or `pveversion.txt`. Without any of these, the configs in this host's own
    /etc/pve and its processes use this host's facts. A file from elsewhere does not, because it
    may belong to any host: its host is unknown.

    Args:
        vms: The configs.
        describe: Returns the host for a description's path, for a bare host with the call's
            options, or, with neither, this host.
        host: The host to use instead, for all.
        storages: The storages to use instead, for all.
    """
    reader = _Reader(describe, host, storages)
    places = {vm.folder: vm.node for vm in vms if vm.error is None}
    return Places(
        by_folder={folder: reader.read(folder, node) for folder, node in places.items()},
        errors=tuple(reader.errors),
        files=tuple(reader.files),
    )


class _Reader:
    def __init__(
        self,
        describe: Callable[[str | None, Host | None], Host],
        host: Host | None,
        storages: Storages | None,
    ) -> None:
        self.errors: list[Found] = []
        self.files: list[str] = []
        self._describe = describe
        self._host = host
        self._local: Host | None = None
        self._storages = storages
        self._by_path: dict[Path, Storages | None] = {}

    def read(self, folder: str, node: str) -> Place:
        place = Place(host=self._host) if self._host is not None else self._find(folder, node)
        storages = self._storages
        if storages is None:
            storages = self._read_storages(folder)
        return replace(place, storages=storages)

    def _find(self, folder: str, node: str) -> Place:
        saved, versions = _list_saved(folder)
        for path in filter(Path.is_file, saved):
            with self._reading(path):
                return Place(host=self._describe(str(path), None))
        name = node or Host().node
        for path in filter(Path.is_file, versions):
            from vmio.formats.proxmox.versions import parse_pveversion

            with self._reading(path):
                named = parse_pveversion(read_source(str(path)), Host(node=name))
                return Place(host=self._describe(None, named))
        if _is_local(folder):
            if self._local is None:
                self._local = self._describe(None, None)
            if node in {"", self._local.node}:
                return Place(host=self._local)
        bare = Host(node=name)
        host = self._describe(None, bare)
        return Place(host=host, known=host != bare)

    @contextmanager
    def _reading(self, path: Path) -> Iterator[None]:
        """Records a file, and continues if it cannot be read or parsed."""
        self.files.append(str(path))
        try:
            yield
        except InputError as error:
            self.errors.append(Found(path=str(path), error=error))

    def _read_storages(self, folder: str) -> Storages | None:
        path = find_storage_cfg(Path(folder))
        if path is not None and path not in self._by_path:
            self._by_path[path] = None
            with self._reading(path):
                self._by_path[path] = parse_storages(read_source(str(path)))
        return self._by_path[path] if path is not None else None


def _is_local(folder: str) -> bool:
    """Returns whether a folder belongs to this host: to a process, or to its cluster."""
    return folder.rpartition("/")[0] == PROCESSES or PurePath(folder).is_relative_to(PVE)


def _list_saved(folder: str) -> tuple[list[Path], list[Path]]:
    """Returns the possible paths of a host's description, and of its versions."""
    home = Path(folder)
    if not folder:
        return [], []
    if home.name != "qemu-server":
        return [home / _DESCRIPTION], [home / _VERSIONS[0]]
    home = home.parent
    names = [home / _DESCRIPTION, home / f"{home.name}.toml", Path(f"{home}.toml")]
    return names, [home / name for name in _VERSIONS]
