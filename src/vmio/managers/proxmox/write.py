"""VM configs of Proxmox VE, written as Proxmox VE itself would: under its lock, or not at all.

Source: qemu-server 9.2.6. Its tools take `/var/lock/qemu-server/lock-VMID.conf` around each change
of a config, refuse one that carries `lock:`, and let changes of a running guest wait in [PENDING],
since migration and hotplug go by the main section.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from vmio.errors import ConflictError, VmioError
from vmio.formats.proxmox.config import parse_config
from vmio.managers.proxmox.journal import Entry, Journal
from vmio.managers.proxmox.lock import LockedFile, open_locked
from vmio.managers.proxmox.node import Node, find_vmid, is_running
from vmio.model.source import Source
from vmio.values import replace

__all__ = [
    "Applied",
    "check_config",
    "check_replaceable",
    "open_config",
    "replace_config",
    "save_config",
    "write_config",
]

_PENDING_HINT = (
    "stop it first, or let `vmio apply --commands` print what Proxmox VE keeps for its next start"
)


class Applied(Struct, frozen=True, kw_only=True):
    """What became of a config."""

    path: Path
    """The file itself, without symbolic links."""
    before: str
    """The digest of what it held."""
    after: str
    """The digest of what it holds now."""
    backup: Path | None = None
    """Where the old bytes are; None where no byte was to change."""

    @property
    def changed(self) -> bool:
        """Whether the file was written."""
        return self.backup is not None


def check_replaceable(path: Path, old: bytes, *, node: Node | None = None) -> None:
    """Refuses what `replace_config` would refuse now; nothing is written, and nobody waited for.

    Raises:
        InputError: There is no such config.
        ConflictError: It is not what was read, or nobody may change it now.
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
) -> Applied:
    """Writes a config that was read and changed.

    Args:
        path: The config.
        old: What was read.
        new: What it shall hold.
        what: What the change is, in a few words, for `vmio undo --list`.
        run: What names the changes that one undo takes back together; empty for this one alone.
        node: Where things are; None for where they are on every host.

    Raises:
        InputError: There is no such config.
        ConflictError: It is not what was read, or nobody may change it now.
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
) -> Applied:
    """Reads, changes and writes a config under its lock, and keeps what it was.

    Args:
        path: The config.
        edit: Makes the new bytes of the old ones; it may raise to leave all as it is.
        what: What the change is, in a few words, for `vmio undo --list`.
        digest: What the config has to be still; empty for whatever it is.
        run: What names the changes that one undo takes back together; empty for this one alone.
        node: Where things are; None for where they are on every host.

    Raises:
        InputError: There is no such config.
        ConflictError: It is not what the digest says, or nobody may change it now.
        OutputError: It cannot be written.
    """
    node = node if node is not None else Node()
    with open_config(path, node) as file:
        old = Source(name=str(path), data=file.read())
        if digest and old.digest != digest:
            raise ConflictError(f"{path} has changed since it was read", hint="start anew")
        new = edit(old)
        return save_config(file, old, new, what=what, run=run, node=node)


@contextmanager
def open_config(path: Path, node: Node, *, shared: bool = False) -> Iterator[LockedFile]:
    """Holds the lock of a config: Proxmox VE's own where it is one of this node's.

    Args:
        path: The config.
        node: Where things are.
        shared: Whether others who change nothing either may hold it, too.

    Raises:
        InputError: There is no such config.
        ConflictError: It is in use, or another node's.
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
) -> Applied:
    """Writes a config whose lock is held, after what it was has been kept.

    Raises:
        InputError: It is no VM's config.
        ConflictError: Nobody may change it now, or not in this way.
        OutputError: It cannot be written.
    """
    after = Source(name=old.name, data=new).digest
    if new == old.data:
        return Applied(path=file.path, before=after, after=after)
    check_config(old, file.path, node)
    _check_rest(old, new)
    journal = Journal(node.state, file.path)
    entry = journal.record(old.data, new, what=what, run=run, undoes=undoes)
    try:
        file.replace(old.data, new)
    except VmioError:
        _forget(journal, entry, file, old)
        raise
    return Applied(
        path=file.path, before=entry.before, after=entry.after, backup=journal.locate(entry)
    )


def check_config(source: Source, path: Path, node: Node) -> None:
    """Refuses a config that must not be changed at this time.

    Raises:
        InputError: It is no VM's config.
        ConflictError: An operation is under way, or the guest runs here.
    """
    lock = parse_config(source).main.settings().get("lock")
    if lock is not None:
        raise ConflictError(
            f"{source.name} carries 'lock: {lock.value}'",
            hint="an operation of Proxmox VE is under way, or has crashed: see qm unlock",
        )
    vmid = find_vmid(path, node)
    if vmid and is_running(vmid, node):
        raise ConflictError(
            f"guest {vmid} is running, and its config has to tell what runs", hint=_PENDING_HINT
        )


def _check_rest(old: Source, new: bytes) -> None:
    """Refuses to touch what is not the guest itself: its snapshots, and what is pending."""
    rest = old.data[parse_config(old).main.span.end :]
    changed = Source(name=old.name, data=new)
    if new[parse_config(changed).main.span.end :] != rest:
        raise ConflictError(
            f"{old.name} has other snapshots or pending changes now",
            hint="vmio never changes those; nothing was written",
        )


def _forget(journal: Journal, entry: Entry, file: LockedFile, old: Source) -> None:
    """Drops the backup of a write that failed, if the file is as it was."""
    try:
        unchanged = file.read() == old.data
    except VmioError:
        return
    if unchanged:
        journal.forget(entry)
