"""Plans applied to configs and running guests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmio.app.addresses import find_guest
from vmio.app.missing import read_named
from vmio.errors import UsageError, VmioError

if TYPE_CHECKING:
    from vmio.managers.planned import Outcome, PreparedPlan
    from vmio.model.plan import Plan

__all__ = ["apply", "find_refusal", "prepare_apply", "render_commands"]

_STDIN = "<stdin>"


def prepare_apply(
    plan: Plan,
    config: str | None = None,
    *,
    qmp: str | None = None,
    live: bool | None = None,
    check: bool = True,
    libvirt_version: str = "",
) -> PreparedPlan:
    """Returns what a plan would change in a config as it is now; nothing is changed.

    Args:
        plan: The plan.
        config: The config, or the VM's number or name; None for the one that the plan was made
            from.
        qmp: The running guest's QMP socket; None for the one that Proxmox VE uses.
        live: Whether to set what can be set at once; None: if a running guest is found.
        check: Whether to refuse a config that must not be changed now.
        libvirt_version: The libvirt that a domain's file was planned for; empty for the newest.

    Raises:
        UnsupportedError: The plan is for no config that vmio writes.
        UsageError: The plan is for another guest, or no running guest is found.
        InputError: The config cannot be read.
        ConflictError: The config has changed since the plan was made, or must not be changed now.
    """
    from vmio.managers.planned import find_refusal, prepare_plan

    refusal = find_refusal(plan)
    if refusal is not None:
        raise refusal
    path = plan.config if config is None else find_guest(config, writes=True)
    if path in {"-", _STDIN}:
        raise UsageError("standard input cannot be changed", hint="name the config as a file")
    return prepare_plan(
        plan,
        read_named(path),
        qmp=qmp,
        live=live,
        check=check,
        libvirt_version=libvirt_version,
    )


def find_refusal(plan: Plan) -> VmioError | None:
    """Returns why `prepare_apply` takes a plan for no config at all; None if it takes it."""
    from vmio.managers.planned import find_refusal as find

    return find(plan)


def apply(work: PreparedPlan) -> Outcome:
    """Applies a plan: writes the config, and sets the parameters of a running guest.

    Raises:
        ConflictError: The config changed meanwhile, or must not be changed now.
        OutputError: It cannot be written; the old config is still there.
        QmpError: The running guest refuses a value; its old values are set again.
    """
    from vmio.managers.planned import carry_out
    from vmio.report.plan.words import describe_plan

    return carry_out(work, what=describe_plan(work.guest, work.plan).summary)


def render_commands(work: PreparedPlan) -> str:
    """Returns the manager's own commands for a plan's changes, a line each; empty without any.

    These are one `qm set` for Proxmox VE, and `virsh` for libvirt, where `virsh edit` follows
    what is to be written in it, as comments of the shell.
    """
    from vmio.formats.registry import render_commands as render

    return render(work.guest, work.plan.changes)
