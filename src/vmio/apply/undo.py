"""The last change of a config taken back, and an undo undone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen

from vmio.apply.journal import Entry, Journal, list_journals
from vmio.apply.proxmox import Applied, Places, check_config, open_config, save_config
from vmio.errors import ConflictError, UsageError
from vmio.formats.proxmox.writer import compute_digest
from vmio.model.source import Source

__all__ = ["Restore", "find_journals", "prepare_undo", "undo"]


@frozen(kw_only=True)
class Restore:
    """A kept state, and the config that it would be put back to."""

    entry: Entry
    """The change that is taken back."""
    path: Path
    old: bytes
    """What the config holds now."""
    new: bytes
    """What it would hold."""


def find_journals(name: str, places: Places) -> tuple[Journal, ...]:
    """Returns what was changed of a VM; of all VMs if the name is empty.

    Args:
        name: A config's path, or a VM's number.
        places: Where vmio keeps its backups.

    Raises:
        UsageError: vmio has changed no such config, or several.
    """
    journals = list_journals(places.state)
    if not name:
        return journals
    if re.fullmatch(r"[0-9]{1,9}", name, re.ASCII) and not Path(name).exists():
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


def prepare_undo(
    name: str, *, number: int | None = None, force: bool = False, places: Places | None = None
) -> Restore:
    """Returns what an undo would do, of the config that vmio changed last if none is named.

    Args:
        name: A config's path, or a VM's number; empty for the last one.
        number: The change before which the state was; None for the last change.
        force: Whether what others have changed since may be lost.
        places: Where things are; None for where they are on every host.

    Raises:
        UsageError: There is nothing to undo.
        InputError: The config or its backup cannot be read.
        ConflictError: The config is not what vmio wrote, or nobody may change it now.
    """
    places = places if places is not None else Places()
    journals = find_journals(name, places)
    if not journals:
        raise UsageError("vmio has changed nothing yet")
    journal = max(journals, key=lambda journal: journal.entries()[-1].time)
    with open_config(journal.path, places) as file:
        now = Source(name=str(journal.path), data=file.read())
    entry = _choose(journal, now, number=number, force=force)
    check_config(now, journal.path, places)
    return Restore(entry=entry, path=journal.path, old=now.data, new=journal.read(entry))


def undo(restore: Restore, *, places: Places | None = None) -> Applied:
    """Puts a kept state back; this is a change of its own, which the next undo takes back.

    Raises:
        InputError: The config is gone.
        ConflictError: It has changed meanwhile, or nobody may change it now.
        OutputError: It cannot be written.
    """
    places = places if places is not None else Places()
    entry = restore.entry
    with open_config(restore.path, places) as file:
        now = Source(name=str(restore.path), data=file.read())
        if now.data != restore.old:
            raise ConflictError(f"{restore.path} has just been changed", hint="try again")
        return save_config(
            file, now, restore.new, what=_describe(entry), places=places, undoes=entry.number
        )


def _describe(entry: Entry) -> str:
    if entry.undoes is None:
        return f"undo {entry.number}: {entry.what}"
    done, _, what = entry.what.partition(": ")
    if done.startswith("undo"):
        return f"redo {entry.undoes}: {what}"
    return f"undo {entry.number}: {what}"


def _choose(journal: Journal, now: Source, *, number: int | None, force: bool) -> Entry:
    """Returns the change to take back, if the config is what vmio left it as."""
    digest = compute_digest(now)
    entries = _drop_unwritten(journal.entries(), digest)
    if not entries:
        raise UsageError(f"{now.name} is as it was before vmio changed it")
    if entries[-1].after != digest and not force:
        raise ConflictError(
            f"{now.name} is not what vmio wrote: somebody has changed it since",
            hint="--force --dry-run shows what would be lost with it",
        )
    if number is None:
        return entries[-1]
    found = next((entry for entry in entries if entry.number == number), None)
    if found is None:
        raise UsageError(f"there is no backup {number} of {now.name}", hint="--list tells which")
    return found


def _drop_unwritten(entries: Sequence[Entry], digest: str) -> Sequence[Entry]:
    """Returns the changes without those at the end that were recorded and never came to be."""
    while entries and entries[-1].before == digest != entries[-1].after:
        entries = entries[:-1]
    return entries
