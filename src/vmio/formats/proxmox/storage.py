"""storage.cfg, and what QEMU opens for a volume on a storage.

Source: qemu-server 9.2.6 with pve-storage 9.1.7.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from functools import cached_property

from msgspec import Struct, field

from vmio.errors import InputError
from vmio.formats.proxmox.perl import parse_boolean
from vmio.model.disk import Backing, IoUringDefault
from vmio.model.host import Host
from vmio.model.source import Source
from vmio.model.storage import StorageKind, find_storage_kind
from vmio.patterns import compile_late

__all__ = ["Storage", "Storages", "parse_storages", "resolve_volume"]

_MAX_BYTES = 1024 * 1024
_HEADER = compile_late(r"([a-z][a-z0-9]*):\s*([A-Za-z][A-Za-z0-9\-_.]*[A-Za-z0-9])", re.ASCII)
_VOLUME_ID = compile_late(r"([A-Za-z][A-Za-z0-9\-_.]*[A-Za-z0-9]):(.+)", re.ASCII)
_ISO_NAME = compile_late(r"iso/([^/]+\.(?:iso|img))", re.IGNORECASE)
_FILE_NAME = compile_late(r"(?:\d+/[^/]+/)?(\d+)/([^/\s]+\.(raw|qcow2|vmdk|subvol))", re.ASCII)
_LVM_NAME = compile_late(r"(?:vm|base)-\d+-\S+", re.ASCII)
_ZFS_NAME = compile_late(r"(?:base-\d+-[^/\s]+/)?((vm|base|subvol|basevol)-\d+-[^/\s]+)", re.ASCII)
_RBD_NAME = compile_late(r"(?:base-\d+-[^/\s]+/)?((?:base|vm)-\d+-[^/\s]+)", re.ASCII)
_FILE_TYPES = frozenset({"dir", "nfs", "cifs", "btrfs"})
_DEFAULT_CONTENT: Mapping[str, tuple[str, ...]] = {
    "dir": ("images", "rootdir"),
    "btrfs": ("images", "rootdir"),
    "lvmthin": ("images", "rootdir"),
    "zfspool": ("images", "rootdir"),
    "lvm": ("images",),
    "nfs": ("images",),
    "cifs": ("images",),
    "rbd": ("images",),
    "iscsi": ("images",),
    "iscsidirect": ("images",),
    "zfs": ("images",),
}
_CEPH_DEFAULT_PORT = "3300"
_KINDS: Mapping[str, StorageKind] = {
    "btrfs": "btrfs",
    "cifs": "cifs",
    "dir": "dir",
    "iscsidirect": "iscsi",
    "lvm": "thick-lvm",
    "lvmthin": "thin-lvm",
    "nfs": "nfs",
    "zfs": "iscsi",
    "zfspool": "zvol",
}
"""By the storage's type; for rbd and iscsi it depends on who connects to the servers."""


class Storage(Struct, frozen=True, kw_only=True, dict=True):
    """One storage of a cluster."""

    id: str
    type: str
    options: Mapping[str, str] = field(default_factory=dict)

    def is_set(self, option: str) -> bool:
        """Returns whether a boolean option is configured and true."""
        return bool(parse_boolean(self.options.get(option, "0")))

    @cached_property
    def content(self) -> tuple[str, ...]:
        """The kinds of content that it may contain."""
        written = self.options.get("content")
        if written is None:
            return _DEFAULT_CONTENT[self.type]
        return tuple(re.split(r"[\s,;]+", written.strip()))


Storages = Mapping[str, Storage]

_LOCAL = Storage(
    id="local",
    type="dir",
    options={"path": "/var/lib/vz", "content": "backup,vztmpl,iso,images,rootdir,snippets"},
)


