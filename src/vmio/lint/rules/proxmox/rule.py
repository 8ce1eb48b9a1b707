"""What the rules about Proxmox VE's configs share."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from vmio.formats.proxmox.problems import is_drive
from vmio.lint.diagnostic import Severity
from vmio.lint.problems import ProblemRule
from vmio.lint.rule import Context, Rule
from vmio.model.source import Problem

if TYPE_CHECKING:
    from vmio.formats.proxmox.reader import ProxmoxGuest

__all__ = ["ProxmoxProblemRule", "ProxmoxRule", "guest_of"]


def guest_of(context: Context) -> ProxmoxGuest:
    """Returns the guest with what only its config says; the engine has skipped every other."""
    return cast("ProxmoxGuest", context.guest)


class ProxmoxRule(Rule):
    """A rule about Proxmox VE's configs."""

    notation = "proxmox"


class ProxmoxProblemRule(ProblemRule):
    """A rule about lines that Proxmox VE does not accept.

    Losing a drive is an error whatever the kind; the rule's own severity is for the rest.
    """

    notation = "proxmox"
    elsewhere = "Only Proxmox VE skips lines and drives that it cannot read."

    def grade(self, problem: Problem) -> Severity | None:
        """Returns that a lost drive is an error."""
        return Severity.ERROR if is_drive(problem) else None
