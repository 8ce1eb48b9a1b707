"""The storage-related part of a virtual machine."""

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
"""Empty if not configured."""
GuestOs = Literal["", "linux", "windows", "other"]
"""Empty if not configured."""


class Vm(Struct, frozen=True, kw_only=True):
    """A guest as configured, before anything is planned."""

    id: str
    """The manager's id of it: the number of a Proxmox VM, a libvirt name, a process."""
    name: str = ""
    notation: str
    """The name of its folder in `vmio.formats`."""
    source: Source
    os: GuestOs = ""
    """The family of the guest's operating system."""
    system: str = ""
    """The operating system's name, such as Windows XP, if more than its family is configured."""
    arch: str = "x86_64"
    chipset: Chipset = "i440fx"
    machine_type: str = ""
    """The value of `-machine type=`, without what a manager adds to it."""
    machine_version: tuple[int, int] = (0, 0)
    """QEMU's machine version that the guest would get."""
    vcpus: int = 1
    adds_vcpus: bool = False
    """Whether its manager can hotplug vCPUs."""
    memory_mib: int = 512
    shares_memory: bool = False
    """Whether its manager gives it memory that other processes can map."""
    accelerator: Accelerator = ""
    """The accelerator: KVM, or QEMU's own emulation of a processor."""
    affinity: str = ""
    """The host processors that its threads are bound to, such as 0,2-3; empty if not bound."""
    template: bool = False
    """Whether it is a template: other guests are cloned from it, and its disks are read-only."""
    uses_host_devices: bool = False
    """Whether it has host devices or folders besides its disks, which prevent its migration."""
    tpm_storage: str | None = None
    """The storage of its TPM's state; None if it has no TPM or the storage is not named."""
    names_threads: bool = True
    """Whether QEMU is told to name its threads, which it does by default since 11.0."""
    iothreads: tuple[IOThread, ...] = ()
    """IOThreads that the configuration itself defines."""
    iothread_users: frozenset[str] = frozenset()
    """IOThread ids that something besides virtio-blk and virtio-scsi devices refers to."""
    controllers: tuple[Controller, ...] = ()
    """Controllers that the configuration itself defines."""
    disks: tuple[Disk, ...] = ()
    attached: tuple[AttachedDisk, ...] = ()
    """The disks in their places that a notation says itself, or options of QEMU's own."""
    options: tuple[Option, ...] = ()
    """QEMU's own options: a whole command line, or those that a config adds to its manager's."""
    snapshots: tuple[str, ...] = ()
    """The names of all its snapshots, whichever one was read."""
    problems: tuple[Problem, ...] = ()
    """What the reader could not parse."""
    waiting: frozenset[str] = frozenset()
    """Settings that change when the guest is next started, by the notation's own name."""
    where: Where = NOWHERE

    @property
    def spans(self) -> Mapping[str, Span]:
        """Where its `controllers` (which SCSI disks get), its `tpm` and the like are written."""
        return self.where.spans

    @property
    def machine(self) -> Machine:
        """The machine that the guest is booted with."""
        return Machine(
            name=self.name or f"vm{self.id}",
            type=self.machine_type,
            chipset=self.chipset,
            arch=self.arch,
            vcpus=self.vcpus,
            memory_mib=self.memory_mib,
        )
