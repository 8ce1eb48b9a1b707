"""A finding, and the change that would resolve it."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from vmio.errors import VmioError
from vmio.model.source import Edit, Source, Span

__all__ = [
    "Applicability",
    "CheckedFile",
    "Diagnostic",
    "Fix",
    "Severity",
    "Suppressed",
    "may_apply",
]


class Severity(StrEnum):
    """How much harm a finding does, the most harmful first."""

    ERROR = "error"
    """The guest does not start or loses a disk, or data is at risk."""
    WARNING = "warning"
    """A setting does nothing, or something is clearly slower than it should be."""
    INFO = "info"
    """Advice that depends on things that vmio does not know."""

    @property
    def rank(self) -> int:
        """Its rank when findings are sorted, 0 for the worst."""
        return _RANKS[self._value_]


_RANKS = {severity.value: rank for rank, severity in enumerate(Severity)}


class Applicability(StrEnum):
    """Who may apply a fix."""

    SAFE = "safe"
    """vmio on its own: the guest sees the same devices, still starts and keeps its data."""
    UNSAFE = "unsafe"
    """vmio when asked to: the guest may see other devices or need a driver."""
    MANUAL = "manual"
    """Only a person: there is more than one way, and the configuration does not show which."""


class Fix(Struct, frozen=True, kw_only=True):
    """A change that would resolve a finding, in words and as replacements in the text."""

    applicability: Applicability
    message: str
    """What to do, in the imperative and without a full stop."""
    edits: tuple[Edit, ...] = ()
    """Empty where only a person knows what to write."""


def may_apply(fix: Fix | None, *, unsafe: bool) -> bool:
    """Returns whether vmio may make a fix, and has edits for it."""
    if fix is None or not fix.edits:
        return False
    return fix.applicability is Applicability.SAFE or (
        unsafe and fix.applicability is Applicability.UNSAFE
    )


class Diagnostic(Struct, frozen=True, kw_only=True):
    """One finding: a rule's claim about one place in one configuration."""

    code: str
    name: str
    severity: Severity
    message: str
    """One line."""
    source: str
    """The name of the text that contains it."""
    subject: str = ""
    """The device, object or setting that it is about, such as `scsi0`."""
    span: Span | None = None
    """Its place in the text; None for a setting that is not in the text."""
    notes: tuple[str, ...] = ()
    """Further facts, one line each."""
    fix: Fix | None = None


class Suppressed(Struct, frozen=True, kw_only=True):
    """A finding that is known and accepted."""

    diagnostic: Diagnostic
    reason: str
    """An exception's reason, or that the finding is in the baseline."""


class CheckedFile(Struct, frozen=True, kw_only=True):
    """The result of checking one file: its findings, or why it could not be read."""

    name: str
    source: Source | None = None
    """None where it could not be read."""
    diagnostics: tuple[Diagnostic, ...] = ()
    """Findings that are not suppressed, the most harmful first."""
    error: VmioError | None = None
    node: str = ""
    """The host that the VM runs on, where that is known."""
    vm: str = ""
    """The manager's id of the VM."""
    vm_name: str = ""
    disks: int = 0
    suppressed: tuple[Suppressed, ...] = ()
    before: Source | None = None
    """The text before fixes were made, if fixes were requested."""
    fixed: tuple[Diagnostic, ...] = ()
    """The findings that the fixes resolved; their spans are in intermediate texts."""
    unfixed: tuple[Diagnostic, ...] = ()
    """Findings whose fixes could not be written to the file."""
    refusal: VmioError | None = None
    """Why the fixes could not be written."""
    stale: int = 0
    """Number of this VM's findings in the baseline that no longer exist."""
