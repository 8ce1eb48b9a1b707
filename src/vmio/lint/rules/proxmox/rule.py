"""The base of the rules about Proxmox VE's configs."""

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
    """Returns the guest with the values of its config; the engine has skipped all other guests."""
    return cast("ProxmoxGuest", context.guest)


class ProxmoxRule(Rule):
    """A rule about Proxmox VE's configs."""

    notation = "proxmox"


class ProxmoxProblemRule(ProblemRule):
    """A rule about lines that Proxmox VE does not accept.

    A lost drive is an error of any kind; the rule's own severity is for other lines.
    """

    notation = "proxmox"
    elsewhere = "Only Proxmox VE skips lines and drives that it cannot read."

    def grade(self, problem: Problem) -> Severity | None:
        """Returns `error` for a lost drive, else the rule's severity."""
        return Severity.ERROR if is_drive(problem) else None
