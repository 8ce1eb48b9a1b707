"""VM configs of Proxmox VE, written as Proxmox VE itself would: under its lock, or not at all.

Source: qemu-server 9.2.6. Its tools take `/var/lock/qemu-server/lock-VMID.conf` around each change
of a config, refuse one that carries `lock:`, and let changes of a running guest wait in [PENDING],
since migration and hotplug go by the main section.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import Factory, evolve, frozen

from vmio.apply.files import LOCK_TIMEOUT_S, LockedFile, open_locked
from vmio.apply.journal import Entry, Journal, find_state_folder
from vmio.errors import ConflictError, VmioError
from vmio.formats.proxmox.config import parse_config
from vmio.formats.proxmox.writer import compute_digest
from vmio.host.files import is_there
from vmio.model.source import Source

__all__ = [
    "Applied",
    "Places",
    "check_config",
    "check_replaceable",
    "find_qmp_socket",
    "is_running",
    "open_config",
    "replace_config",
    "save_config",
    "write_config",
]

_CONFIG = re.compile(r"([1-9][0-9]{2,8})\.conf", re.ASCII)
_PENDING_HINT = (
    "stop it first, or let `vmio apply --commands` print what Proxmox VE keeps for its next start"
)


@frozen(kw_only=True)
class Places:
    """Where Proxmox VE and vmio keep what belongs to a config."""

    etc: Path = Path("/etc/pve")
    locks: Path = Path("/var/lock/qemu-server")
    run: Path = Path("/var/run/qemu-server")
    proc: Path = Path("/proc")
    state: Path = Factory(find_state_folder)
    lock_timeout_s: float = LOCK_TIMEOUT_S


@frozen(kw_only=True)
class Applied:
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


def check_replaceable(path: Path, old: bytes, *, places: Places | None = None) -> None:
    """Refuses what `replace_config` would refuse now; nothing is written, and nobody waited for.

    Raises:
        InputError: There is no such config.
        ConflictError: It is not what was read, or nobody may change it now.
        OutputError: It cannot be written.
    """
    places = evolve(places if places is not None else Places(), lock_timeout_s=0)
    with open_config(path, places, shared=True) as file:
        check_config(Source(name=str(path), data=old), file.path, places)
        file.check_replaceable(old)
        Journal(places.state, file.path).check_recordable()


def replace_config(
    path: Path,
    old: bytes,
    new: bytes,
    *,
    what: str,
    run: str = "",
    places: Places | None = None,
) -> Applied:
    """Writes a config that was read and changed.

    Args:
        path: The config.
        old: What was read.
        new: What it shall hold.
        what: What the change is, in a few words, for `vmio undo --list`.
        run: What names the changes that one undo takes back together; empty for this one alone.
        places: Where things are; None for where they are on every host.

    Raises:
        InputError: There is no such config.
        ConflictError: It is not what was read, or nobody may change it now.
        OutputError: It cannot be written.
    """
    digest = compute_digest(Source(name=str(path), data=old))
    return write_config(path, lambda _: new, digest=digest, what=what, run=run, places=places)


def write_config(
    path: Path,
    edit: Callable[[Source], bytes],
    *,
    what: str,
    digest: str = "",
    run: str = "",
    places: Places | None = None,
) -> Applied:
    """Reads, changes and writes a config under its lock, and keeps what it was.

    Args:
        path: The config.
        edit: Makes the new bytes of the old ones; it may raise to leave all as it is.
        what: What the change is, in a few words, for `vmio undo --list`.
        digest: What the config has to be still; empty for whatever it is.
        run: What names the changes that one undo takes back together; empty for this one alone.
        places: Where things are; None for where they are on every host.

    Raises:
        InputError: There is no such config.
        ConflictError: It is not what the digest says, or nobody may change it now.
        OutputError: It cannot be written.
    """
    places = places if places is not None else Places()
    with open_config(path, places) as file:
        old = Source(name=str(path), data=file.read())
        if digest and compute_digest(old) != digest:
            raise ConflictError(f"{path} has changed since it was read", hint="start anew")
        new = edit(old)
        return save_config(file, old, new, what=what, run=run, places=places)


@contextmanager
def open_config(path: Path, places: Places, *, shared: bool = False) -> Iterator[LockedFile]:
    """Holds the lock of a config: Proxmox VE's own where it is one of this node's.

    Args:
        path: The config.
        places: Where things are.
        shared: Whether others who change nothing either may hold it, too.

    Raises:
        InputError: There is no such config.
        ConflictError: It is in use, or another node's.
        OutputError: It cannot be locked.
    """
    vmid = find_vmid(path, places)
    lock = places.locks / f"lock-{vmid}.conf" if vmid else None
    timeout_s = places.lock_timeout_s
    with open_locked(path, lock=lock, timeout_s=timeout_s, shared=shared) as file:
        yield file


def save_config(
    file: LockedFile,
    old: Source,
    new: bytes,
    *,
    what: str,
    places: Places,
    run: str = "",
    undoes: int | None = None,
) -> Applied:
    """Writes a config whose lock is held, after what it was has been kept.

    Raises:
        InputError: It is no VM's config.
        ConflictError: Nobody may change it now, or not in this way.
        OutputError: It cannot be written.
    """
    after = compute_digest(Source(name=old.name, data=new))
    if new == old.data:
        return Applied(path=file.path, before=after, after=after)
    check_config(old, file.path, places)
    _check_rest(old, new)
    journal = Journal(places.state, file.path)
    entry = journal.record(old.data, new, what=what, run=run, undoes=undoes)
    try:
        file.replace(old.data, new)
    except VmioError:
        _forget(journal, entry, file, old)
        raise
    return Applied(
        path=file.path, before=entry.before, after=entry.after, backup=journal.locate(entry)
    )


def check_config(source: Source, path: Path, places: Places) -> None:
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
    vmid = find_vmid(path, places)
    if vmid and is_running(vmid, places):
        raise ConflictError(
            f"guest {vmid} is running, and its config has to tell what runs", hint=_PENDING_HINT
        )


def find_vmid(path: Path, places: Places) -> str:
    """Returns the number of a VM of this node by its config; empty for a copy, or a backup.

    Raises:
        ConflictError: The config is another node's, or none of a VM.
    """
    try:
        real, etc = path.resolve(), places.etc.resolve()
        node = (etc / "local").resolve(strict=True)
    except (OSError, RuntimeError, ValueError):
        return ""
    if not real.is_relative_to(etc):
        return ""
    match = _CONFIG.fullmatch(real.name)
    if match is None or real.parent.name != "qemu-server":
        raise ConflictError(f"{path} is not a VM's config")
    if real.parent.parent != node:
        raise ConflictError(
            f"{path} belongs to the node {real.parent.parent.name}",
            hint="run vmio there, where its lock is",
        )
    return match[1]


def is_running(vmid: str, places: Places) -> bool:
    """Returns whether a VM of this node has a process.

    What cannot be told counts as running: a guest that is wrongly left alone loses nothing.
    """
    try:
        pid = (places.run / f"{vmid}.pid").read_text(encoding="ascii").strip()
        if pid.isdigit():
            (places.proc / pid).stat()
    except FileNotFoundError:
        return False
    except (OSError, ValueError):
        return True
    return True


def find_qmp_socket(path: Path, places: Places) -> Path | None:
    """Returns the monitor of the running guest that a config of this node is of."""
    vmid = find_vmid(path, places)
    socket = places.run / f"{vmid}.qmp"
    return socket if vmid and is_running(vmid, places) and is_there(socket) else None


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
