"""Changes of vmio listed and taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmio.app.addresses import find_guest

if TYPE_CHECKING:
    from vmio.managers.proxmox.journal import Journal
    from vmio.managers.proxmox.undo import Left, Reversal, Run
    from vmio.managers.proxmox.write import Applied

__all__ = ["list_changed", "list_runs", "prepare_undo", "undo"]


def list_changed(vm: str = "") -> tuple[Journal, ...]:
    """Returns what vmio has changed of a guest, or of all.

    Raises:
        UsageError: It has changed nothing of that guest.
        InputError: The backups are not this user's alone.
    """
    from vmio.managers.proxmox.node import Node
    from vmio.managers.proxmox.undo import find_journals

    return find_journals(_find(vm), Node())


def list_runs() -> tuple[Run, ...]:
    """Returns what each call of vmio changed, the last one at the end.

    Raises:
        InputError: The backups are not this user's alone.
    """
    from vmio.managers.proxmox.node import Node
    from vmio.managers.proxmox.undo import list_runs as list_all

    return list_all(Node())


def prepare_undo(
    vm: str = "", *, number: int | None = None, run: str = "", force: bool = False
) -> Reversal:
    """Returns what taking changes back would do: a whole run's, or a config's last one.

    Args:
        vm: A config's path, or a VM's number or name; empty for all that one call of vmio changed.
        number: The change of that config to go back to before; None for its last one.
        run: The call, where no config is named; empty for the last one.
        force: Whether what others have changed since may be lost.

    Raises:
        UsageError: There is nothing to take back.
        InputError: The config or its backup cannot be read.
        ConflictError: The config is not what vmio wrote, or must not be changed now.
    """
    from vmio.managers.proxmox.undo import Reversal, prepare_run
    from vmio.managers.proxmox.undo import prepare_undo as prepare

    if not vm:
        return prepare_run(run, force=force)
    return Reversal(restores=(prepare(_find(vm, writes=True), number=number, force=force),))


def _find(vm: str, *, writes: bool = False) -> str:
    """Returns a config's path or a VM's number, by which what was changed of it is found."""
    found = find_guest(vm, writes=writes) if vm else ""
    # A guest that is migrated, or gone, is still found by its number.
    return vm if vm.isdecimal() else found


def undo(reversal: Reversal) -> tuple[tuple[Applied, ...], tuple[Left, ...]]:
    """Puts back what configs were; this is a run of its own, which can be taken back.

    Returns:
        What became of the configs, and those that stay as they are, with the reason.
    """
    from vmio.managers.proxmox.undo import undo_all

    return undo_all(reversal)
