"""A virtual machine as far as its storage is concerned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from vmio.model.controller import Controller
from vmio.model.disk import Disk
from vmio.model.iothread import IOThread
from vmio.model.machine import Chipset, Machine
from vmio.model.option import Option
from vmio.model.source import NOWHERE, Problem, Source, Span, Where
from vmio.model.topology import AttachedDisk

__all__ = ["Accelerator", "GuestOs", "Vm"]

Accelerator = Literal["", "kvm", "tcg"]
"""Empty where that is not said."""
GuestOs = Literal["", "linux", "windows", "other"]
"""Empty where that is not said."""


class Vm(Struct, frozen=True, kw_only=True):
    """What a configuration says, before anything is planned from it."""

    id: str
    """What its manager calls it: the number of a Proxmox VM, a libvirt name, a process."""
    name: str = ""
    notation: str
    """The name of its folder in `vmio.formats`."""
    source: Source
    os: GuestOs = ""
    """The family of the guest's system."""
    system: str = ""
    """What its system is called, such as Windows XP, where more than its family is said."""
    arch: str = "x86_64"
    chipset: Chipset = "i440fx"
    machine_type: str = ""
    """As `-machine type=` takes it, without what a manager adds to it."""
    machine_version: tuple[int, int] = (0, 0)
    """QEMU's machine version that the guest would get."""
    vcpus: int = 1
    adds_vcpus: bool = False
    """Whether its manager can give it more virtual processors while it runs."""
    memory_mib: int = 512
    shares_memory: bool = False
    """Whether its manager gives it memory that other processes can map."""
    accelerator: Accelerator = ""
    """What would run it: the host's processor, or QEMU's own emulation of one."""
    affinity: str = ""
    """The host's processors that its threads are bound to, such as 0,2-3; empty if to none."""
    template: bool = False
    """Whether other guests are cloned from it and it is only looked at itself."""
    uses_host_devices: bool = False
    """Whether it has devices or folders of its host besides its disks, so that it stays there."""
    tpm_storage: str | None = None
    """The storage that keeps the state of its TPM; None if it has no TPM or that is not said."""
    names_threads: bool = True
    """Whether QEMU is told to name its threads, which it does by itself since 11.0."""
    iothreads: tuple[IOThread, ...] = ()
    """Those that the configuration itself defines."""
    iothread_users: frozenset[str] = frozenset()
    """IOThread ids that something besides virtio-blk and virtio-scsi devices refers to."""
    controllers: tuple[Controller, ...] = ()
    """Those that the configuration itself defines."""
    disks: tuple[Disk, ...] = ()
    attached: tuple[AttachedDisk, ...] = ()
    """The disks in their places that a notation says itself, or options of QEMU's own."""
    options: tuple[Option, ...] = ()
    """QEMU's own options: a whole command line, or those that a config adds to its manager's."""
    snapshots: tuple[str, ...] = ()
    """The names of its snapshots, whichever of them was read."""
    problems: tuple[Problem, ...] = ()
    """What the reader could not take."""
    waiting: frozenset[str] = frozenset()
    """Settings that change when the guest is next started, by the notation's own name."""
    where: Where = NOWHERE

    @property
    def spans(self) -> Mapping[str, Span]:
        """Where its `controllers` (which SCSI disks get), its `tpm` and the like are written."""
        return self.where.spans

    @property
    def machine(self) -> Machine:
        """What the guest is booted as, besides its storage."""
        return Machine(
            name=self.name or f"vm{self.id}",
            type=self.machine_type,
            chipset=self.chipset,
            arch=self.arch,
            vcpus=self.vcpus,
            memory_mib=self.memory_mib,
        )
