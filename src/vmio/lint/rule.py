"""The base of rules, and what a rule may read."""

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

__all__ = ["Context", "Need", "Rule"]

Need = Literal[
    "affinity",
    "aio",
    "devices",
    "iothreads",
    "kept",
    "limits",
    "options",
    "problems",
    "serial",
    "snapshot",
    "version",
    "waiting",
    "werror",
    "windows",
]
"""What a rule can require: a field of the `Vm` or of one of its disks (limits, serial, snapshot,
werror), a Windows guest, or that the version of the host's QEMU is known. `aio` is an engine that
is set for any disk, those of QEMU's own options included, or that is native by default;
`devices` are those that the text itself describes, in options of QEMU's or otherwise; `kept` are
copies of the guest's config that its manager can bring back."""


class Context(Struct, frozen=True, kw_only=True, dict=True):
    """What rules may read; none of them opens a file."""

    guest: Guest
    topology: Topology
    """The layout that results from the configuration."""
    host: Host

    @property
    def vm(self) -> Vm:
        """The guest's configuration."""
        return self.guest.vm

    @cached_property
    def present(self) -> frozenset[Need]:
        """Which of the things that rules can need the guest has."""
        vm, host = self.vm, self.host
        limits = serial = snapshot = werror = False
        for disk in vm.disks:
            limits = limits or bool(disk.limits)
            serial = serial or bool(disk.serial)
            snapshot = snapshot or bool(disk.snapshot)
            werror = werror or bool(disk.werror)
        there: dict[Need, object] = {
            "affinity": vm.affinity,
            "aio": any(each.disk.aio or each.aio == "native" for each in self.topology.disks),
            "devices": vm.options
            or any(each.where.span is not None for each in self.topology.controllers),
            "iothreads": vm.iothreads,
            "kept": self.guest.context.kept,
            "limits": limits,
            "options": vm.options,
            "problems": vm.problems,
            "serial": serial,
            "snapshot": snapshot,
            "version": host.qemu_version or host.pve_qemu_version,
            "waiting": vm.waiting,
            "werror": werror,
            "windows": vm.os == "windows",
        }
        return frozenset([need for need, found in there.items() if found])

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
        """The disks whose file or device is known."""
        return tuple(
            attached
            for attached in self.disks
            if attached.disk.backing is not None and not attached.disk.backing.error
        )

    @cached_property
    def io_disks(self) -> tuple[AttachedDisk, ...]:
        """The disks without those whose SCSI commands are passed on."""
        return tuple([each for each in self.disks if not each.passes_through])

    @cached_property
    def resolved_io_disks(self) -> tuple[AttachedDisk, ...]:
        """Those of them whose file or device is known."""
        return tuple([each for each in self.resolved_disks if not each.passes_through])

    def make_fix(
        self, message: str, *changes: Change, applicability: Applicability = Applicability.SAFE
    ) -> Fix:
        """Returns the fix that makes changes; a manual one if vmio cannot make them.

        A setting with a pending change is not fixed: the next start of the guest would undo the
        fix.

        Args:
            message: What to do, in the imperative and without a full stop.
            changes: The changes to the guest.
            applicability: Who may apply it, if the guest's text can be edited.
        """
        waiting = self._list_waiting(changes)
        if waiting:
            return Fix(
                applicability=Applicability.MANUAL,
                message=f"stop and start the guest first, which changes {', '.join(waiting)}"
                " anyway, and check again",
            )
        if changes not in self._edits:
            self._edits[changes] = _find_edits(self.guest, changes)
        edits = self._edits[changes]
        chosen = applicability if edits else Applicability.MANUAL
        return Fix(applicability=chosen, message=message, edits=edits)

    @cached_property
    def _edits(self) -> dict[tuple[Change, ...], tuple[Edit, ...]]:
        """Edits found earlier: every disk of a controller needs the same ones."""
        return {}

    def _list_waiting(self, changes: Sequence[Change]) -> list[str]:
        """Returns the settings that changes replace and that also have a pending change.

        Changes of a drive's options are left out: the pending change can concern other options.
        """
        if not self.vm.waiting:
            return []
        from vmio.formats.registry import spell

        with suppress(PlanError, ConflictError, UsageError):
            settings = spell(self.guest, changes)
            return sorted(self.vm.waiting & {each.key for each in settings if not each.option})
        return []


def _find_edits(guest: Guest, changes: tuple[Change, ...]) -> tuple[Edit, ...]:
    """Returns the edits that make changes, none if only a person can make them."""
    from vmio.formats.registry import edit, find_obstacle

    if not any(find_obstacle(guest, change) for change in changes):
        with suppress(PlanError, ConflictError, UsageError):
            return edit(guest, changes)
    return ()


class Rule(ABC):
    """One claim that vmio can make about a configuration.

    The docstring of a subclass is its page: one line about what it finds, then the sections
    that `vmio.lint.pages.SECTIONS` names. The first fenced block of *Example* triggers the rule
    and that of *Use instead* does not; a test runs both.
    """

    code: ClassVar[str]
    """Two letters of the family and three digits; never reused for another rule."""
    name: ClassVar[str]
    severity: ClassVar[Severity]
    """The severity of a finding, unless `report` receives another one."""
    notation: ClassVar[str] = ""
    """The only notation for whose guests it runs; empty for all."""
    elsewhere: ClassVar[str] = ""
    """Why it finds nothing in another notation; a sentence, empty for a rule about all."""
    blanks: ClassVar[tuple[tuple[str, str], ...]] = ()
    """Notations for whose guests it does not run, each with the reason, which goes before
    `elsewhere`."""
    needs: ClassVar[Need | Literal[""]] = ""
    """What a guest must have for the rule to run. The registry repeats it, and has it for more
    rules, so that a rule that can find nothing is not imported."""
    versions: ClassVar[Versions | None] = None
    """The QEMU releases that it applies to; on any other, or an unknown one, it does not run."""

    @classmethod
    def describe(cls) -> str:
        """Returns its page: one line about what it finds, and sections."""
        from inspect import cleandoc

        return cleandoc(cls.__doc__ or "")

    @classmethod
    def explain_blank(cls, notation: str) -> str:
        """Returns why it finds nothing in a notation; empty if it applies."""
        own = dict(cls.blanks).get(notation, "")
        about = {cls.notation or notation}
        return own if own or notation in about else cls.elsewhere

    @abstractmethod
    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields its findings, in any order."""

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
