"""Writes the files of guests: under their manager's lock, whole or not at all, with a backup.

A config of Proxmox VE is changed under its own lock, `/var/lock/qemu-server/lock-VMID.conf`, any
other file under one on its folder. What else a manager demands is in its folder's `guard.py`.

Source: qemu-server 9.2.6, whose tools hold that lock during each change of a config.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from vmio.errors import ConflictError, VmioError
from vmio.formats.libvirt.doors import recognise as is_domain
from vmio.managers.journal import Entry, Journal, WrittenConfig
from vmio.managers.libvirt.guard import check_place
from vmio.managers.lock import LockedFile, open_locked
from vmio.managers.proxmox.guard import check_rest, check_state
from vmio.managers.proxmox.node import Node, find_vmid
from vmio.model.source import Source
from vmio.values import replace

__all__ = [
    "check_config",
    "check_replaceable",
    "open_config",
    "replace_config",
    "save_config",
    "write_config",
]


def check_replaceable(path: Path, old: bytes, *, node: Node | None = None) -> None:
    """Raises the errors that `replace_config` would raise now, without writing or waiting.

    Raises:
        InputError: There is no such config.
        ConflictError: It has changed since it was read, or must not be changed now.
        OutputError: It cannot be written.
    """
    node = replace(node if node is not None else Node(), lock_timeout_s=0)
    with open_config(path, node, shared=True) as file:
        check_config(Source(name=str(path), data=old), file.path, node)
        file.check_replaceable(old)
        Journal(node.state, file.path).check_recordable()


def replace_config(
    path: Path,
    old: bytes,
    new: bytes,
    *,
    what: str,
    run: str = "",
    node: Node | None = None,
) -> WrittenConfig:
    """Writes a changed config.

    Args:
        path: The config.
        old: Its bytes as they were read.
        new: Its new bytes.
        what: A short description of the change, for `vmio undo --list`.
        run: The id of the changes that one undo reverts together; empty for this one alone.
        node: The paths to use; None for the usual ones.

    Raises:
        InputError: There is no such config.
        ConflictError: It has changed since it was read, or must not be changed now.
        OutputError: It cannot be written.
    """
    digest = Source(name=str(path), data=old).digest
    return write_config(path, lambda _: new, digest=digest, what=what, run=run, node=node)


def write_config(
    path: Path,
    edit: Callable[[Source], bytes],
    *,
    what: str,
    digest: str = "",
    run: str = "",
    node: Node | None = None,
) -> WrittenConfig:
    """Reads, changes and writes a config under its lock, and keeps the old state.

    Args:
        path: The config.
        edit: Returns the new bytes for the old ones; may raise an error to change nothing.
        what: A short description of the change, for `vmio undo --list`.
        digest: The required digest of the config; empty for any.
        run: The id of the changes that one undo reverts together; empty for this one alone.
        node: The paths to use; None for the usual ones.

    Raises:
        InputError: There is no such config.
        ConflictError: It has another digest, or must not be changed now.
        OutputError: It cannot be written.
    """
    node = node if node is not None else Node()
    with open_config(path, node) as file:
        old = Source(name=str(path), data=file.read())
        if digest and old.digest != digest:
            raise ConflictError(f"{path} has changed since it was read", hint="read it again")
        new = edit(old)
        return save_config(file, old, new, what=what, run=run, node=node)


@contextmanager
def open_config(path: Path, node: Node, *, shared: bool = False) -> Iterator[LockedFile]:
    """Holds the lock of a config: Proxmox VE's own for a config of this node.

    Args:
        path: The config.
        node: The paths to use.
        shared: Whether other readers may hold it at the same time.

    Raises:
        InputError: There is no such config.
        ConflictError: It is in use, or belongs to another node.
        OutputError: It cannot be locked.
    """
    vmid = find_vmid(path, node)
    with open_locked(
        path,
        lock=node.locks / f"lock-{vmid}.conf" if vmid else None,
        tree=node.etc if vmid else None,
        timeout_s=node.lock_timeout_s,
        shared=shared,
    ) as file:
        yield file


def save_config(
    file: LockedFile,
    old: Source,
    new: bytes,
    *,
    what: str,
    node: Node,
    run: str = "",
    undoes: int | None = None,
) -> WrittenConfig:
    """Writes a config whose lock is held, after keeping its old state.

    Raises:
        InputError: It is not a VM config.
        ConflictError: It must not be changed now, or not in this way.
        OutputError: It cannot be written.
    """
    after = Source(name=old.name, data=new).digest
    if new == old.data:
        return WrittenConfig(path=file.path, before=after, after=after)
    check_config(old, file.path, node)
    if not is_domain(old):
        check_rest(old, new)
    journal = Journal(node.state, file.path)
    entry = journal.record(old.data, new, what=what, run=run, undoes=undoes)
    try:
        file.replace(old.data, new)
    except VmioError:
        _forget(journal, entry, file, old)
        raise
    return WrittenConfig(
        path=file.path, before=entry.before, after=entry.after, backup=journal.locate(entry)
    )


def check_config(source: Source, path: Path, node: Node) -> None:
    """Refuses a config that must not be changed at this time.

    Raises:
        InputError: It is not a VM config.
        ConflictError: An operation is in progress, the guest runs here, or the file is libvirt's.
    """
    if is_domain(source):
        check_place(path)
    else:
        check_state(source, path, node)


def _forget(journal: Journal, entry: Entry, file: LockedFile, old: Source) -> None:
    """Removes the backup of a failed write, if the file is unchanged."""
    try:
        unchanged = file.read() == old.data
    except VmioError:
        return
    if unchanged:
        journal.forget(entry)
