"""What a rule is, and what it may look at."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from typing import ClassVar, Literal

from msgspec import Struct

from vmio.errors import ConflictError, PlanError, UsageError
from vmio.formats.base import Guest
from vmio.lint.diagnostic import Applicability, Diagnostic, Fix, Severity
from vmio.lint.versions import Versions
from vmio.model.host import Host
from vmio.model.plan import Change
from vmio.model.source import Edit, Span
from vmio.model.topology import AttachedDisk, Topology
from vmio.model.vm import Vm

__all__ = ["Context", "Rule"]


class Context(Struct, frozen=True, kw_only=True):
    """All that rules may look at; none of them opens a file."""

    guest: Guest
    topology: Topology
    """The layout that the configuration comes to."""
    host: Host

    @property
    def vm(self) -> Vm:
        """What the configuration says."""
        return self.guest.vm

    @cached_property
    def disks(self) -> tuple[AttachedDisk, ...]:
        """The guest's disks, without cd-roms and cloud-init images; none of a template's."""
        if self.vm.template:
            return ()
        return tuple(
            attached
            for attached in self.topology.disks
            if attached.disk.media != "cdrom" and not attached.disk.cloudinit
        )

    @cached_property
    def resolved_disks(self) -> tuple[AttachedDisk, ...]:
        """Those of them of which it is known what QEMU opens."""
        return tuple(
            attached
            for attached in self.disks
            if attached.disk.backing is not None and not attached.disk.backing.error
        )

    def make_fix(
        self, message: str, *changes: Change, applicability: Applicability = Applicability.SAFE
    ) -> Fix:
        """Returns the fix that makes changes; a person's, where vmio cannot make them.

        A setting that the guest's next start replaces is not replaced before it: the start would
        undo the fix.

        Args:
            message: What to do, in the imperative and without a full stop.
            changes: What it changes of the guest.
            applicability: Who may apply it, where the guest's text can be edited.
        """
        from vmio.formats.registry import edit, find_obstacle

        waiting = self._list_waiting(changes)
        if waiting:
            return Fix(
                applicability=Applicability.MANUAL,
                message=f"stop and start the guest first, which changes {', '.join(waiting)}"
                " anyway, and check again",
            )
        edits: tuple[Edit, ...] = ()
        if not any(find_obstacle(self.guest, change) for change in changes):
            with suppress(PlanError, ConflictError, UsageError):
                edits = edit(self.guest, changes)
        chosen = applicability if edits else Applicability.MANUAL
        return Fix(applicability=chosen, message=message, edits=edits)

    def _list_waiting(self, changes: Sequence[Change]) -> list[str]:
        """Returns the settings that changes replace and that the next start replaces anyway.

        Of a drive, of which they change an option, the others are for the next start to change.
        """
        if not self.vm.waiting:
            return []
        from vmio.formats.registry import spell

        with suppress(PlanError, ConflictError, UsageError):
            settings = spell(self.guest, changes)
            return sorted(self.vm.waiting & {each.key for each in settings if not each.option})
        return []


class Rule(ABC):
    """One claim that vmio can make about a configuration.

    The docstring of a subclass is its page: a line that says what it finds, then the sections
    that `vmio.lint.pages.SECTIONS` names. The first fenced block of *Example* triggers the rule
    and that of *Use instead* does not; a test runs both.
    """

    code: ClassVar[str]
    """Two letters of the family and three digits; never used again for another rule."""
    name: ClassVar[str]
    severity: ClassVar[Severity]
    """What a finding has unless `report` is told otherwise."""
    notation: ClassVar[str] = ""
    """The only notation that it is about, for whose guests alone it runs; empty for every."""
    needs: ClassVar[Literal["", "options", "problems", "waiting"]] = ""
    """What of a `Vm` it is all about; the rule does not run for one that has none of it."""
    versions: ClassVar[Versions | None] = None
    """The QEMU that it holds for; on any other, or an unknown one, the rule does not run."""

    @classmethod
    def describe(cls) -> str:
        """Returns its page: a line that says what it finds, and sections."""
        from inspect import cleandoc

        return cleandoc(cls.__doc__ or "")

    @abstractmethod
    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields what it finds, in any order."""

    def report(
        self,
        context: Context,
        message: str,
        *,
        subject: str = "",
        span: Span | None = None,
        notes: tuple[str, ...] = (),
        fix: Fix | None = None,
        severity: Severity | None = None,
    ) -> Diagnostic:
        """Returns a finding of this rule."""
        return Diagnostic(
            code=self.code,
            name=self.name,
            severity=severity or self.severity,
            message=message,
            source=context.vm.source.name,
            subject=subject,
            span=span,
            notes=notes,
            fix=fix,
        )
