"""Plans: made, saved and read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vmio.errors import InputError
from vmio.host.files import read_source
from vmio.model.host import Host

if TYPE_CHECKING:
    from vmio.app.guests import Guest
    from vmio.model.plan import Plan

__all__ = [
    "lacks_processors",
    "list_compared",
    "list_policies",
    "make_plan",
    "preview_plan",
    "read_plan",
    "render_plan",
    "save_plan",
]

_WHAT_A_PLAN_IS = (
    "vmio plan VM -o FILE writes a plan; --policy auto plans and applies a VM's config"
)


def list_policies() -> tuple[tuple[str, str], ...]:
    """Returns the usage and the summary of each policy of `make_plan`."""
    from vmio.policy.spreads import POLICIES

    return tuple((policy.usage, policy.summary) for policy in POLICIES.values())


def list_compared() -> tuple[str, ...]:
    """Returns the policies that are compared by default."""
    from vmio.policy.spreads import COMPARED

    return COMPARED


def make_plan(guest: Guest, host: Host, policy: str = "auto") -> Plan:
    """Returns the steps to the layout of a policy; none if the guest has it already.

    Args:
        guest: The guest.
        host: The host that it runs on.
        policy: A policy, with its number if it takes one, such as `pool:2`.

    Raises:
        UsageError: There is no such policy.
        PlanError: It does not apply to this guest, or the guest belongs to no manager.
        CapabilityError: The host's QEMU is too old for it.
    """
    from vmio.policy.planner import make_plan as make
    from vmio.policy.spreads import choose_policy

    return make(guest, host, choose_policy(policy))


def lacks_processors(guest: Guest, host: Host, policy: str) -> bool:
    """Returns whether a plan could depend on the host's processors, which are not known."""
    from vmio.policy.planner import find_candidates
    from vmio.policy.spreads import choose_policy
    from vmio.policy.spreads import lacks_processors as lacks

    return lacks(guest.vm, find_candidates(guest), host, choose_policy(policy))


def preview_plan(guest: Guest, plan: Plan) -> bytes:
    """Returns the config's text with a plan's changes made; nothing is written.

    Raises:
        ConflictError: The config has changed since the plan was made.
    """
    from vmio.formats.registry import edit
    from vmio.model.source import apply_edits

    return apply_edits(guest.vm.source, edit(guest, plan.changes))


def render_plan(plan: Plan) -> str:
    """Returns a plan as the text of its file."""
    from vmio.formats.plan_file import render_plan as render

    return render(plan)


def save_plan(plan: Plan, path: str, *, force: bool = False) -> None:
    """Writes a plan to a file, whole or not at all.

    Raises:
        UsageError: The file exists, and `force` is not given.
        OutputError: The file cannot be written.
    """
    from vmio.host.save import write_file

    write_file(Path(path), render_plan(plan).encode(), force=force)


def read_plan(path: str) -> Plan:
    """Reads a plan that `vmio plan -o` wrote.

    Raises:
        InputError: The file cannot be read, or is not a plan.
    """
    from vmio.formats.plan_file import parse_plan

    try:
        source = read_source(path)
    except InputError as error:
        raise InputError(error.message, hint=_WHAT_A_PLAN_IS) from error
    if not source.data.lstrip().startswith(b"{"):
        raise InputError(
            f"{path} is not a plan",
            hint=_WHAT_A_PLAN_IS,
        )
    return parse_plan(source)
