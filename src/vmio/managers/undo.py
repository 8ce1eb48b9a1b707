"""Undoes vmio's changes, of one config or domain or of a whole run, and undoes an undo."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from vmio.errors import ConflictError, InputError, UsageError, VmioError
from vmio.host.files import is_there
from vmio.managers.journal import Entry, Journal, WrittenConfig, list_journals, make_run
from vmio.managers.libvirt.compare import digest_domain, hide_passwords
from vmio.managers.libvirt.find import LIBVIRT, is_domain
from vmio.managers.libvirt.write import read_domain, restore_domain
from vmio.managers.proxmox.node import Node
from vmio.managers.write import check_config, open_config, save_config
from vmio.model.source import Source

__all__ = [
    "NotRestored",
    "PreparedRestore",
    "PreparedUndo",
    "Run",
    "find_journals",
    "list_runs",
    "prepare_run",
    "prepare_undo",
    "undo",
    "undo_all",
]


class PreparedRestore(Struct, frozen=True, kw_only=True):
    """A kept state, and the config to restore."""

    entry: Entry
    """The change to undo."""
    path: Path
    old: bytes
    """The config's current content."""
    new: bytes
    """The content to restore."""

    @property
    def shown(self) -> tuple[bytes, bytes]:
        """Both as they may be printed: those of a domain without its passwords."""
        if not is_domain(self.path):
            return self.old, self.new
        return hide_passwords(self.old), hide_passwords(self.new)


class NotRestored(Struct, frozen=True, kw_only=True):
    """A config that is not restored, and why."""

    path: Path
    error: VmioError


class Run(Struct, frozen=True, kw_only=True):
    """What one call of vmio changed."""

    id: str
    """Empty if an older vmio recorded no id."""
    changes: tuple[tuple[Journal, Entry], ...]
    """The first change of each config, in the order in which they were made."""

    @property
    def time(self) -> str:
        """When it ended."""
        return max(entry.time for _, entry in self.changes)

    @property
    def what(self) -> str:
        """The description of the first change."""
        return self.changes[0][1].what


class PreparedUndo(Struct, frozen=True, kw_only=True):
    """What an undo would restore."""

    restores: tuple[PreparedRestore, ...]
    left: tuple[NotRestored, ...] = ()
    """What it cannot restore."""


def find_journals(name: str, node: Node) -> tuple[Journal, ...]:
    """Returns the journals of a VM's changes; of all VMs if the name is empty.

    Args:
        name: A config's path, or a VM's number.
        node: The paths to use.

    Raises:
        UsageError: vmio has changed no such config, or several.
    """
    journals = list_journals(node.state)
    if not name:
        return journals
    if name.startswith(LIBVIRT):
        found = [journal for journal in journals if journal.path == Path(name)]
    elif re.fullmatch(r"[0-9]{1,9}", name, re.ASCII) and not is_there(name):
        found = [journal for journal in journals if journal.path.name == f"{name}.conf"]
        if len(found) > 1:
            paths = " and ".join(str(journal.path) for journal in found)
            raise UsageError(f"{name} names several configs: {paths}", hint="name one by its path")
    else:
        try:
            real = Path(name).resolve()
        except (OSError, RuntimeError, ValueError) as error:
            raise UsageError(f"'{name}' is not a path") from error
        found = [journal for journal in journals if journal.path == real]
    if not found:
        raise UsageError(f"vmio has changed nothing of {name}", hint="see vmio undo --list")
    return tuple(found)


def list_runs(node: Node) -> tuple[Run, ...]:
    """Returns what each call of vmio changed, the most recent at the end.

    Raises:
        InputError: The backups can be written by other users.
    """
    found: dict[str, dict[Path, tuple[Journal, Entry]]] = {}
    for journal in list_journals(node.state):
        for entry in journal.entries():
            key = entry.run or f"{journal.folder.name}/{entry.number}"
            found.setdefault(key, {}).setdefault(journal.path, (journal, entry))
    runs = []
    for changes in found.values():
        in_order = sorted(changes.values(), key=lambda change: change[1].time)
        runs.append(Run(id=in_order[0][1].run, changes=tuple(in_order)))
    return tuple(sorted(runs, key=lambda run: run.time))


def prepare_run(run: str = "", *, force: bool = False, node: Node | None = None) -> PreparedUndo:
    """Returns what an undo of a whole run would do.

    Args:
        run: The run; empty for the last one that is not undone completely.
        force: Whether to undo even if changes by others are lost.
        node: The paths to use; None for the usual ones.

    Raises:
        UsageError: There is nothing to undo.
        InputError: The backups can be written by other users.
    """
    node = node if node is not None else Node()
    runs = list_runs(node)
    if run:
        runs = tuple(each for each in runs if each.id == run)
        if not runs:
            raise UsageError(f"there is no run '{run}'", hint="see vmio undo --list")
    elif not runs:
        raise UsageError("vmio has changed nothing yet")
    for each in reversed(runs):
        reversal = _prepare(each, force=force, node=node)
        if reversal.restores or reversal.left:
            return reversal
    raise UsageError("all changes of vmio are undone already")


