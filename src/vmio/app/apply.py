"""Plans carried out on configs and running guests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmio.app.addresses import find_guest
from vmio.app.missing import read_named
from vmio.errors import UsageError, VmioError

if TYPE_CHECKING:
    from vmio.managers.proxmox.planned import Outcome, Work
    from vmio.model.plan import Plan

__all__ = ["apply", "find_refusal", "prepare_apply", "render_qm"]

_STDIN = "<stdin>"


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
        config: The config, or the VM's number or name; None for what the plan was made from.
        qmp: The running guest's QMP socket; None to look where Proxmox VE has it.
        live: Whether to set what can be set at once; None where a running guest is found.
        check: Whether to refuse a config that must not be changed now.

    Raises:
        UnsupportedError: The plan is for no config that vmio writes.
        UsageError: The plan is for another guest, or the running guest is not found.
        InputError: The config cannot be read.
        ConflictError: It is not what the plan was made for, or must not be changed now.
    """
    from vmio.managers.proxmox.planned import find_refusal, prepare_plan

    refusal = find_refusal(plan)
    if refusal is not None:
        raise refusal
    path = plan.config if config is None else find_guest(config, writes=True)
    if path in {"-", _STDIN}:
        raise UsageError("standard input cannot be changed", hint="name the config as a file")
    return prepare_plan(plan, read_named(path), qmp=qmp, live=live, check=check)


def find_refusal(plan: Plan) -> VmioError | None:
    """Returns why `prepare_apply` takes a plan for no config at all; None if it takes it."""
    from vmio.managers.proxmox.planned import find_refusal as find

    return find(plan)


def apply(work: Work) -> Outcome:
    """Carries out a plan: writes the config, and sets what a running guest can be given.

    Raises:
        ConflictError: The config changed meanwhile, or must not be changed now.
        OutputError: It cannot be written; what was there before is still there.
        QmpError: The running guest does not take it; it has its old values then.
    """
    from vmio.managers.proxmox.planned import carry_out
    from vmio.report.plan.words import describe_plan

    return carry_out(work, what=describe_plan(work.guest, work.plan).summary)


def render_qm(work: Work) -> str:
    """Returns the command of Proxmox VE that makes a plan's changes; empty if there are none."""
    from vmio.managers.proxmox.commands import render_command

    return render_command(work.guest, work.plan.changes)
