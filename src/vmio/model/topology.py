"""Which thread serves which disk: the path from disk to controller to virtqueue to event loop."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from attrs import field, frozen

from vmio.bounds import MAX_QUEUES
from vmio.model.controller import Bridge, Controller
from vmio.model.disk import AioEngine, CacheMode, DetectZeroes, Disk
from vmio.model.iothread import MAIN_LOOP, IOThread

__all__ = [
    "AttachedDisk",
    "Effect",
    "HostThread",
    "Topology",
    "Verdict",
    "Virtqueue",
    "count_queues",
]

Verdict = Literal["used", "ignored", "default"]


@frozen(kw_only=True)
class Effect:
    """The effect of one setting of one disk."""

    setting: str
    value: str
    """The value in force, in the notation's words; empty if the setting has no effect."""
    verdict: Verdict
    """used: set and in force; ignored: set without effect; default: not set."""
    reason: str = ""


@frozen(kw_only=True)
class Virtqueue:
    """One request queue of a controller and the thread that serves it."""

    index: int
    served_by: str
    """An IOThread's id, or `MAIN_LOOP`."""


@frozen(kw_only=True)
class AttachedDisk:
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

    def find_effect(self, setting: str) -> Effect | None:
        """Returns the effect of a setting; None if there is none."""
        return next((effect for effect in self.effects if effect.setting == setting), None)


@frozen(kw_only=True)
class HostThread:
    """A host thread of a running QEMU."""

    serves: str
    """An IOThread's id, or `MAIN_LOOP`."""
    thread_id: int
    """Its host thread id (TID)."""
    cpu_ns: int | None = None
    """Processor time used so far; None if the host does not report it."""


@frozen(kw_only=True)
class Topology:
    """A whole layout, planned or reported by a running QEMU."""

    iothreads: tuple[IOThread, ...] = ()
    bridges: tuple[Bridge, ...] = ()
    """PCI buses besides the machine's own, each after the one it is attached to."""
    controllers: tuple[Controller, ...] = ()
    disks: tuple[AttachedDisk, ...] = ()
    vcpus: int = 1
    host_threads: tuple[HostThread, ...] = ()
    """Empty for a plan."""
    _by_id: Mapping[str, Controller] = field(init=False, eq=False, repr=False)

    @_by_id.default
    def _index_controllers(self) -> Mapping[str, Controller]:
        return {controller.id: controller for controller in self.controllers}

    def controller_of(self, attached: AttachedDisk) -> Controller:
        """Returns the controller that a disk is attached to.

        Raises:
            KeyError: The disk is not part of this topology.
        """
        return self._by_id[attached.controller]

    def find_disk(self, disk_id: str) -> AttachedDisk | None:
        """Returns the disk with that id; None if there is none."""
        return next((attached for attached in self.disks if attached.disk.id == disk_id), None)

    def count_queues(self, controller: Controller) -> int:
        """Returns how many request queues a controller has, at most as many as QEMU can create."""
        return count_queues((controller,), self.vcpus)

    def virtqueues_of(self, controller: Controller) -> tuple[Virtqueue, ...]:
        """Returns a controller's request queues; a device without queues has one entry.

        Source: QEMU 10.0: in a mapping without queue numbers, queue i is assigned to entry i
            modulo
        the number of entries.
        """
        servers = self._list_servers(controller)
        return tuple(
            Virtqueue(index=index, served_by=servers[index % len(servers)])
            for index in range(self.count_queues(controller))
        )

    def served_by(self, attached: AttachedDisk) -> tuple[str, ...]:
        """Returns the threads that serve a disk: IOThread ids, or `MAIN_LOOP`, each once."""
        return tuple(dict.fromkeys(self._list_servers(self.controller_of(attached))))

    def _list_servers(self, controller: Controller) -> tuple[str, ...]:
        """Returns the threads that serve a controller's queues, in the order of the queues."""
        if not controller.takes_iothread:
            return (MAIN_LOOP,)
        mapping = controller.iothread_vq_mapping
        if not mapping:
            return (controller.iothread or MAIN_LOOP,)
        count = self.count_queues(controller)
        explicit = {queue: entry.iothread for entry in mapping for queue in entry.vqs}
        if explicit:
            return tuple(explicit.get(index, MAIN_LOOP) for index in range(count))
        return tuple(entry.iothread for entry in mapping[:count])


def count_queues(controllers: Iterable[Controller], vcpus: int) -> int:
    """Returns how many request queues controllers have, each at most as many as QEMU can create.

    Source: QEMU 10.0: num-queues of a PCI device defaults to the number of vCPUs.
    """
    return sum(
        min(each.num_queues or vcpus, MAX_QUEUES) if each.takes_iothread else 1
        for each in controllers
    )