def parse_storages(source: Source) -> Storages:
    """Reads the storages of a storage.cfg by their ids; those of unknown types are left out.

    The storage `local` is always the directory /var/lib/vz, whatever is configured.

    Raises:
        InputError: The text is not a storage.cfg.
    """
    if len(source.data) > _MAX_BYTES or b"\0" in source.data:
        raise InputError(f"{source.name} is not a storage.cfg")
    storages: dict[str, Storage] = {}
    options: dict[str, str] | None = None
    for number, line in enumerate(source.data.decode("utf-8", "replace").splitlines(), 1):
        if not line.strip():
            options = None
        elif line.startswith("#"):
            continue
        elif line[0] in " \t":
            if options is not None:
                key, _, value = line.strip().partition(" ")
                options[key] = value.strip()
        else:
            match = _HEADER.fullmatch(line.rstrip())
            if match is None:
                raise InputError(
                    f"{source.name}:{number}: not a storage.cfg: {line.strip()[:60]!r}",
                    hint="a storage begins with a line such as 'zfspool: tank'",
                )
            options = {}
            if match[1] in _DEFAULT_CONTENT:
                storages[match[2]] = Storage(id=match[2], type=match[1], options=options)
    local = storages.get("local")
    if local is None or local.type != "dir" or local.options.get("path") != "/var/lib/vz":
        storages["local"] = _LOCAL
    return storages


class _VolumeError(Exception):
    """Why a volume cannot be used, in Proxmox's words."""


def resolve_volume(
    volume: str, written_format: str | None, storages: Storages, host: Host, *, drive: str
) -> Backing:
    """Returns what QEMU would open for a volume; its `error` says why that is impossible.

    Args:
        volume: `STORE:NAME`, or an absolute path.
        written_format: The drive's `format=` option.
        storages: The cluster's storages.
        host: The host, for what its files and storages show.
        drive: The drive's key, for the error.
    """
    if volume.startswith("/"):
        return Backing(
            filename=volume,
            format=written_format or "raw",
            driver="host_device" if _is_block_device(volume, host) else "file",
            kind=find_storage_kind(volume),
        )
    match = _VOLUME_ID.fullmatch(volume)
    if match is None:
        return Backing(
            filename=volume, format="raw", error=f"unable to parse volume ID '{volume}'"
        )
    storage = storages.get(match[1])
    if storage is None:
        return Backing(
            filename=volume,
            format=written_format or "raw",
            storage=match[1],
            error=f"storage '{match[1]}' does not exist",
        )
    try:
        backing = _resolve(storage, match[2], volume, host)
    except _VolumeError as error:
        return Backing(
            filename=volume,
            format=written_format or "raw",
            storage=storage.id,
            storage_type=storage.type,
            kind=_KINDS.get(storage.type, ""),
            error=str(error),
        )
    if written_format is not None and written_format != backing.format:
        return Backing(
            filename=backing.filename,
            format=written_format,
            storage=storage.id,
            storage_type=storage.type,
            kind=backing.kind,
            error=f"drive '{drive}' - volume '{volume}' - 'format={written_format}' option"
            f" different from storage format '{backing.format}'",
        )
    return backing


def _is_block_device(path: str, host: Host) -> bool:
    return any(fnmatchcase(path, pattern) for pattern in host.files.block_device_patterns)


def _resolve(storage: Storage, name: str, volume: str, host: Host) -> Backing:
    content = "iso" if storage.type in _FILE_TYPES and name.startswith("iso/") else "images"
    if content not in storage.content:
        raise _VolumeError(f"storage '{storage.id}' does not support content-type '{content}'")
    if storage.type in _FILE_TYPES:
        return _resolve_file(storage, name, volume, host, content)
    return _RESOLVERS[storage.type](storage, name, volume, host)


