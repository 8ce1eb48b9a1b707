"""The storage part of a command line, in both forms that Proxmox writes.

Machines before 10.0 get a `-drive` for each disk. From 10.0 on, each gets a throttle group and a
`-blockdev` of three nodes: throttle over image format over file.

Source: qemu-server 9.2.6.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping

from vmio.errors import PlanError
from vmio.formats.proxmox.argv.context import Argument, render_pci
from vmio.formats.proxmox.drives import LIMITS
from vmio.formats.proxmox.machine import BLOCKDEV_SINCE
from vmio.formats.proxmox.pci import has_scsi_bridge, pci_address
from vmio.formats.proxmox.reader import ProxmoxGuest
from vmio.model.controller import Controller
from vmio.model.disk import FILE_DRIVERS, Backing, Disk
from vmio.model.iothread import PARAMETERS, IOThread
from vmio.model.topology import AttachedDisk, Topology

__all__ = [
    "has_blockdev",
    "is_beyond_14",
    "render_bridges",
    "render_chain",
    "render_drives",
    "render_json",
    "render_objects",
    "render_throttle_group",
]

_ADDRESSABLE = frozenset({"scsi-hd", "scsi-cd"})
_FIRST_SCSI_BEYOND_14 = 14


def has_blockdev(guest: ProxmoxGuest) -> bool:
    """Returns whether the guest's machine is of a version whose disks are `-blockdev`s."""
    return guest.machine.is_at_least(*BLOCKDEV_SINCE)


def is_beyond_14(disk: Disk) -> bool:
    """Returns whether a disk has a number for which early machines have no controller."""
    return disk.bus == "scsi" and disk.index >= _FIRST_SCSI_BEYOND_14


def render_bridges(guest: ProxmoxGuest, topology: Topology) -> Iterator[Argument]:
    """Yields the PCI bridges that no `-readconfig` defines; pci.3 exists without a disk, too."""
    used = {c.pci.bus for c in topology.controllers if c.pci is not None}
    bridges = {"pci.1", "pci.2"} | (used & {"pci.4"})
    if has_scsi_bridge(guest.scsihw):
        bridges.add("pci.3")
    for bridge in sorted(bridges):
        number = bridge.rpartition(".")[2]
        place = bridge
        if bridge == "pci.2" and guest.has_legacy_igd:
            place = "pci.2-igd"
        address = render_pci(pci_address(place, guest.vm.arch))
        yield "-device", f"pci-bridge,id={bridge},chassis_nr={number}{address}"


def render_objects(guest: ProxmoxGuest, topology: Topology) -> Iterator[Argument]:
    """Yields the objects that the drives need, drive by drive, each IOThread first."""
    iothreads = {iothread.id: iothread for iothread in topology.iothreads}
    for attached in topology.disks:
        iothread = iothreads.pop(topology.controller_of(attached).iothread or "", None)
        if iothread is not None:
            yield _render_iothread(iothread)
        if has_blockdev(guest) and attached.disk.backing is not None:
            yield render_throttle_group(attached.disk.id, dict(attached.disk.limits))
    for iothread in iothreads.values():
        yield _render_iothread(iothread)


def _render_iothread(iothread: IOThread) -> Argument:
    """Returns an IOThread with its configured parameters."""
    written = ((name.replace("_", "-"), getattr(iothread, name)) for name in ("id", *PARAMETERS))
    parts = (f"{key}={value}" for key, value in written if value is not None)
    return "-object", ",".join(("iothread", *parts))


def render_throttle_group(drive: str, limits: Mapping[str, int]) -> Argument:
    """Returns the object with a drive's limits, even if there are none."""
    group = {"id": f"throttle-drive-{drive}", "limits": limits, "qom-type": "throttle-group"}
    return "-object", render_json(group)


def render_drives(guest: ProxmoxGuest, topology: Topology) -> Iterator[Argument]:
    """Yields each disk's controller if it is the first disk there, its drive, and its device.

    Raises:
        PlanError: Proxmox would refuse a drive; the error comes in that drive's turn.
    """
    seen: set[str] = set()
    for attached in topology.disks:
        _check_drive(guest, attached.disk)
        controller = topology.controller_of(attached)
        if controller.id not in seen:
            seen.add(controller.id)
            if controller.bus != "virtio" and not controller.built_in:
                yield "-device", _render_controller(guest, attached.disk, controller)
        if not has_blockdev(guest):
            yield "-drive", _render_drive(guest, attached)
        elif attached.disk.backing is not None:
            yield "-blockdev", render_json(_blockdev(guest, attached, attached.disk.backing))
        yield "-device", _render_device(guest, attached, controller)


