"""How the fixes of findings become changes to a config."""

from __future__ import annotations

from collections.abc import Iterable

from vmio.formats.proxmox.writer import place_setting
from vmio.lint.diagnostic import Applicability, Fix
from vmio.model.source import Edit, Source, apply_edits
from vmio.model.vm import Vm

__all__ = ["apply_fixes", "set_scsihw"]


def set_scsihw(vm: Vm, value: str) -> tuple[Edit, ...]:
    """Returns the edit that sets `scsihw`: in its line, or in a new one in Proxmox's order."""
    return (place_setting(vm.source, vm.spans, "scsihw", value),) if vm.spans else ()


def apply_fixes(source: Source, fixes: Iterable[Fix], *, unsafe: bool = False) -> bytes:
    """Returns the text with fixes applied; one that would touch an earlier one's place waits.

    An edit that several fixes share is made once.

    Args:
        source: The text that the fixes' spans are of.
        fixes: Those that may be applied; one for display never is.
        unsafe: Whether to apply those that are not safe, too.
    """
    allowed = {Applicability.SAFE, Applicability.UNSAFE} if unsafe else {Applicability.SAFE}
    taken: set[Edit] = set()
    for fix in fixes:
        new = set(fix.edits) - taken
        if fix.applicability in allowed and not any(_clash(a, b) for a in new for b in taken):
            taken |= new
    return apply_edits(source, taken)


def _clash(one: Edit, other: Edit) -> bool:
    if one.span.start == other.span.start:
        return True
    return one.span.start < other.span.end and other.span.start < one.span.end
