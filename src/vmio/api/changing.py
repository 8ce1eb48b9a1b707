"""Plans: made, kept in files, carried out and taken back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vmio.errors import UsageError
from vmio.formats.proxmox.reader import Guest
from vmio.host.files import read_source
from vmio.model.host import Host

if TYPE_CHECKING:
    from vmio.formats.qemu.reader import CommandGuest
    from vmio.managers.proxmox.journal import Journal
    from vmio.managers.proxmox.planned import Outcome, Work
    from vmio.managers.proxmox.undo import Left, Reversal, Run
    from vmio.managers.proxmox.write import Applied
    from vmio.model.plan import Plan

__all__ = [
    "apply",
    "lacks_processors",
    "list_changed",
    "list_policies",
    "list_runs",
    "make_plan",
    "prepare_apply",
    "prepare_undo",
    "preview_plan",
    "read_plan",
    "render_qm",
    "save_plan",
    "undo",
]

_STDIN = "<stdin>"


def list_policies() -> tuple[tuple[str, str], ...]:
    """Returns how each policy of `make_plan` is written, and what it is."""
    from vmio.plan.policies import POLICIES

    return tuple((policy.usage, policy.summary) for policy in POLICIES.values())


def make_plan(guest: Guest | CommandGuest, host: Host, policy: str = "auto") -> Plan:
    """Returns the steps to the layout that a policy wants, none where it is that already.

    Args:
        guest: The guest.
        host: The host that it runs on.
        policy: A policy with its number, such as `pool:2`.

    Raises:
        UsageError: There is no such policy.
        PlanError: It makes no sense for this guest, or the guest is none of a manager's.
        CapabilityError: The host's QEMU is too old for it.
    """
    from vmio.plan.policies import choose_policy
    from vmio.plan.proposal import propose

    return propose(guest.vm, host, choose_policy(policy))


def lacks_processors(guest: Guest | CommandGuest, host: Host, policy: str) -> bool:
    """Returns whether the host's processors, which are not known, could change a plan."""
    from vmio.plan.policies import choose_policy
    from vmio.plan.policies import lacks_processors as lacks
    from vmio.plan.target import find_candidates

    return lacks(guest.vm, find_candidates(guest.vm), host, choose_policy(policy))


def preview_plan(guest: Guest | CommandGuest, plan: Plan) -> bytes:
    """Returns the config's text with a plan's changes made; nothing is written.

    Raises:
        ConflictError: The config no longer says what the plan goes from.
    """
    from vmio.formats.proxmox.changes import apply_changes
    from vmio.plan.steps import list_changes

    return apply_changes(guest.vm.source, list_changes(plan.steps))


def save_plan(plan: Plan, path: str, *, force: bool = False) -> None:
    """Writes a plan to a file, whole or not at all.

    Raises:
        UsageError: There is such a file already, and it shall not be replaced.
        OutputError: The file cannot be written.
    """
    from vmio.formats.plan_file import render_plan
    from vmio.host.save import write_file

    write_file(Path(path), render_plan(plan).encode(), force=force)


def read_plan(path: str) -> Plan:
    """Reads a plan that `vmio plan -o` wrote.

    Raises:
        InputError: The file cannot be read, or is no plan.
    """
    from vmio.formats.plan_file import parse_plan

    return parse_plan(read_source(path))


def prepare_apply(
    plan: Plan,
    config: str | None = None,
    *,
    qmp: str | None = None,
    live: bool | None = None,
    check: bool = True,
) -> Work:
    """Returns what a plan comes to for a config as it is now; nothing is changed.

    Args:
        plan: The plan.
        config: The config; None for the one that the plan was made from.
        qmp: The running guest's QMP socket; None to look where Proxmox VE has it.
        live: Whether to set what can be set at once; None where a running guest is found.
        check: Whether to refuse a config that must not be changed now.

    Raises:
        UsageError: The plan is for another guest, or the running guest is not found.
        InputError: The config cannot be read.
        ConflictError: It is not what the plan was made for, or must not be changed now.
    """
    from vmio.managers.proxmox.planned import prepare_plan

    path = plan.config if config is None else config
    if path in {"-", _STDIN}:
        raise UsageError("standard input cannot be changed", hint="name the config as a file")
    return prepare_plan(plan, read_source(path), qmp=qmp, live=live, check=check)


def apply(work: Work) -> Outcome:
    """Carries out a plan: writes the config, and sets what a running guest can be given.

    Raises:
        ConflictError: The config changed meanwhile, or must not be changed now.
        OutputError: It cannot be written; what was there before is still there.
        QmpError: The running guest does not take it; it has its old values then.
    """
    from vmio.managers.proxmox.planned import carry_out

    return carry_out(work)


def render_qm(work: Work) -> str:
    """Returns the command of Proxmox VE that makes a plan's changes; empty if there are none."""
    from vmio.managers.proxmox.commands import render_command
    from vmio.plan.steps import list_changes

    return render_command(work.plan.vm, work.source, list_changes(work.plan.steps))


def list_changed(vm: str = "") -> tuple[Journal, ...]:
    """Returns what vmio has changed of a guest, or of all.

    Raises:
        UsageError: It has changed nothing of that guest.
        InputError: The backups are not this user's alone.
    """
    from vmio.managers.proxmox.node import Node
    from vmio.managers.proxmox.undo import find_journals

    return find_journals(vm, Node())


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
        vm: A config's path, or a VM's number; empty for all that one call of vmio changed.
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
    return Reversal(restores=(prepare(vm, number=number, force=force),))


def undo(reversal: Reversal) -> tuple[tuple[Applied, ...], tuple[Left, ...]]:
    """Puts back what configs were; this is a run of its own, which can be taken back.

    Returns:
        What became of the configs, and those that stay as they are, with the reason.
    """
    from vmio.managers.proxmox.undo import undo_all

    return undo_all(reversal)