def _prepare(run: Run, *, force: bool, node: Node) -> PreparedUndo:
    restores: list[PreparedRestore] = []
    left: list[NotRestored] = []
    for journal, entry in run.changes:
        try:
            now, entries = _look(journal, force=force, node=node)
            if entry not in entries or entry.before == now.digest:
                continue  # it was never written, or the old state is back already
            last = entries[-1]
            if last != entry and (not run.id or last.run != run.id) and not force:
                raise ConflictError(
                    f"vmio has changed {now.name} again since",
                    hint="name the config to undo that change",
                )
            restores.append(_restore(journal, entry, now, node))
        except VmioError as error:
            left.append(NotRestored(path=journal.path, error=error))
    return PreparedUndo(restores=tuple(restores), left=tuple(left))


def prepare_undo(
    name: str, *, number: int | None = None, force: bool = False, node: Node | None = None
) -> PreparedRestore:
    """Returns what an undo of one config would do.

    Args:
        name: A config's path, or a VM's number.
        number: Restore the state before this change; None for the last change.
        force: Whether to undo even if changes by others are lost.
        node: The paths to use; None for the usual ones.

    Raises:
        UsageError: There is nothing to undo.
        InputError: The config or its backup cannot be read.
        ConflictError: The config has changed since vmio wrote it, or must not be changed now.
    """
    node = node if node is not None else Node()
    (journal,) = find_journals(name, node)
    now, entries = _look(journal, force=force, node=node)
    if not entries:
        raise UsageError(f"{now.name} is in its state before vmio changed it")
    entry = entries[-1]
    if number is not None:
        numbered = {each.number: each for each in entries}
        if number not in numbered:
            raise UsageError(
                f"there is no backup {number} of {now.name}", hint="see vmio undo --list"
            )
        entry = numbered[number]
    return _restore(journal, entry, now, node)


def undo_all(
    reversal: PreparedUndo, *, node: Node | None = None
) -> tuple[tuple[WrittenConfig, ...], tuple[NotRestored, ...]]:
    """Restores kept states, each whole or not at all, as a run that the next undo reverts.

    Returns:
        The restored configs, and those that are not restored, with the reason.
    """
    run = make_run()
    done: list[WrittenConfig] = []
    left: list[NotRestored] = []
    for restore in reversal.restores:
        try:
            done.append(undo(restore, run=run, node=node))
        except VmioError as error:
            left.append(NotRestored(path=restore.path, error=error))
    return tuple(done), tuple(left)


def undo(restore: PreparedRestore, *, run: str = "", node: Node | None = None) -> WrittenConfig:
    """Restores a kept state; this is a change of its own, which the next undo reverts.

    Args:
        restore: The state.
        run: The id of the changes that one undo reverts together; empty for this one alone.
        node: The paths to use; None for the usual ones.

    Raises:
        InputError: The config is gone.
        ConflictError: It has changed meanwhile, or must not be changed now.
        OutputError: It cannot be written.
    """
    node = node if node is not None else Node()
    entry = restore.entry
    if is_domain(restore.path):
        return restore_domain(
            str(restore.path),
            restore.old,
            restore.new,
            what=_describe(entry),
            run=run,
            undoes=entry.number,
            state=node.state,
        )
    with open_config(restore.path, node) as file:
        now = Source(name=str(restore.path), data=file.read())
        if now.data != restore.old:
            raise ConflictError(f"{restore.path} has just been changed", hint="try again")
        return save_config(
            file,
            now,
            restore.new,
            what=_describe(entry),
            node=node,
            run=run,
            undoes=entry.number,
        )


def _describe(entry: Entry) -> str:
    if entry.undoes is None:
        return f"undo {entry.number}: {entry.what}"
    done, _, what = entry.what.partition(": ")
    if done.startswith("undo"):
        return f"redo {entry.undoes}: {what}"
    return f"undo {entry.number}: {what}"


def _look(journal: Journal, *, force: bool, node: Node) -> tuple[Source, Sequence[Entry]]:
    """Returns a config and its changes, if the config has not changed since vmio wrote it."""
    try:
        if is_domain(journal.path):
            now = read_domain(str(journal.path))
            written = digest_domain(now)
        else:
            with open_config(journal.path, node) as file:
                now = Source(name=str(journal.path), data=file.read())
            written = now.digest
    except InputError as error:
        raise InputError(error.message, hint=_describe_place(journal)) from error
    entries = _drop_unwritten(journal.entries(), now.digest)
    if entries and entries[-1].after != written and not force:
        raise ConflictError(
            f"{now.name} has changed since vmio wrote it",
            hint="--force --dry-run shows what would be lost",
        )
    return now, entries


def _describe_place(journal: Journal) -> str:
    """Returns where to find a config that is no longer in its place, or its old states."""
    path = journal.path
    kept = f"its old states are in {journal.folder}"
    *_, nodes, _, folder, _ = ("", "", "", *path.parts)
    if (nodes, folder) != ("nodes", "qemu-server"):
        return kept
    # The config of a migrated guest is in the folder of its new node.
    others = (each / path.name for each in path.parents[2].glob("*/qemu-server"))
    there = next((each for each in sorted(others) if each.exists()), None)
    return kept if there is None else f"the guest is on another node now: {there}; {kept}"


def _restore(journal: Journal, entry: Entry, now: Source, node: Node) -> PreparedRestore:
    if not is_domain(journal.path):
        check_config(now, journal.path, node)
    return PreparedRestore(entry=entry, path=journal.path, old=now.data, new=journal.read(entry))


def _drop_unwritten(entries: Sequence[Entry], digest: str) -> Sequence[Entry]:
    """Returns the changes without those at the end that were recorded but never written."""
    while entries and entries[-1].before == digest != entries[-1].after:
        entries = entries[:-1]
    return entries
