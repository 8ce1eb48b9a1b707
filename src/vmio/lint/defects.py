"""What the rules about defects of QEMU share: which disks one can hit, and the way out of it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import ClassVar

from vmio.lint.diagnostic import Applicability, Diagnostic, Fix
from vmio.lint.rule import Context, Rule
from vmio.lint.versions import Versions
from vmio.model.host import Host
from vmio.model.iothread import MAIN_LOOP
from vmio.model.topology import AttachedDisk

__all__ = ["DefectRule", "is_on_iothread", "propose_upgrade"]


class DefectRule(Rule):
    """A rule about a defect of certain QEMU releases: one finding per guest that it can hit.

    The configuration is right and the host's QEMU is not, so no fix changes the configuration.
    """

    versions: ClassVar[Versions]
    option: ClassVar[str] = "iothread"
    """The drive's option that brings the defect in, by Proxmox's name, to point at."""

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields one finding that names all disks concerned."""
        if context.vm.template:
            return
        disks = [
            attached.disk
            for attached in context.topology.disks
            if attached.disk.media == "disk"
            and not attached.disk.cloudinit
            and self.concerns(context, attached)
        ]
        if disks:
            names = [disk.id for disk in disks]
            yield self.report(
                context,
                self.explain(", ".join(names)),
                subject=names[0],
                span=disks[0].spans.get(self.option, disks[0].span),
                fix=propose_upgrade(self.versions, context.host),
            )

    @abstractmethod
    def concerns(self, context: Context, attached: AttachedDisk) -> bool:
        """Returns whether a disk can be hit."""

    @abstractmethod
    def explain(self, disks: str) -> str:
        """Returns the finding's message, given the disks' names."""


def is_on_iothread(context: Context, attached: AttachedDisk) -> bool:
    """Returns whether an IOThread serves at least one of a disk's queues."""
    return context.topology.served_by(attached) != (MAIN_LOOP,)


def propose_upgrade(versions: Versions, host: Host) -> Fix:
    """Returns what to install instead of a host's QEMU that is among some versions."""
    package = host.pve_qemu_version
    name, installed, fixed = (
        ("pve-qemu-kvm", package, versions.pve_before or versions.before)
        if package is not None
        else ("QEMU", host.qemu_version, versions.before)
    )
    return Fix(
        applicability=Applicability.DISPLAY,
        message=f"upgrade {name} {installed} to {fixed} or later, then stop and start the guest",
    )
