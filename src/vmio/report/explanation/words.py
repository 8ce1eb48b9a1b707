"""The words for the stages of a disk's path, its settings, and what the guest sees."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from vmio.lint.explain import ServingThread, Setting, Way
from vmio.model.actor import Actor
from vmio.model.controller import Controller
from vmio.model.disk import NETWORK_DRIVERS
from vmio.model.iothread import HOST_KERNEL, MAIN_LOOP, OTHER_PROCESS
from vmio.model.topology import AttachedDisk

__all__ = [
    "Stage",
    "describe_remedies",
    "describe_setting",
    "list_sights",
    "list_stages",
    "name_actor",
    "name_controller",
    "name_source",
    "name_thread",
]

_ACTORS: Final[Mapping[Actor, str]] = {
    "guest": "the guest",
    "libvirt": "libvirt",
    "proxmox": "Proxmox VE",
    "qemu": "QEMU",
}
_SETTINGS: Final[Mapping[str, str]] = {
    "aio": "the engine that hands requests to the host's kernel",
    "backup": "whether a backup includes the disk; not passed to QEMU",
    "bootindex": "the position in the firmware's boot order",
    "cache": "the host's page cache and flushes; for the guest, whether it has to flush",
    "detect_zeroes": "checks whether a write is all zeroes",
    "discard": "passes on the guest's trims",
    "file": "finds the path of the volume, which QEMU opens",
    "format": "the image format",
    "iothread": "the thread that serves the controller",
    "media": "a disk or a cd-rom",
    "model": "the name that the disk reports",
    "product": "the name that the disk reports",
    "queues": "request queues of the controller",
    "read_only": "refuses writes",
    "replicate": "whether replication includes the disk; not passed to QEMU",
    "rerror": "the reaction to a failed read",
    "scsiblock": "passes the guest's SCSI commands to the host's device",
    "serial": "the serial number that the disk reports, as in /dev/disk/by-id",
    "shared": "whether every node has the volume; not passed to QEMU",
    "size": "informational; QEMU asks the volume itself",
    "snapshot": "discards all writes at the end",
    "ssd": "sees a disk that does not rotate",
    "vendor": "the name that the disk reports",
    "werror": "the reaction to a failed write",
    "write_cache": "whether it has to flush",
    "wwn": "the world wide name that the disk reports",
}
"""The use that QEMU, the guest or the manager makes of a setting."""
_SERVERS: Final = {
    MAIN_LOOP: "the main loop",
    OTHER_PROCESS: "another process",
    HOST_KERNEL: "the host's kernel",
}
"""What serves a disk where no IOThread does."""
_LIMITS: Final = "throttles the disk"
_MOST_NAMES: Final = 64
"""More than Proxmox VE puts on a controller or an IOThread."""


_WHY_QUEUES: Final = {
    False: "one for each vCPU",
    True: "as machines before 5.2 have it",
}
"""Why there are so many request queues where no number is written."""


class Stage(NamedTuple):
    """One stage on the path of a request."""

    name: str
    text: str


def name_actor(actor: Actor) -> str:
    """Returns who uses, drops or chose a setting."""
    return _ACTORS.get(actor, actor)


def describe_setting(setting: Setting) -> str:
    """Returns why a setting is ignored, or what it is used for."""
    if setting.verdict == "ignored":
        return setting.reason
    return _SETTINGS.get(setting.name, _LIMITS)


def describe_remedies(setting: Setting) -> Iterator[str]:
    """Yields how to make a setting take effect, or improve it."""
    for finding in setting.remedies:
        if finding.fix is not None:
            yield f"{finding.code}: {finding.fix.message}"


def list_stages(way: Way) -> Iterator[Stage]:
    """Yields the stages from the volume to the threads."""
    disk, backing = way.attached.disk, way.attached.disk.backing
    volume = _name_volume(way.attached)
    if volume:
        yield Stage("volume", volume)
    yield Stage("opened", _name_file(way.attached))
    if backing is not None:
        if backing.parents:
            yield Stage("over", ", ".join(backing.parents))
        yield from _list_engines(way.attached)
    if disk.limits and not way.attached.passes_through:
        yield Stage("limits", ", ".join(f"{key} {value}" for key, value in disk.limits))
    yield from _list_devices(way)


def name_source(attached: AttachedDisk) -> str:
    """Returns a disk's volume, or the file that QEMU opens."""
    return _name_volume(attached) or _name_file(attached)


def name_controller(controller: Controller) -> str:
    """Returns a controller and its address."""
    place = "part of the machine" if controller.built_in else "at an address of QEMU's choice"
    place += f" on {controller.pci_bus}" if controller.pci_bus else ""
    place = f"at {controller.pci}" if controller.pci is not None else place
    return f"{controller.id} ({controller.model}), {place}"


def name_thread(thread: ServingThread) -> str:
    """Returns a thread, with its host thread id if known."""
    number = f" (thread {thread.thread_id})" if thread.thread_id is not None else ""
    name = _SERVERS.get(thread.id, f"the IOThread {thread.id}")
    return f"{name}{number}"


