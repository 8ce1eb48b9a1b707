"""A layout as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypedDict

from vmio.model.controller import Controller
from vmio.model.disk import AioEngine, BusKind, CacheMode, DetectZeroes, Media
from vmio.model.iothread import MAIN_LOOP, IOThread
from vmio.model.topology import AttachedDisk, Topology, Verdict
from vmio.report.envelope import Count, GuestData, render_document
from vmio.report.layout.guest import ShownGuest

__all__ = [
    "LayoutData",
    "LayoutsData",
    "TopologyData",
    "describe_topology",
    "render_layouts_json",
    "render_topology_json",
]


class IOThreadData(TypedDict):
    """An IOThread; a parameter that is null has QEMU's default."""

    id: str
    poll_max_ns: Count | None
    poll_grow: Count | None
    poll_shrink: Count | None
    poll_weight: Count | None
    aio_max_batch: Count | None
    thread_pool_min: Count | None
    thread_pool_max: Count | None


class VirtqueueData(TypedDict):
    """A request queue of a controller."""

    index: Count
    served_by: str
    """The IOThread, or `main loop`; of vhost devices `another process` or `the host's kernel`."""


class ControllerData(TypedDict):
    """A controller; a virtio-blk disk has one of its own."""

    id: str
    model: str
    """QEMU's device."""
    bus: BusKind
    pci_address: str | None
    """null if QEMU chooses it, or if the controller is part of the machine."""
    iothread: str | None
    """The IOThread assigned to it."""
    num_queues: Count | None
    """Request queues as configured; null: one for each vCPU."""
    virtqueues: list[VirtqueueData]
    """Empty for a controller that takes no IOThread."""


class SettingData(TypedDict):
    """A setting of a disk, and its effect."""

    setting: str
    value: str
    """The value in force; empty if it has no effect."""
    effect: Verdict
    """`default`: not set in the config."""
    reason: str


class DiskData(TypedDict):
    """A disk, and the thread that serves it; null means not known."""

    id: str
    bus: BusKind
    media: Media
    device: str
    """QEMU's device."""
    volume: str
    """The volume, as the config names it."""
    file: str | None
    """The file that QEMU opens; null for an empty drive."""
    format: str | None
    controller: str
    """The controller's id."""
    address: dict[str, str | int]
    """Address on its bus, such as `scsi-id` and `lun`."""
    served_by: list[str]
    """IOThreads, or `main loop`; of vhost devices `another process` or `the host's kernel`."""
    in_main_loop: bool
    cache: CacheMode | None
    cache_direct: bool | None
    """Whether the host's page cache is bypassed."""
    cache_no_flush: bool | None
    """Whether the guest's flushes are dropped."""
    write_cache: bool | None
    """Whether the guest sees a volatile write cache."""
    aio: AioEngine | None
    detect_zeroes: DetectZeroes | None
    settings: list[SettingData]


class HostThreadData(TypedDict):
    """A host thread of a running QEMU."""

    serves: str
    """An IOThread's id, or `main loop`."""
    thread_id: Count
    cpu_ns: Count | None
    """Processor time since the thread started; null if it cannot be read."""


class TopologyData(TypedDict):
    """Disks, controllers and threads, and which thread serves which disk."""

    vcpus: Count
    iothreads: list[IOThreadData]
    controllers: list[ControllerData]
    disks: list[DiskData]
    host_threads: list[HostThreadData]
    """Empty for a guest that is not running."""


class LayoutData(GuestData, TopologyData):
    """The layout of one guest."""


class ShownGuestData(GuestData):
    """One guest of several."""

    path: str
    """Its config, or `pid:NUMBER`."""
    node: str
    """The guest's host; empty if not known."""
    layout: TopologyData | None
    """null if the guest cannot be read."""
    error: str | None
    """Why it cannot be read."""


class LayoutsData(TypedDict):
    """The layouts of several guests."""

    guests: list[ShownGuestData]


def render_topology_json(topology: Topology, *, vm: str, origin: str) -> str:
    """Returns a layout as a document.

    Args:
        topology: The layout.
        vm: The guest's name.
        origin: `plan`, `command` or `running`.
    """
    data: LayoutData = {"vm": vm, "origin": origin, **describe_topology(topology)}
    return render_document("layout", data)


def render_layouts_json(guests: Iterable[ShownGuest]) -> str:
    """Returns the layouts of several guests as a document."""
    data: LayoutsData = {"guests": [_describe_guest(guest) for guest in guests]}
    return render_document("layouts", data)


def _describe_guest(guest: ShownGuest) -> ShownGuestData:
    topology, error = guest.topology, guest.error
    return {
        "vm": guest.name,
        "origin": guest.origin,
        "path": guest.path,
        "node": guest.node,
        "layout": describe_topology(topology) if topology is not None else None,
        "error": error.message if error is not None else None,
    }


def describe_topology(topology: Topology) -> TopologyData:
    """Returns a layout's data."""
    return {
        "vcpus": topology.vcpus,
        "iothreads": [_describe_iothread(iothread) for iothread in topology.iothreads],
        "controllers": [_describe_controller(each, topology) for each in topology.controllers],
        "disks": [_describe_disk(attached, topology) for attached in topology.disks],
        "host_threads": [
            {"serves": thread.serves, "thread_id": thread.thread_id, "cpu_ns": thread.cpu_ns}
            for thread in topology.host_threads
        ],
    }


def _describe_iothread(iothread: IOThread) -> IOThreadData:
    return {
        "id": iothread.id,
        "poll_max_ns": iothread.poll_max_ns,
        "poll_grow": iothread.poll_grow,
        "poll_shrink": iothread.poll_shrink,
        "poll_weight": iothread.poll_weight,
        "aio_max_batch": iothread.aio_max_batch,
        "thread_pool_min": iothread.thread_pool_min,
        "thread_pool_max": iothread.thread_pool_max,
    }


def _describe_controller(controller: Controller, topology: Topology) -> ControllerData:
    return {
        "id": controller.id,
        "model": controller.model,
        "bus": controller.bus,
        "pci_address": str(controller.pci) if controller.pci is not None else None,
        "iothread": controller.iothread,
        "num_queues": controller.num_queues,
        "virtqueues": [
            {"index": queue.index, "served_by": queue.served_by}
            for queue in topology.virtqueues_of(controller)
        ]
        if controller.takes_iothread
        else [],
    }


def _describe_disk(attached: AttachedDisk, topology: Topology) -> DiskData:
    disk = attached.disk
    served_by = topology.served_by(attached)
    return {
        "id": disk.id,
        "bus": disk.bus,
        "media": disk.media,
        "device": attached.driver,
        "volume": disk.volume,
        "file": disk.backing.filename if disk.backing is not None else None,
        "format": disk.backing.format if disk.backing is not None else None,
        "controller": attached.controller,
        "address": dict(attached.address),
        "served_by": list(served_by),
        "in_main_loop": MAIN_LOOP in served_by,
        "cache": attached.cache,
        "cache_direct": attached.cache_direct,
        "cache_no_flush": attached.cache_no_flush,
        "write_cache": attached.write_cache,
        "aio": attached.aio,
        "detect_zeroes": attached.detect_zeroes,
        "settings": [
            {
                "setting": effect.setting,
                "value": effect.value,
                "effect": effect.verdict,
                "reason": effect.reason,
            }
            for effect in attached.effects
        ],
    }
