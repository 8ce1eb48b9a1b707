"""Changes made by vmio: listed and undone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmio.app.addresses import LIBVIRT, find_guest

if TYPE_CHECKING:
    from vmio.managers.journal import Journal, WrittenConfig
    from vmio.managers.undo import NotRestored, PreparedUndo, Run

__all__ = ["list_changed", "list_runs", "prepare_undo", "undo"]


def list_changed(vm: str = "") -> tuple[Journal, ...]:
    """Returns vmio's changes to a guest, or to all.

    Raises:
        UsageError: It has changed nothing of that guest.
        InputError: The backups can be written by other users.
    """
    from vmio.managers.proxmox.node import Node
    from vmio.managers.undo import find_journals

    return find_journals(_find(vm), Node())


def list_runs() -> tuple[Run, ...]:
    """Returns what each call of vmio changed, the most recent at the end.

    Raises:
        InputError: The backups can be written by other users.
    """
    from vmio.managers.proxmox.node import Node
    from vmio.managers.undo import list_runs as list_all

    return list_all(Node())


def prepare_undo(
    vm: str = "", *, number: int | None = None, run: str = "", force: bool = False
) -> PreparedUndo:
    """Returns what an undo would do: of a whole run, or of a config's last change.

    Args:
        vm: A config's path, or the number or name of a VM or domain; empty for everything that
            one call of vmio changed.
        number: Restore the config's state before this change; None for its last change.
        run: The call to undo if no config is named; empty for the last one.
        force: Whether to undo even if changes by others are lost.

    Raises:
        UsageError: There is nothing to undo.
        InputError: The config or its backup cannot be read.
        ConflictError: The config has changed since vmio wrote it, or must not be changed now.
    """
    from vmio.managers.undo import PreparedUndo, prepare_run
    from vmio.managers.undo import prepare_undo as prepare

    if not vm:
        return prepare_run(run, force=force)
    return PreparedUndo(restores=(prepare(_find(vm, writes=True), number=number, force=force),))


def _find(vm: str, *, writes: bool = False) -> str:
    """Returns what a guest's changes are recorded by: its path, its number, a domain's address."""
    found = find_guest(vm, writes=writes) if vm else ""
    # A guest that was migrated or removed is still found by its number.
    return vm if vm.isdecimal() and not found.startswith(LIBVIRT) else found


def undo(reversal: PreparedUndo) -> tuple[tuple[WrittenConfig, ...], tuple[NotRestored, ...]]:
    """Restores the old configs; this is a run of its own, which can be undone.

    Returns:
        The restored configs, and those that are not restored, with the reason.
    """
    from vmio.managers.undo import undo_all

    return undo_all(reversal)
