"""A finding, and the change that would settle it."""

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
    """How much harm a finding does, the worst first."""

    ERROR = "error"
    """The guest does not start or loses a disk, or data is at risk."""
    WARNING = "warning"
    """A setting does nothing, or something is clearly slower than it should be."""
    INFO = "info"
    """Advice that depends on things that vmio does not know."""

    @property
    def rank(self) -> int:
        """Its place when findings are put in order, 0 for the worst."""
        return _RANKS[self._value_]


_RANKS = {severity.value: rank for rank, severity in enumerate(Severity)}


class Applicability(StrEnum):
    """Who may apply a fix."""

    SAFE = "safe"
    """vmio on its own: the guest sees the same devices, still starts and keeps its data."""
    UNSAFE = "unsafe"
    """vmio when asked to: the guest may see other devices or need a driver."""
    MANUAL = "manual"
    """Only a person: there is more than one way, and the configuration does not tell which."""


class Fix(Struct, frozen=True, kw_only=True):
    """What would settle a finding, in words and as replacements in the text."""

    applicability: Applicability
    message: str
    """What to do, in the imperative and without a full stop."""
    edits: tuple[Edit, ...] = ()
    """Empty where only a person can tell what to write."""


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
    """The name of the text that it is about."""
    subject: str = ""
    """The device, object or setting that it is about, such as `scsi0`."""
    span: Span | None = None
    """Where it is written; None for what is missing from the text as a whole."""
    notes: tuple[str, ...] = ()
    """What else there is to know, a line each."""
    fix: Fix | None = None


class Suppressed(Struct, frozen=True, kw_only=True):
    """A finding that somebody has looked at and accepted."""

    diagnostic: Diagnostic
    reason: str
    """Who or what says so: an exception's reason, or that a baseline knows it."""


class CheckedFile(Struct, frozen=True, kw_only=True):
    """What came of checking one file: its findings, or why it could not be read."""

    name: str
    source: Source | None = None
    """None where it could not be read."""
    diagnostics: tuple[Diagnostic, ...] = ()
    """Those that count, the most harmful first."""
    error: VmioError | None = None
    node: str = ""
    """The host that the VM belongs to, where that is known."""
    vm: str = ""
    """What its manager calls the VM."""
    vm_name: str = ""
    disks: int = 0
    suppressed: tuple[Suppressed, ...] = ()
    before: Source | None = None
    """What the text was before fixes were made, if any were asked for."""
    fixed: tuple[Diagnostic, ...] = ()
    """The findings that these fixes settled, with places in texts on the way."""
    unfixed: tuple[Diagnostic, ...] = ()
    """Those whose fixes the file could not be given, or could not be."""
    refusal: VmioError | None = None
    """Why it could not."""
    stale: int = 0
    """So many findings that the baseline knows of this VM are not there any more."""
