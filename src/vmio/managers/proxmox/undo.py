"""What vmio changed taken back, a config or a whole run of them, and an undo undone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from vmio.errors import ConflictError, InputError, UsageError, VmioError
from vmio.host.files import is_there
from vmio.managers.proxmox.journal import Entry, Journal, list_journals, make_run
from vmio.managers.proxmox.node import Node
from vmio.managers.proxmox.write import Applied, check_config, open_config, save_config
from vmio.model.source import Source

__all__ = [
    "Left",
    "Restore",
    "Reversal",
    "Run",
    "find_journals",
    "list_runs",
    "prepare_run",
    "prepare_undo",
    "undo",
    "undo_all",
]


class Restore(Struct, frozen=True, kw_only=True):
    """A kept state, and the config that it would be put back to."""

    entry: Entry
    """The change that is taken back."""
    path: Path
    old: bytes
    """What the config holds now."""
    new: bytes
    """What it would hold."""


class Left(Struct, frozen=True, kw_only=True):
    """A config that stays as it is, and why."""

    path: Path
    error: VmioError


class Run(Struct, frozen=True, kw_only=True):
    """What one call of vmio changed."""

    id: str
    """Empty where an older vmio has written no name."""
    changes: tuple[tuple[Journal, Entry], ...]
    """The first change of each config, in the order in which they were made."""

    @property
    def time(self) -> str:
        """When it ended."""
        return max(entry.time for _, entry in self.changes)

    @property
    def what(self) -> str:
        """What was done, in the words of the first change."""
        return self.changes[0][1].what


class Reversal(Struct, frozen=True, kw_only=True):
    """What an undo would do."""

    restores: tuple[Restore, ...]
    left: tuple[Left, ...] = ()
    """What it cannot put back."""


def find_journals(name: str, node: Node) -> tuple[Journal, ...]:
    """Returns what was changed of a VM; of all VMs if the name is empty.

    Args:
        name: A config's path, or a VM's number.
        node: Where vmio keeps its backups.

    Raises:
        UsageError: vmio has changed no such config, or several.
    """
    journals = list_journals(node.state)
    if not name:
        return journals
    if re.fullmatch(r"[0-9]{1,9}", name, re.ASCII) and not is_there(name):
        found = [journal for journal in journals if journal.path.name == f"{name}.conf"]
        if len(found) > 1:
            paths = " and ".join(str(journal.path) for journal in found)
            raise UsageError(f"{name} is several configs: {paths}", hint="name one by its path")
    else:
        try:
            real = Path(name).resolve()
        except (OSError, RuntimeError, ValueError) as error:
            raise UsageError(f"'{name}' is not a path") from error
        found = [journal for journal in journals if journal.path == real]
    if not found:
        raise UsageError(f"vmio has changed nothing of {name}", hint="vmio undo --list tells what")
    return tuple(found)


def list_runs(node: Node) -> tuple[Run, ...]:
    """Returns what each call of vmio changed, the last one at the end.

    Raises:
        InputError: The backups are not this user's alone.
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


def prepare_run(run: str = "", *, force: bool = False, node: Node | None = None) -> Reversal:
    """Returns what an undo of a whole run would do.

    Args:
        run: The run; empty for the last one of which anything is left to take back.
        force: Whether what others have changed since may be lost.
        node: Where things are; None for where they are on every host.

    Raises:
        UsageError: There is nothing to undo.
        InputError: The backups are not this user's alone.
    """
    node = node if node is not None else Node()
    runs = list_runs(node)
    if run:
        runs = tuple(each for each in runs if each.id == run)
        if not runs:
            raise UsageError(f"there is no run '{run}'", hint="vmio undo --list tells which")
    elif not runs:
        raise UsageError("vmio has changed nothing yet")
    for each in reversed(runs):
        reversal = _prepare(each, force=force, node=node)
        if reversal.restores or reversal.left:
            return reversal
    raise UsageError("all configs are as they were before vmio changed them")