_encode = json.JSONEncoder(separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode


def _check_drive(guest: ProxmoxGuest, disk: Disk) -> None:
    if is_beyond_14(disk) and not guest.machine.is_at_least(4, 1, 2):
        raise PlanError(
            f"{disk.id}: machine version 4.1~pve2 or higher is required to use more than 14 SCSI"
            " disks"
        )
    is_refused_anyway = disk.snapshot and has_blockdev(guest)
    if disk.backing is not None and disk.backing.error and not is_refused_anyway:
        raise PlanError(disk.backing.error)


def render_json(value: object) -> str:
    """Returns JSON without blanks and with sorted keys."""
    return _encode(value)


def _render_controller(guest: ProxmoxGuest, disk: Disk, controller: Controller) -> str:
    text = f"{controller.model},id={controller.id}"
    if controller.model == "ahci":
        text += ",multifunction=on"
    if controller.pci is not None:
        text += render_pci(controller.pci)
    if controller.iothread is not None:
        text += f",iothread={controller.iothread}"
    if controller.num_queues is not None:
        written = _written(guest, disk, "queues") if disk.queues == controller.num_queues else None
        text += f",num_queues={written or controller.num_queues}"
    return text


def _render_device(guest: ProxmoxGuest, attached: AttachedDisk, controller: Controller) -> str:
    disk = attached.disk
    blockdev = has_blockdev(guest)
    driver = attached.driver
    parts = [driver, *(f"{key}={value}" for key, value in attached.address)]
    if disk.backing is not None or not blockdev:
        parts.append(f"drive=drive-{disk.id}")
    parts.append(f"id={disk.id}")
    if disk.bus == "virtio" and controller.pci is not None:
        parts[-1] += render_pci(controller.pci)
        if controller.iothread is not None:
            parts.append(f"iothread={controller.iothread}")
    if blockdev and driver in _ADDRESSABLE:
        parts.append(f"device_id=drive-{disk.id}")
    parts.extend(_identity(disk, driver))
    if disk.bootindex is not None:
        parts.append(f"bootindex={disk.bootindex}")
    if disk.serial is not None:
        parts.append(f"serial={_escape(disk.serial)}")
    if blockdev:
        if disk.media != "cdrom" and driver != "scsi-generic":
            parts.append(f"write-cache={'on' if attached.write_cache else 'off'}")
        parts.extend(
            f"{key}={value}"
            for key, value in (("rerror", disk.rerror), ("werror", disk.werror))
            if value is not None
        )
    return ",".join(parts)


def _identity(disk: Disk, driver: str) -> Iterator[str]:
    """Yields the properties that identify the disk to the guest, in the order of its bus."""
    is_hd = driver.endswith("-hd")
    if disk.bus == "ide" and is_hd and disk.model is not None:
        yield f"model={_escape(disk.model)}"
    if disk.ssd and is_hd:
        yield "rotation_rate=1"
    if disk.wwn is not None:
        yield f"wwn={disk.wwn}"
    if driver in _ADDRESSABLE:
        if disk.vendor is not None:
            yield f"vendor={disk.vendor}"
        if disk.product is not None:
            yield f"product={disk.product}"


def _escape(text: str) -> str:
    return text.replace(",", ",,")


def _render_drive(guest: ProxmoxGuest, attached: AttachedDisk) -> str:
    disk = attached.disk
    backing = disk.backing
    if backing is not None and backing.discard_no_unref:
        raise PlanError(
            f"storage for '{disk.volume}' is configured for snapshots as a volume chain - this"
            " requires QEMU machine version >= 10.0. See"
            " https://pve.proxmox.com/wiki/QEMU_Machine_Version_Upgrade"
        )
    filename = backing.filename if backing is not None else None
    image_format = backing.format if backing is not None else None
    if disk.media != "cdrom" and disk.volume in {"none", "cdrom"}:
        # Only a cd-rom may be empty or the host's own; for a disk the word is a file name.
        filename, image_format = disk.volume, _written(guest, disk, "format") or "raw"
    parts = [] if filename is None else [f"file={filename}"]
    parts.append(f"if=none,id=drive-{disk.id}")
    is_locked = guest.is_on("template") and disk.bus in {"scsi", "virtio"}
    written = (
        ("media", "cdrom" if disk.media == "cdrom" else _written(guest, disk, "media")),
        ("cache", disk.cache),
        ("rerror", disk.rerror),
        ("werror", disk.werror),
        ("discard", {"unmap": "on", "ignore": "ignore", None: None}[disk.discard]),
        ("snapshot", _on_off(value=disk.snapshot)),
        ("readonly", _on_off(value=disk.read_only if "ro" in disk.spans else None)),
        *((f"throttling.{name}", value) for name, value in _list_limits(guest, disk)),
        ("format", image_format),
        ("cache", "none" if disk.cache is None and attached.cache_direct else None),
        ("aio", attached.aio or disk.aio or "io_uring"),
        ("detect-zeroes", attached.detect_zeroes),
        ("readonly", "on" if is_locked else None),
    )
    parts.extend(f"{key}={value}" for key, value in written if value is not None)
    return ",".join(parts)


def _list_limits(guest: ProxmoxGuest, disk: Disk) -> Iterator[tuple[str, str]]:
    """Yields a disk's limits; those that Proxmox does not compute are unchanged."""
    limits = dict(disk.limits)
    for name, option, factor in LIMITS if limits else ():
        if name in limits:
            written = _written(guest, disk, option) if factor == 1 else None
            yield name, written or str(limits[name])


def _written(guest: ProxmoxGuest, disk: Disk, option: str) -> str | None:
    span = disk.spans.get(option)
    return None if span is None else guest.vm.source.read_span(span).partition("=")[2]


def _on_off(*, value: bool | None) -> str | None:
    return None if value is None else ("on" if value else "off")


def _blockdev(
    guest: ProxmoxGuest, attached: AttachedDisk, backing: Backing
) -> Mapping[str, object]:
    disk = attached.disk
    if disk.snapshot:
        raise PlanError("'snapshot' option is not yet supported for '-blockdev'")
    is_read_only = disk.media == "cdrom" or disk.read_only
    cached: dict[str, object] = {
        "cache": {"direct": attached.cache_direct, "no-flush": attached.cache_no_flush},
        "read-only": is_read_only or guest.is_on("template"),
    }
    if disk.media != "cdrom":
        cached["discard"] = disk.discard or "ignore"
        cached["detect-zeroes"] = attached.detect_zeroes
    return render_chain(
        disk.id,
        disk.volume,
        backing,
        cached,
        attached.aio,
        throttled=not disk.scsiblock,
        parents_read_only=is_read_only,
    )


def render_chain(
    drive: str,
    volume: str,
    backing: Backing,
    cached: Mapping[str, object],
    aio: str | None,
    *,
    throttled: bool = True,
    parents_read_only: bool = False,
    size_bytes: int | None = None,
) -> Mapping[str, object]:
    """Returns a drive's nodes: the throttle over the image's format over the file.

    Args:
        drive: The drive's key.
        volume: The volume as named in the config.
        backing: What is opened.
        cached: The caching, discard and write options of every node; the throttle has no cache.
        aio: The AIO engine of a driver that has the choice.
        throttled: Whether there is a throttle; without one the format has its name.
        parents_read_only: Whether the images beneath are marked read-only; a template marks only
            the topmost.
        size_bytes: The size of a raw image, if it is not that of the file.
    """
    image: dict[str, object] = {}
    for path in (*reversed(backing.parents), backing.filename):
        parent, common = image, cached
        key = _hash_node(drive, volume, "" if path == backing.filename else path)
        if path != backing.filename:
            common = {**cached, "read-only": parents_read_only}
        file = {**common, **dict(backing.options), "driver": backing.driver}
        file["node-name"] = f"e{key}"
        if backing.driver in FILE_DRIVERS:
            file["aio"] = aio
        if not backing.options:
            file["filename"] = path
        image = {**common, "driver": backing.format, "node-name": f"f{key}", "file": file}
        if backing.discard_no_unref:
            image["discard-no-unref"] = True
        if size_bytes is not None and backing.format == "raw":
            image["size"] = size_bytes
        if parent:
            image["backing"] = parent
    name = f"drive-{drive}"
    if not throttled:
        return image | {"node-name": name}
    uncached = {key: value for key, value in cached.items() if key != "cache"}
    throttle = {"driver": "throttle", "node-name": name, "throttle-group": f"throttle-{name}"}
    return uncached | throttle | {"file": image}


_SNAPSHOT_FILE = re.compile(r"(?:snap-)?(.+?)-(?:vm|base)-\d+-disk.*|snap_[^/]*_([^/_]+)\.qcow2")


def _hash_node(drive: str, volume: str, path: str) -> str:
    """Returns the part of a node's name that identifies its drive, volume and snapshot."""
    text = f"drive={drive},"
    if path:
        match = _SNAPSHOT_FILE.fullmatch(path.rpartition("/")[2])
        snapshot = (match[1] or match[2]) if match else path.rpartition("/")[2]
        text += f"snap={snapshot},"
    text += f"volid={volume}"
    return hashlib.sha256(text.encode()).hexdigest()[:30]
