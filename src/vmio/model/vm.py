"""A virtual machine as far as its storage is concerned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from attrs import field, frozen

from vmio.model.controller import Controller
from vmio.model.disk import Disk
from vmio.model.iothread import IOThread
from vmio.model.machine import Chipset, Machine
from vmio.model.option import Option
from vmio.model.source import Problem, Source, Span
from vmio.model.topology import AttachedDisk

__all__ = ["Accelerator", "GuestOs", "Vm"]

Accelerator = Literal["", "kvm", "tcg"]
"""Empty where that is not said."""
GuestOs = Literal["linux", "windows", "other"]


@frozen(kw_only=True)
class Vm:
    """What a configuration says, before anything is planned from it."""

    id: str
    """What its manager calls it: the number of a Proxmox VM, a libvirt name, a process."""
    name: str = ""
    notation: str
    """The name of its folder in `vmio.formats`."""
    source: Source
    os: GuestOs = "other"
    """The family of the guest's system; other where that is not said."""
    arch: str = "x86_64"
    chipset: Chipset = "i440fx"
    machine_type: str = ""
    """As `-machine type=` takes it, without what a manager adds to it."""
    machine_version: tuple[int, int] = (0, 0)
    """QEMU's machine version that the guest would get."""
    vcpus: int = 1
    memory_mib: int = 512
    accelerator: Accelerator = ""
    """What would run it: the host's processor, or QEMU's own emulation of one."""
    affinity: str = ""
    """The host's processors that its threads are bound to, such as 0,2-3; empty if to none."""
    template: bool = False
    """Whether other guests are cloned from it and it is only looked at itself."""
    scsihw: str | None = None
    """The kind of SCSI controller that disks get which name none; None if that is not written."""
    iothreads: tuple[IOThread, ...] = ()
    """Those that the configuration itself defines."""
    iothread_users: frozenset[str] = frozenset()
    """IOThread ids that something besides the disks below refers to."""
    controllers: tuple[Controller, ...] = ()
    """Those that the configuration itself defines."""
    disks: tuple[Disk, ...] = ()
    attached: tuple[AttachedDisk, ...] = ()
    """The disks in their places, in a notation that says the places itself."""
    options: tuple[Option, ...] = ()
    """QEMU's own options: a whole command line, or those that a config adds to its manager's."""
    snapshots: tuple[str, ...] = ()
    """The names of its snapshots, whichever of them was read."""
    problems: tuple[Problem, ...] = ()
    """What the reader could not take."""
    settings: Mapping[str, str] = field(factory=dict, repr=False)
    """Valid settings of the whole machine and of each device, by the notation's own name."""
    waiting: frozenset[str] = frozenset()
    """Settings that change when the guest is next started, by the notation's own name."""
    pending: Mapping[str, str] = field(factory=dict, repr=False)
    """Settings that change when the guest is next started; of `delete`, the names that go."""
    spans: Mapping[str, Span] = field(factory=dict, eq=False, repr=False)
    """Where settings of the whole machine are written, by the notation's own name."""

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
