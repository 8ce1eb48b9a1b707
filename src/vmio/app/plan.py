"""Plans made, and kept in files."""

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
    """Returns how each policy of `make_plan` is written, and what it is."""
    from vmio.policy.spreads import POLICIES

    return tuple((policy.usage, policy.summary) for policy in POLICIES.values())


def list_compared() -> tuple[str, ...]:
    """Returns the policies that are compared where none is named."""
    from vmio.policy.spreads import COMPARED

    return COMPARED


def make_plan(guest: Guest, host: Host, policy: str = "auto") -> Plan:
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
    from vmio.policy.planner import make_plan as make
    from vmio.policy.spreads import choose_policy

    return make(guest, host, choose_policy(policy))


def lacks_processors(guest: Guest, host: Host, policy: str) -> bool:
    """Returns whether the host's processors, which are not known, could change a plan."""
    from vmio.policy.planner import find_candidates
    from vmio.policy.spreads import choose_policy
    from vmio.policy.spreads import lacks_processors as lacks

    return lacks(guest.vm, find_candidates(guest), host, choose_policy(policy))


def preview_plan(guest: Guest, plan: Plan) -> bytes:
    """Returns the config's text with a plan's changes made; nothing is written.

    Raises:
        ConflictError: The config no longer says what the plan goes from.
    """
    from vmio.formats.registry import edit
    from vmio.model.source import apply_edits

    return apply_edits(guest.vm.source, edit(guest, plan.changes))


def render_plan(plan: Plan) -> str:
    """Returns a plan as its file has it."""
    from vmio.formats.plan_file import render_plan as render

    return render(plan)


def save_plan(plan: Plan, path: str, *, force: bool = False) -> None:
    """Writes a plan to a file, whole or not at all.

    Raises:
        UsageError: There is such a file already, and it shall not be replaced.
        OutputError: The file cannot be written.
    """
    from vmio.host.save import write_file

    write_file(Path(path), render_plan(plan).encode(), force=force)


def read_plan(path: str) -> Plan:
    """Reads a plan that `vmio plan -o` wrote.

    Raises:
        InputError: The file cannot be read, or is no plan.
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
