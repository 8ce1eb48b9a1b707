"""Which thread serves which disk: the path from disk to controller to virtqueue to event loop."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Literal

from msgspec import Struct

from vmio.bounds import MAX_QUEUES
from vmio.model.controller import QUEUE_PER_VCPU_SINCE, Bridge, Controller
from vmio.model.disk import PASSTHROUGH, AioEngine, CacheMode, DetectZeroes, Disk
from vmio.model.iothread import MAIN_LOOP, IOThread
from vmio.values import replace

__all__ = [
    "AttachedDisk",
    "Effect",
    "HostThread",
    "Topology",
    "Verdict",
    "Virtqueue",
    "choose_default_queues",
    "count_queues",
]

Verdict = Literal["used", "ignored", "default"]


class Effect(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The effect of one setting of one disk."""

    setting: str
    value: str
    """The value in force, in the notation's words; empty if the setting has no effect."""
    verdict: Verdict
    """used: set and in force; ignored: set without effect; default: not set."""
    reason: str = ""


class Virtqueue(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One request queue of a controller and the thread that serves it."""

    index: int
    served_by: str
    """An IOThread's id, `MAIN_LOOP`, `OTHER_PROCESS` or `HOST_KERNEL`."""


class AttachedDisk(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A disk in its place, with the effects of its cache and aio settings."""

    disk: Disk
    controller: str
    """The controller's id."""
    address: tuple[tuple[str, str | int], ...] = ()
    """The device's properties for its address on the controller, in QEMU's order."""
    driver: str = ""
    """QEMU's device name for the disk itself, such as scsi-hd."""
    cache: CacheMode | None = None
    """The cache mode in force; None if not known."""
    cache_direct: bool | None = None
    """O_DIRECT: whether the host's page cache is bypassed."""
    cache_no_flush: bool | None = None
    write_cache: bool | None = None
    aio: AioEngine | None = None
    """The engine in force; None if there is nothing to open or it is not known."""
    detect_zeroes: DetectZeroes | None = None
    read_only: bool = False
    """Whether it is read-only: a CD-ROM, a template's disk, or as configured."""
    effects: tuple[Effect, ...] = ()

    device_id: str = ""
    """QEMU's id of its device, where the notation calls the disk something else."""

    @property
    def qemu_id(self) -> str:
        """QEMU's id of its device, or what the layout calls the disk."""
        return self.device_id or self.disk.id

    @property
    def passes_through(self) -> bool:
        """Whether the guest's SCSI commands go to a device of the host as they are."""
        return self.driver in PASSTHROUGH

    def find_effect(self, setting: str) -> Effect | None:
        """Returns the effect of a setting; None if there is none."""
        return next((effect for effect in self.effects if effect.setting == setting), None)


class HostThread(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A host thread of a running QEMU."""

    serves: str
    """An IOThread's id, or `MAIN_LOOP`."""
    thread_id: int
    """Its host thread id (TID)."""
    cpu_ns: int | None = None
    """Processor time used so far; None if the host does not report it."""


class Topology(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """A whole layout, planned or reported by a running QEMU."""

    iothreads: tuple[IOThread, ...] = ()
    bridges: tuple[Bridge, ...] = ()
    """PCI buses besides the machine's own, each after the one it is attached to."""
    controllers: tuple[Controller, ...] = ()
    dedicated: tuple[str, ...] = ()
    """Ids of controllers that their manager makes for one disk alone each, whose own IOThread can
    serve it then."""
    disks: tuple[AttachedDisk, ...] = ()
    vcpus: int = 1
    default_queues: int | None = None
    """Request queues of a device of which no number is written; None is one for each vCPU."""
    host_threads: tuple[HostThread, ...] = ()
    """Empty for a plan."""

    @cached_property
    def _by_id(self) -> Mapping[str, Controller]:
        return {controller.id: controller for controller in self.controllers}

    def controller_of(self, attached: AttachedDisk) -> Controller:
        """Returns the controller that a disk is attached to.

        Raises:
            KeyError: The disk is not part of this topology.
        """
        return self._by_id[attached.controller]

    def find_controller(self, attached: AttachedDisk) -> Controller | None:
        """Returns the controller of a disk; None for a layout that lacks it."""
        return self._by_id.get(attached.controller)

    def find_disk(self, disk_id: str) -> AttachedDisk | None:
        """Returns the disk with that id; None if there is none."""
        return next((attached for attached in self.disks if attached.disk.id == disk_id), None)

    def name_as_qemu(self) -> Topology:
        """Returns the layout with each disk called what QEMU calls its device."""
        return replace(
            self,
            disks=tuple(
                replace(each, disk=replace(each.disk, id=each.qemu_id), device_id="")
                for each in self.disks
            ),
        )

    def count_queues(self, controller: Controller) -> int:
        """Returns how many request queues a controller has, at most as many as QEMU can create."""
        return count_queues((controller,), self.default_queues or self.vcpus)

    def virtqueues_of(self, controller: Controller) -> tuple[Virtqueue, ...]:
        """Returns a controller's request queues; a device without queues has one entry.

        Source: QEMU 10.0: in a mapping without queue numbers, queue i is assigned to entry i
            modulo the number of entries.
        """
        servers = self._list_servers(controller)
        return tuple(
            Virtqueue(index=index, served_by=servers[index % len(servers)])
            for index in range(self.count_queues(controller))
        )

    def served_by(self, attached: AttachedDisk) -> tuple[str, ...]:
        """Returns what serves a disk's requests, each once: see `Virtqueue.served_by`.

        Nothing for a layout that lacks the disk's controller, as a recording's can.
        """
        controller = self.find_controller(attached)
        return () if controller is None else tuple(dict.fromkeys(self._list_servers(controller)))

    def _list_servers(self, controller: Controller) -> tuple[str, ...]:
        """Returns the threads that serve a controller's queues, in the order of the queues."""
        if not controller.takes_iothread:
            return (controller.served_outside or MAIN_LOOP,)
        mapping = controller.iothread_vq_mapping
        if not mapping:
            return (controller.iothread or MAIN_LOOP,)
        count = self.count_queues(controller)
        explicit = {queue: entry.iothread for entry in mapping for queue in entry.vqs}
        if explicit:
            return tuple(explicit.get(index, MAIN_LOOP) for index in range(count))
        return tuple(entry.iothread for entry in mapping[:count])


def count_queues(controllers: Iterable[Controller], default: int) -> int:
    """Returns how many request queues controllers have, each at most as many as QEMU can create.

    Args:
        controllers: The controllers.
        default: The queues of one of which no number is written; see `choose_default_queues`.
    """
    return sum(
        min(each.num_queues or default, MAX_QUEUES) if each.takes_iothread else 1
        for each in controllers
    )


def choose_default_queues(machine_version: tuple[int, int]) -> int | None:
    """Returns the queues of a PCI device of which no number is written; None is one for each vCPU.

    Source: QEMU 10.0.2, run: machines before 5.2 have one, virtio-blk and virtio-scsi alike.

    Args:
        machine_version: Of the guest's machine; (0, 0) where it is not known.
    """
    return 1 if (0, 0) < machine_version < QUEUE_PER_VCPU_SINCE else None