def _backing(
    storage: Storage,
    filename: str,
    *,
    image_format: str = "raw",
    driver: str = "host_device",
    options: tuple[tuple[str, object], ...] = (),
    io_uring: IoUringDefault = "yes",
    host: Host | None = None,
) -> Backing:
    chain = host.backing_chains.get(storage.id, ()) if host is not None else ()
    is_qcow2 = image_format == "qcow2"
    is_krbd = storage.type == "rbd" and driver == "host_device"
    return Backing(
        filename=filename,
        format=image_format,
        driver=driver,
        options=options,
        storage=storage.id,
        storage_type=storage.type,
        kind="krbd" if is_krbd else _KINDS.get(storage.type, "rbd" if driver == "rbd" else ""),
        io_uring=io_uring,
        direct_by_default=storage.type != "btrfs" or storage.is_set("nocow"),
        parents=tuple(chain) if is_qcow2 else (),
        discard_no_unref=is_qcow2 and storage.is_set("snapshot-as-volume-chain"),
        preallocation=storage.options.get("preallocation", ""),
    )


def _option(storage: Storage, name: str) -> str:
    value = storage.options.get(name, "")
    if not value:
        raise _VolumeError(f"storage '{storage.id}' has no '{name}'")
    return value


def _unparsable(storage: Storage, name: str) -> _VolumeError:
    kind = {"lvm": "lvm", "lvmthin": "lvm", "zfspool": "zfs", "zfs": "zfs", "rbd": "rbd"}
    return _VolumeError(
        f"unable to parse {kind.get(storage.type, storage.type)} volume name '{name}'"
    )


def _directory(storage: Storage, content: str, default: str) -> str:
    path = storage.options.get("path") or f"/mnt/pve/{storage.id}"
    for pair in storage.options.get("content-dirs", "").split(","):
        key, _, value = pair.partition("=")
        if key.strip() == content and value.strip():
            return f"{path}/{value.strip().strip('/')}"
    return f"{path}/{default}"


def _resolve_file(storage: Storage, name: str, volume: str, host: Host, content: str) -> Backing:
    io_uring: IoUringDefault = "no" if storage.type == "cifs" else "yes"
    if content == "iso":
        match = _ISO_NAME.fullmatch(name)
        if match is None:
            raise _VolumeError(f"unable to parse directory volume name '{name}'")
        path = f"{_directory(storage, 'iso', 'template/iso')}/{match[1]}"
        return _backing(storage, path, driver="file", io_uring=io_uring)
    match = _FILE_NAME.fullmatch(name)
    if match is None:
        raise _VolumeError(f"unable to parse directory volume name '{name}'")
    vmid, file, extension = match.groups()
    if extension == "subvol":
        raise _VolumeError(f"volume '{volume}' not usable as VM image")
    path = f"{_directory(storage, 'images', 'images')}/{vmid}/{file}"
    if storage.type == "btrfs" and extension == "raw":
        path = f"{path.removesuffix('.raw')}/disk.raw"
    driver = "host_device" if _is_block_device(path, host) else "file"
    chained = storage.is_set("snapshot-as-volume-chain")
    return _backing(
        storage,
        path,
        image_format=extension,
        driver=driver,
        io_uring=io_uring,
        host=host if chained else None,
    )


def _resolve_lvm(storage: Storage, name: str, volume: str, host: Host) -> Backing:  # noqa: ARG001
    if not _LVM_NAME.fullmatch(name) or "/" in name:
        raise _unparsable(storage, name)
    thick = storage.type == "lvm"
    return _backing(
        storage,
        f"/dev/{_option(storage, 'vgname')}/{name}",
        image_format="qcow2" if thick and name.endswith(".qcow2") else "raw",
        io_uring="no" if thick else "yes",
        host=host,
    )


def _zfs_name(storage: Storage, name: str, volume: str) -> str:
    match = _ZFS_NAME.fullmatch(name)
    if match is None:
        raise _unparsable(storage, name)
    if match[2] in {"subvol", "basevol"}:
        raise _VolumeError(f"volume '{volume}' not usable as VM image")
    return match[1]


def _resolve_zfspool(storage: Storage, name: str, volume: str, host: Host) -> Backing:  # noqa: ARG001
    last = _zfs_name(storage, name, volume)
    return _backing(storage, f"/dev/zvol/{_option(storage, 'pool')}/{last}")