def _prepare(run: Run, *, force: bool, node: Node) -> Reversal:
    restores: list[Restore] = []
    left: list[Left] = []
    for journal, entry in run.changes:
        try:
            now, entries = _look(journal, force=force, node=node)
            if entry not in entries or entry.before == now.digest:
                continue  # it never came to be, or the old state is back already
            last = entries[-1]
            if last != entry and (not run.id or last.run != run.id) and not force:
                raise ConflictError(
                    f"vmio has changed {now.name} again since",
                    hint="vmio undo with its name takes that back",
                )
            restores.append(_restore(journal, entry, now, node))
        except VmioError as error:
            left.append(Left(path=journal.path, error=error))
    return Reversal(restores=tuple(restores), left=tuple(left))


def prepare_undo(
    name: str, *, number: int | None = None, force: bool = False, node: Node | None = None
) -> Restore:
    """Returns what an undo of one config would do.

    Args:
        name: A config's path, or a VM's number.
        number: The change before which the state was; None for the last change.
        force: Whether what others have changed since may be lost.
        node: Where things are; None for where they are on every host.

    Raises:
        UsageError: There is nothing to undo.
        InputError: The config or its backup cannot be read.
        ConflictError: The config is not what vmio wrote, or nobody may change it now.
    """
    node = node if node is not None else Node()
    (journal,) = find_journals(name, node)
    now, entries = _look(journal, force=force, node=node)
    if not entries:
        raise UsageError(f"{now.name} is as it was before vmio changed it")
    entry = entries[-1]
    if number is not None:
        numbered = {each.number: each for each in entries}
        if number not in numbered:
            raise UsageError(
                f"there is no backup {number} of {now.name}", hint="--list tells which"
            )
        entry = numbered[number]
    return _restore(journal, entry, now, node)


def undo_all(
    reversal: Reversal, *, node: Node | None = None
) -> tuple[tuple[Applied, ...], tuple[Left, ...]]:
    """Puts kept states back, each whole or not at all, as a run that the next undo takes back.

    Returns:
        What became of the configs, and those that stay as they are.
    """
    run = make_run()
    done: list[Applied] = []
    left: list[Left] = []
    for restore in reversal.restores:
        try:
            done.append(undo(restore, run=run, node=node))
        except VmioError as error:
            left.append(Left(path=restore.path, error=error))
    return tuple(done), tuple(left)


def undo(restore: Restore, *, run: str = "", node: Node | None = None) -> Applied:
    """Puts a kept state back; this is a change of its own, which the next undo takes back.

    Args:
        restore: The state.
        run: What names the changes that one undo takes back together; empty for this one alone.
        node: Where things are; None for where they are on every host.

    Raises:
        InputError: The config is gone.
        ConflictError: It has changed meanwhile, or nobody may change it now.
        OutputError: It cannot be written.
    """
    node = node if node is not None else Node()
    entry = restore.entry
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
    """Returns a config as it is now, and its changes, if it is what vmio left it as."""
    try:
        with open_config(journal.path, node) as file:
            now = Source(name=str(journal.path), data=file.read())
    except InputError as error:
        raise InputError(error.message, hint=_tell_where(journal)) from error
    digest = now.digest
    entries = _drop_unwritten(journal.entries(), digest)
    if entries and entries[-1].after != digest and not force:
        raise ConflictError(
            f"{now.name} is not what vmio wrote: somebody has changed it since",
            hint="--force --dry-run shows what would be lost with it",
        )
    return now, entries


def _tell_where(journal: Journal) -> str:
    """Returns where a person finds what is left of a config that is not in its place."""
    path = journal.path
    kept = f"its old states are in {journal.folder}"
    *_, nodes, _, folder, _ = ("", "", "", *path.parts)
    if (nodes, folder) != ("nodes", "qemu-server"):
        return kept
    # A guest that is migrated takes its config to the folder of its new node.
    others = (each / path.name for each in path.parents[2].glob("*/qemu-server"))
    there = next((each for each in sorted(others) if each.exists()), None)
    return kept if there is None else f"the guest is on another node now: {there}; {kept}"


def _restore(journal: Journal, entry: Entry, now: Source, node: Node) -> Restore:
    check_config(now, journal.path, node)
    return Restore(entry=entry, path=journal.path, old=now.data, new=journal.read(entry))


def _drop_unwritten(entries: Sequence[Entry], digest: str) -> Sequence[Entry]:
    """Returns the changes without those at the end that were recorded and never came to be."""
    while entries and entries[-1].before == digest != entries[-1].after:
        entries = entries[:-1]
    return entries
