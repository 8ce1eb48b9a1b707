"""Which thread serves which disk: the way from disk to controller to virtqueue to event loop."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Literal

from msgspec import Struct

from vmio.bounds import MAX_QUEUES
from vmio.model.controller import QUEUE_PER_VCPU_SINCE, Bridge, Controller
from vmio.model.disk import PASSTHROUGH, AioEngine, CacheMode, DetectZeroes, Disk
from vmio.model.iothread import MAIN_LOOP, IOThread

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
    """What became of one setting of one disk."""

    setting: str
    value: str
    """What is in force, in the notation's words; empty where the setting does nothing."""
    verdict: Verdict
    """used: written and in force; ignored: written in vain; default: not written."""
    reason: str = ""


class Virtqueue(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One request queue of a controller and what serves it."""

    index: int
    served_by: str
    """An IOThread's id, `MAIN_LOOP`, `OTHER_PROCESS` or `HOST_KERNEL`."""


class AttachedDisk(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A disk in its place, with what its cache and aio settings came to."""

    disk: Disk
    controller: str
    """The controller's id."""
    address: tuple[tuple[str, str | int], ...] = ()
    """The device's properties that say where on the controller it sits, in QEMU's order."""
    driver: str = ""
    """QEMU's device name of the disk itself, such as scsi-hd."""
    cache: CacheMode | None = None
    """The cache mode in force; None where it is not known."""
    cache_direct: bool | None = None
    """O_DIRECT: whether the host's page cache is bypassed."""
    cache_no_flush: bool | None = None
    write_cache: bool | None = None
    aio: AioEngine | None = None
    """The engine in force; None where there is nothing to open or it is not known."""
    detect_zeroes: DetectZeroes | None = None
    read_only: bool = False
    """Whether it is only read: a cd-rom, a template's disk, or as the config says."""
    effects: tuple[Effect, ...] = ()

    @property
    def passes_through(self) -> bool:
        """Whether the guest's SCSI commands go to a device of the host as they are."""
        return self.driver in PASSTHROUGH

    def find_effect(self, setting: str) -> Effect | None:
        """Returns what became of a setting, None if there is nothing to say of it."""
        return next((effect for effect in self.effects if effect.setting == setting), None)


class HostThread(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A thread of a running QEMU on its host."""

    serves: str
    """An IOThread's id, or `MAIN_LOOP`."""
    thread_id: int
    """Its id on the host (TID)."""
    cpu_ns: int | None = None
    """Processor time it has used so far; None where the host does not say."""


class Topology(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """A whole layout, planned or as a running QEMU reports it."""

    iothreads: tuple[IOThread, ...] = ()
    bridges: tuple[Bridge, ...] = ()
    """The PCI buses besides the machine's own, each behind the one that it sits on."""
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
        """Returns the controller that a disk hangs on.

        Raises:
            KeyError: The disk is not of this topology.
        """
        return self._by_id[attached.controller]

    def find_disk(self, disk_id: str) -> AttachedDisk | None:
        """Returns the disk of that id, None if there is none."""
        return next((attached for attached in self.disks if attached.disk.id == disk_id), None)

    def count_queues(self, controller: Controller) -> int:
        """Returns how many request queues a controller has, no more than QEMU can make."""
        return count_queues((controller,), self.default_queues or self.vcpus)

    def virtqueues_of(self, controller: Controller) -> tuple[Virtqueue, ...]:
        """Returns a controller's request queues; one stands for the whole of a device without any.

        Source: QEMU 10.0: in a mapping without queue numbers, queue i goes to entry i modulo the
        number of entries.
        """
        servers = self._list_servers(controller)
        return tuple(
            Virtqueue(index=index, served_by=servers[index % len(servers)])
            for index in range(self.count_queues(controller))
        )

    def served_by(self, attached: AttachedDisk) -> tuple[str, ...]:
        """Returns what serves a disk's requests, each once: see `Virtqueue.served_by`."""
        return tuple(dict.fromkeys(self._list_servers(self.controller_of(attached))))

    def _list_servers(self, controller: Controller) -> tuple[str, ...]:
        """Returns what serves a controller's queues, which take them in turn."""
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
    """Returns how many request queues controllers have, each no more than QEMU can make.

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