def _resolve_iscsi(storage: Storage, name: str, volume: str, host: Host) -> Backing:  # noqa: ARG001
    match = re.fullmatch(r"\d+\.\d+\.\d+\.([^/\s]+)", name, re.ASCII)
    if match is None:
        raise _unparsable(storage, name)
    return _backing(storage, f"/dev/disk/by-id/{match[1]}")


def _iscsi_backing(storage: Storage, lun: int) -> Backing:
    portal, target = _option(storage, "portal"), _option(storage, "target")
    return _backing(
        storage,
        f"iscsi://{portal}/{target}/{lun}",
        driver="iscsi",
        options=(("lun", lun), ("portal", portal), ("target", target), ("transport", "tcp")),
    )


def _resolve_iscsidirect(storage: Storage, name: str, volume: str, host: Host) -> Backing:  # noqa: ARG001
    match = re.fullmatch(r"lun(\d{1,9})", name, re.ASCII)
    if match is None:
        raise _unparsable(storage, name)
    return _iscsi_backing(storage, int(match[1]))


def _resolve_zfs_over_iscsi(storage: Storage, name: str, volume: str, host: Host) -> Backing:
    last = _zfs_name(storage, name, volume)
    return _iscsi_backing(storage, host.iscsi_luns.get(volume, host.iscsi_luns.get(last, 0)))


def _resolve_rbd(storage: Storage, name: str, volume: str, host: Host) -> Backing:  # noqa: ARG001
    match = _RBD_NAME.fullmatch(name)
    if match is None:
        raise _unparsable(storage, name)
    pool = storage.options.get("pool") or "rbd"
    namespace = storage.options.get("namespace", "")
    image = "/".join(part for part in (pool, namespace, match[1]) if part)
    if storage.is_set("krbd"):
        fsid = host.ceph.get("fsid", storage.options.get("fsid", ""))
        return _backing(storage, f"/dev/rbd-pve/{fsid}/{image}", io_uring="direct")
    options: dict[str, object] = {"pool": pool, "image": match[1]}
    if namespace:
        options["namespace"] = namespace
    filename = f"rbd:{image}"
    monitors = [part for part in re.split(r"[\s,;]+", storage.options.get("monhost", "")) if part]
    # Only the host shows whether the key ring's file exists.
    has_keyring = bool(host.ceph.get("keyring"))
    if monitors:
        auth = "cephx" if has_keyring else "none"
        bracketed = [f"[{part}]" if part.count(":") > 1 else part for part in monitors]
        escaped = ";".join(bracketed).replace(":", r"\:")
        filename += f":mon_host={escaped}:auth_supported={auth}"
        options["server"] = [_ceph_server(part) for part in monitors]
        options["auth-client-required"] = [auth]
    else:
        filename += ":conf=/etc/pve/ceph.conf"
        options["conf"] = "/etc/pve/ceph.conf"
    if has_keyring:
        user = storage.options.get("username") or "admin"
        filename += f":id={user}:keyring=/etc/pve/priv/ceph/{storage.id}.keyring"
        options["user"] = user
    return _backing(storage, filename, driver="rbd", options=tuple(sorted(options.items())))


def _ceph_server(monitor: str) -> dict[str, str]:
    host, _, port = monitor.rpartition(":")
    if not host or (":" in host.strip("[]") and not monitor.startswith("[")):
        host, port = monitor, ""
    if monitor.startswith("[") and monitor.endswith("]"):
        host, port = monitor, ""
    return {"host": host.strip("[]"), "port": port or _CEPH_DEFAULT_PORT}


_RESOLVERS: Mapping[str, Callable[[Storage, str, str, Host], Backing]] = {
    "lvm": _resolve_lvm,
    "lvmthin": _resolve_lvm,
    "zfspool": _resolve_zfspool,
    "zfs": _resolve_zfs_over_iscsi,
    "iscsi": _resolve_iscsi,
    "iscsidirect": _resolve_iscsidirect,
    "rbd": _resolve_rbd,
}
