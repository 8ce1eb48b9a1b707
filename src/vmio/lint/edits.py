"""Changes to a Proxmox config that leave every other byte as it is, and how they are applied."""

from __future__ import annotations

from collections.abc import Iterable

from vmio.lint.diagnostic import Applicability, Fix
from vmio.model.source import Edit, Source, Span
from vmio.model.vm import Vm

__all__ = ["apply_fixes", "remove_option", "set_scsihw"]


def set_scsihw(vm: Vm, value: str) -> tuple[Edit, ...]:
    """Returns the edit that sets `scsihw`: in its line, or in a new one after the last SCSI drive.

    Proxmox VE sorts settings by their bytes, so that is where it would write the line itself.
    """
    written = vm.spans.get("scsihw")
    if written is not None:
        # A line's end may hold a carriage return, which is not part of the setting.
        length = len(vm.source.data[written.start : written.end].rstrip())
        span = Span(start=written.start, end=written.start + length)
        return (Edit(span=span, text=f"scsihw: {value}"),)
    lines = [disk.span for disk in vm.disks if disk.bus == "scsi" and disk.span is not None]
    if not lines:
        return ()
    end = max(line.end for line in lines)
    return (Edit(span=Span(start=end, end=end), text=f"\nscsihw: {value}"),)


def remove_option(source: Source, option: Span) -> Edit:
    """Returns the edit that removes an option of a drive together with one comma beside it."""
    start, end = option.start, option.end
    if source.data[start - 1 : start] == b",":
        start -= 1
    elif source.data[end : end + 1] == b",":
        end += 1
    return Edit(span=Span(start=start, end=end), text="")


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
    data = source.data
    for edit in sorted(taken, key=lambda edit: edit.span, reverse=True):
        data = data[: edit.span.start] + edit.text.encode() + data[edit.span.end :]
    return data


def _clash(one: Edit, other: Edit) -> bool:
    if one.span.start == other.span.start:
        return True
    return one.span.start < other.span.end and other.span.start < one.span.end