def list_sights(way: Way) -> Iterator[str]:
    """Yields what the guest sees of a disk."""
    attached, disk = way.attached, way.attached.disk
    what = "cd drive" if attached.driver.endswith("-cd") else "disk"
    buses = {"virtio": "virtio", "nvme": "NVMe", "usb": "USB"}
    kind = buses.get(disk.bus, "SCSI" if disk.bus == "scsi" else "ATA")
    yield (
        f"a {kind} {what} behind the {way.controller.model}"
        if kind != "virtio"
        else f"a virtio disk (/dev/vdX in Linux), {_name_transport(way.controller)} of its own"
    )
    if way.is_renamed_by_linux:
        yield (
            "in Linux a /dev/sdX that can have another letter from boot to boot, since other disks"
            " are on other controllers: UUID, label and /dev/disk/by-id stay"
        )
    if attached.write_cache is not None and disk.media == "disk":
        yield (
            "a volatile write cache, so it has to flush"
            if attached.write_cache
            else "no write cache: each write is on stable storage when it is answered"
        )
    if disk.ssd:
        yield "a disk that does not rotate"
    if disk.discard == "unmap":
        yield "a disk that takes trims, and the storage gets the space back"
    if disk.serial is not None:
        yield f"the serial number {disk.serial}"
    if disk.read_only:
        yield "a disk that refuses writes"


def _name_transport(controller: Controller) -> str:
    """Returns what a virtio device is to the guest."""
    if "-ccw" in controller.model:
        return "a CCW device"
    return "an MMIO device" if controller.model.endswith("-device") else "a PCI device"


def _name_volume(attached: AttachedDisk) -> str:
    disk, backing = attached.disk, attached.disk.backing
    if not disk.volume or (backing is not None and disk.volume == backing.filename):
        return ""
    where = ""
    if backing is not None and backing.storage:
        kind = f"{backing.storage_type} " if backing.storage_type else ""
        where = f", on the {kind}storage {backing.storage}"
    return f"{disk.volume}{where}"


def _name_file(attached: AttachedDisk) -> str:
    backing = attached.disk.backing
    if backing is None:
        return "nothing: an empty drive"
    if backing.driver.startswith("vhost-"):
        what = "the socket" if backing.driver.startswith("vhost-user-") else "the target"
        return f"not by QEMU: it hands the queues over to {what} {backing.filename or '?'}"
    kind = backing.format or "a format that QEMU detects itself"
    return f"{backing.filename} as {kind}, by the driver {backing.driver}"


def _list_engines(attached: AttachedDisk) -> Iterator[Stage]:
    backing = attached.disk.backing
    if attached.passes_through:
        yield Stage("cache", "none of the host's: SCSI commands go to the device as they are")
        yield Stage("engine", "worker threads, one for each SCSI command under way (SG_IO)")
        return
    if attached.cache_direct is not None:
        direct = "bypasses" if attached.cache_direct else "goes through"
        flushes = "are dropped" if attached.cache_no_flush else "reach the storage"
        mode = attached.cache or "a mixture"
        way = f"{direct} the host's page cache"
        if backing is not None and backing.driver in NETWORK_DRIVERS:
            way = f"the host's page cache has no part in what {backing.driver} does over a network"
        yield Stage("cache", f"{mode}: {way}, and the guest's flushes {flushes}")
    if attached.disk.snapshot:
        yield Stage("snapshot", "writes go to a temporary file; the file behind is only read")
    if attached.aio is not None:
        yield Stage("engine", attached.aio)
    elif attached.disk.backing is not None and attached.disk.aio is None:
        yield Stage("engine", f"chosen by {attached.disk.backing.driver}, or not known")


def _list_devices(way: Way) -> Iterator[Stage]:
    attached, controller = way.attached, way.controller
    address = ", ".join(f"{key} {value}" for key, value in attached.address)
    yield Stage("device", f"{attached.driver}{f' at {address}' if address else ''}")
    sharing = list(way.on_controller)
    sharing.remove(attached.disk.id)
    with_others = f", shared with {_name_some(sharing)}" if sharing else ""
    yield Stage("controller", f"{name_controller(controller)}{with_others}")
    if controller.takes_iothread:
        why = "as written" if controller.num_queues is not None else _WHY_QUEUES[way.has_one_queue]
        yield Stage("queues", f"{way.queue_count}, {why}")
    for thread in way.threads:
        served = " and ".join(map(str, thread.queues))
        part = f", on queue {served}" if len(thread.queues) < way.queue_count else ""
        yield Stage("thread", f"{name_thread(thread)}, {_describe_load(thread)}{part}")


def _describe_load(thread: ServingThread) -> str:
    if thread.id == MAIN_LOOP:
        return "with the monitor and every other emulated device"
    if thread.id in _SERVERS:
        return "to which QEMU hands the queues: none of its threads sees a request"
    if len(thread.disks) == 1:
        return "for this disk alone"
    return f"which serves {_name_some(thread.disks)}"


def _name_some(names: Sequence[str]) -> str:
    """Returns the first names of disks, and the number of the others."""
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
