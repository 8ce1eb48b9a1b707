"""What libvirt refuses of a domain, in its own words.

Source: libvirt 11.3.0, run with domains that each have one fault; 9.0.0 says the same of what it
knows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from vmio.formats.libvirt.domain import (
    Controller,
    Disk,
    Domain,
    DriveAddress,
    Image,
    Phase,
    Refusal,
)
from vmio.formats.libvirt.places import PER_CONTROLLER, Place, Placed, is_q35
from vmio.formats.libvirt.sources import (
    check_copies,
    check_passed_on,
    check_servers,
    check_vhost_user,
)
from vmio.model.iothread import VirtqueueMapping
from vmio.model.source import Span
from vmio.patterns import compile_late

__all__ = ["find_refusals"]

_NOWHERE: Final = Span(0, 0)
_SERIAL = compile_late(r"[A-Za-z0-9 _.+-]*", re.ASCII)
_PRINTABLE = compile_late(r"[\x20-\x7e]*", re.ASCII)
_MOST_VENDOR: Final = 8
_MOST_PRODUCT: Final = 16
_MOST_LIMIT: Final = 1_000_000_000_000_000
_MODES: Final = ("ioeventfd", "event_idx")
_OPTIONS: Final = ("iommu", "ats", "packed")
_FORMATS: Final = frozenset(
    "raw bochs cloop dmg qcow qcow2 qed vdi vmdk vpc ploop aio fat".split()  # noqa: SIM905
)
_WRITTEN_OFF: Final = {
    "iso": "storage format 'iso' is not directly supported by QEMU, use 'raw' instead",
    "dir": "'directory' storage format is not directly supported by QEMU, use 'dir' disk type"
    " instead",
    "cow": "'cow' storage format is not supported",
}
_NOT_VIRTIO: Final = frozenset({"drive", "isa", "spapr-vio", "unassigned", "usb"})
_NOT_DRIVE: Final = frozenset({"ccw", "isa", "pci", "spapr-vio", "usb", "virtio-mmio"})
_SHARED_FORMATS: Final = frozenset({"raw", "aio"})
_SCSI_MODELS: Final = frozenset(
    """
    auto buslogic lsilogic lsisas1068 vmpvscsi ibmvscsi virtio-scsi lsisas1078
    virtio-transitional virtio-non-transitional ncr53c90 dc390 am53c974
    """.split()  # noqa: SIM905
)


def find_refusals(domain: Domain, placed: Placed) -> tuple[Refusal, ...]:
    """Returns why libvirt refuses a domain, in the order in which it finds it."""
    found = [*domain.refusals, *_check(domain, placed)]
    return tuple(sorted(found, key=lambda each: each.phase))


def _check(domain: Domain, placed: Placed) -> Iterator[Refusal]:
    if not domain.name:
        yield Refusal(phase=0, message="missing name information", span=_NOWHERE)
    if domain.firmware and not _has_acpi(domain):
        message = "UEFI requires ACPI on this architecture"
        yield Refusal(phase=2, message=message, span=_NOWHERE)
    for disk in domain.disks:
        for phase, message in _check_disk(domain, disk):
            yield Refusal(phase=phase, message=message, span=disk.span, subject=disk.target)
    for controller in domain.controllers:
        span = controller.span or _NOWHERE
        for phase, message in _check_controller(domain, controller):
            yield Refusal(phase=phase, message=message, span=span)
    for place in placed.places:
        for phase, message in _check_address(domain, placed, place):
            yield Refusal(
                phase=phase, message=message, span=place.disk.span, subject=place.disk.target
            )
    yield from _check_doubles(domain, placed)


def _has_acpi(domain: Domain) -> bool:
    return domain.root is not None and domain.root.find_path("features", "acpi") is not None


_Found = Iterator[tuple[Phase, str]]


def _check_disk(domain: Domain, disk: Disk) -> _Found:
    for message in check_vhost_user(disk):
        yield 2, message
    yield from _check_bus(disk)
    yield from _check_names(disk)
    yield from _check_threads(domain, disk)
    yield from _check_virtio(disk)
    yield from _check_medium(domain, disk)
    yield from _check_formats(disk)
    yield from _check_limits(domain, disk)
    for check in (check_passed_on, check_copies, check_servers):
        for message in check(disk):
            yield 2, message


def _check_bus(disk: Disk) -> _Found:
    if disk.device == "floppy" and disk.bus != "fdc":
        yield 0, f"Invalid bus type '{disk.bus}' for floppy disk"
    elif disk.device != "floppy" and disk.bus == "fdc":
        yield 0, f"Invalid bus type 'fdc' for {disk.device}"
    is_scsi_cd = disk.bus == "scsi" and disk.device == "cdrom"
    if disk.removable and (disk.bus not in {"usb", "scsi"} or is_scsi_cd):
        yield 0, "removable is only valid for usb or scsi disks"
    if disk.tray and not disk.is_removable_medium:
        yield 2, "tray is only valid for cdrom and floppy"
    if disk.bus == "usb" and disk.image.is_empty:
        yield 2, "'usb' disk must not be empty"
    if disk.device == "cdrom" and disk.bus == "virtio":
        yield 2, f"disk type of '{disk.target}' does not support ejectable media"
    if disk.bus in {"xen", "uml"}:
        yield 2, f"unsupported disk bus '{disk.bus}' with device setup"
    yield from _check_kind(disk)


def _check_kind(disk: Disk) -> _Found:
    if disk.rotation_rate:
        if disk.bus not in {"scsi", "ide", "sata"}:
            yield 2, "rotation rate is only valid for SCSI/IDE/SATA bus"
        elif disk.device != "disk":
            yield 2, "rotation rate is only valid for disk device"
    if disk.model and disk.bus != "virtio":
        yield 2, f"disk model '{disk.model}' not supported for bus '{disk.bus}'"


def _check_names(disk: Disk) -> _Found:
    if disk.product and disk.bus not in {"scsi", "ide", "sata"}:
        yield 2, "Only ide, sata and scsi disk supports 'product'"
    for name, value, most in (
        ("vendor", disk.vendor, _MOST_VENDOR),
        ("product", disk.product, _MOST_PRODUCT),
    ):
        if not value:
            continue
        if not _PRINTABLE.fullmatch(value):
            yield 0, f"disk {name} is not printable string"
        elif len(value) > most and (name == "vendor" or disk.bus == "scsi"):
            yield 2, f"disk {name} is more than {most} characters"
    if disk.vendor and disk.bus != "scsi":
        yield 2, "Only scsi disk supports 'vendor'"
    if disk.wwn and disk.bus not in {"ide", "scsi"}:
        yield 2, "Only ide and scsi disk support wwn"
    if not _SERIAL.fullmatch(disk.serial):
        yield 2, f"driver serial '{disk.serial}' contains unsafe characters"
    name = disk.driver.get("name", "qemu")
    if name != "qemu":
        yield 2, f"unsupported driver name '{name}' for disk '{disk.target}'"


def _check_threads(domain: Domain, disk: Disk) -> _Found:
    thread = disk.driver.get("iothread")
    if thread is not None and disk.mapping:
        said = "can't be used together with 'iothreads' subelement"
        yield 0, f"disk driver 'iothread' attribute {said}"
    if thread is None and not disk.mapping:
        return
    if disk.image.kind == "vhostuser":
        yield 2, "iothread is not supported with vhostuser disk"
    elif disk.bus != "virtio":
        yield 2, f"IOThreads not available for bus {disk.bus} target {disk.target}"
    elif thread is not None and int(thread) not in domain.thread_numbers:
        yield 2, f"Disk iothread '{thread}' not defined in iothreadid"
    elif disk.mapping:
        queues = int(disk.driver.get("queues", "0"))
        yield from _check_mapping(domain, disk.mapping, queues)


def _check_mapping(domain: Domain, mapping: tuple[VirtqueueMapping, ...], queues: int) -> _Found:
    """Yields what is wrong with a mapping of queues to threads."""
    seen: set[str] = set()
    served: set[int] = set()
    explicit = bool(mapping[0].vqs)
    for entry in mapping:
        number = entry.iothread.removeprefix("iothread")
        if entry.iothread in seen:
            yield 2, f"duplicate mapping for iothread '{number}'"
            return
        seen.add(entry.iothread)
        if int(number) not in domain.thread_numbers:
            yield 2, f"iothread '{number}' not defined in iothreadid"
            return
        if bool(entry.vqs) != explicit:
            yield 2, "iothread to queue mapping must be provided for all iothreads or for none"
            return
        if explicit and not queues:
            yield 2, "'queue' count must be configured for explicit iothread to queue mapping"
            return
        for queue in entry.vqs:
            if queue >= queues:
                yield 2, f"iothread queue '{queue}' mapping out of range"
                return
            if queue in served:
                yield 2, f"iothread queue '{queue}' is already assigned"
                return
            served.add(queue)
    if explicit and len(served) < queues:
        missing = next(queue for queue in range(queues) if queue not in served)
        yield 2, f"missing iothread mapping for queue '{missing}'"


def _check_virtio(disk: Disk) -> _Found:
    if disk.bus == "virtio":
        return
    own = disk.driver
    for name in _MODES:
        if name in own:
            yield 2, f"disk {name} mode supported only for virtio bus"
    for name in _OPTIONS:
        if name in own:
            yield 2, f"{name} driver option is only supported for virtio devices"
    if "page_per_vq" in own:
        yield 2, "page_per_vq option is only supported for virtio devices"
    if "queues" in own:
        yield 2, "queues attribute in disk driver element is only supported for virtio bus"
    if "queue_size" in own:
        yield 2, "queue_size attribute in disk driver is only supported for virtio bus"


def _check_medium(domain: Domain, disk: Disk) -> _Found:
    own = disk.driver
    if own.get("rerror_policy") == "enospace":
        yield 2, "Invalid disk read error policy: 'enospace'"
    if own.get("io") == "native" and own.get("cache") not in {"none", "directsync"}:
        yield 2, "io='native' needs either no disk cache or directsync cache mode"
    if own.get("copy_on_read") == "on" and disk.read_only:
        yield 2, f"copy_on_read is not compatible with read-only disk '{disk.target}'"
    if disk.shareable and disk.image.format not in _SHARED_FORMATS:
        said = f"shared access for disk '{disk.target}' requires use of supported storage format"
        yield 2, said
    if disk.read_only and disk.device == "disk" and disk.bus in {"ide", "sata"}:
        yield 2, f"readonly {disk.bus} disks are not supported"
    if disk.image.kind == "vhostuser" and not domain.shares_memory:
        yield 2, "'vhostuser' requires shared memory"
    if disk.image.kind == "vhostvdpa":
        yield 2, "vhostvdpa disk is not supported with this QEMU binary"
    if disk.image.kind == "dir" and not disk.read_only and disk.image.format == "fat":
        yield 2, "virtual FAT storage can't be accessed in read-write mode"
    if disk.device == "lun":
        yield from _check_lun(disk)


def _check_lun(disk: Disk) -> _Found:
    if disk.bus == "virtio":
        yield 2, "This QEMU doesn't support SCSI emulation with 'virtio-blk' device"
    elif disk.bus != "scsi":
        yield 2, f"disk device='lun' is not supported for bus='{disk.bus}'"
    is_iscsi = (
        disk.image.kind == "network"
        and disk.image.source is not None
        and disk.image.source.get("protocol") == "iscsi"
    )
    source = disk.image.source
    if disk.image.kind == "network" and source is not None and not is_iscsi:
        yield 2, f"disk device='lun' is not supported for protocol='{source.get('protocol')}'"
    if disk.image.kind not in {"block", "volume"} and not is_iscsi:
        yield 2, "disk device='lun' is only valid for block type disk source"
    if disk.image.format != "raw":
        yield 2, "disk device 'lun' must use 'raw' format"
    if disk.serial:
        yield 2, "scsi-block 'lun' devices do not support the serial property"


def _check_formats(disk: Disk) -> _Found:
    image: Image | None = disk.image
    while image is not None:
        form = image.format
        if form in _WRITTEN_OFF:
            yield 2, _WRITTEN_OFF[form]
        elif form not in _FORMATS or (form == "aio" and image is not disk.image):
            kind = "driver format value" if image is disk.image else "storage source format"
            yield 0, f"unknown {kind} '{form}'"
        elif image.kind == "dir" and form != "fat":
            yield 2, "storage type 'dir' requires use of storage format 'fat'"
        elif form == "fat" and image.kind not in {"dir", "volume"}:
            yield 2, "storage format 'fat' is supported only with 'dir' storage type"
        yield from _check_encryption(image)
        image = image.backing
    if disk.image.format != "qcow2":
        if disk.cache_size is not None:
            yield 2, "metadata cache max size control is supported only with qcow2 images"
        if "discard_no_unref" in disk.driver:
            yield 2, "'discard_no_unref' only works with qcow2 disk format"
    elif disk.driver.get("discard_no_unref") == "on" and disk.read_only:
        yield 2, "'discard_no_unref' is not compatible with read-only disk"


def _check_encryption(image: Image) -> _Found:
    if image.encryption in {"qcow", "default"}:
        yield 2, "old qcow/qcow2 encryption is not supported"
    elif image.encryption == "luks2" and image.encrypted_by != "librbd":
        yield 2, "'luks2' is currently not supported by the qemu encryption engine"


def _check_limits(domain: Domain, disk: Disk) -> _Found:
    if any(value > _MOST_LIMIT for _, value in disk.limits):
        said = f"block I/O throttle limit must be no more than {_MOST_LIMIT} using QEMU"
        yield 2, f"argument unsupported: {said}"
    if not disk.filters:
        return
    if disk.device == "cdrom":
        yield 2, "cdrom device with throttle filters isn't supported"
    if disk.limits:
        said = "block 'throttlefilters' can't be used together with 'iotune' for disk"
        yield 2, f"{said} '{disk.target}'"
    names = {group.name for group in domain.groups}
    for group in disk.filters:
        if group not in names:
            yield 2, f"throttle group '{group}' not found"


def _check_controller(domain: Domain, controller: Controller) -> _Found:
    own, kind = controller.driver, controller.type
    if "iothread" in own and controller.mapping:
        said = "can't be used together with 'iothreads' subelement"
        yield 0, f"controller driver 'iothread' attribute {said}"
    if "iothread" in own and not controller.is_virtio:
        yield 0, "'iothread' attribute only supported for virtio scsi controllers"
    if kind == "ide" and is_q35(domain):
        yield 2, "IDE controllers are unsupported for this QEMU binary or machine type"
    elif kind == "ide" and controller.index:
        yield 2, "Only a single IDE controller is supported for this machine type"
    if kind == "scsi":
        yield from _check_scsi(domain, controller)


def _check_scsi(domain: Domain, controller: Controller) -> _Found:
    own, model = controller.driver, controller.model
    if model and model not in _SCSI_MODELS:
        yield 0, f"Unknown model type '{model}'"
    elif controller.is_virtio:
        if "iothread" in own and int(own["iothread"]) not in domain.thread_numbers:
            yield 2, f"controller iothread '{own['iothread']}' not defined in iothreadid"
        if controller.mapping:
            yield from _check_mapping(domain, controller.mapping, int(own.get("queues", "0")))
    else:
        yield from _check_other_scsi(controller)


def _check_other_scsi(controller: Controller) -> _Found:
    own, model = controller.driver, controller.model
    if model == "buslogic":
        yield 2, f"Unsupported controller model: {model}"
    for name in ("queues", "cmd_per_lun", "max_sectors", "ioeventfd"):
        if name in own:
            yield 2, f"'{name}' is only supported by virtio-scsi controller"
    if controller.mapping:
        yield 2, "iothreads are supported only by 'virtio-scsi' controllers"
    if model == "ncr53c90" and controller.index:
        yield 2, f"{model} can only be used as first SCSI controller"
    elif model == "ncr53c90":
        yield 2, f"{model} SCSI controller is not a built-in for this machine"


def _check_address(domain: Domain, placed: Placed, place: Place) -> _Found:
    disk = place.disk
    is_drive = disk.bus in PER_CONTROLLER
    address = disk.element.find("address")
    written = (address.get("type") if address is not None else None) or ""
    if written in _NOT_VIRTIO and disk.bus == "virtio":
        yield 2, f"virtio disk cannot have an address of type '{written}'"
    elif written == "unassigned":
        yield 2, "address of type 'unassigned' is supported only for hostdevs"
    elif written in _NOT_DRIVE and is_drive:
        said = f"for the disk '{disk.target}' with the bus type '{disk.bus}'"
        yield 2, f"Invalid address type '{written}' {said}"
    yield from _check_controller_of(domain, placed, place)


def _check_controller_of(domain: Domain, placed: Placed, place: Place) -> _Found:
    disk, drive = place.disk, place.drive
    if disk.bus == "usb":
        yield from _check_port(placed, place)
    elif disk.bus in {"ide", "fdc"} and drive is not None:
        if drive.controller:
            name = "IDE" if disk.bus == "ide" else "fdc"
            yield 2, f"Only 1 {name} controller is supported"
        elif disk.bus == "ide" and is_q35(domain):
            yield 2, "IDE controllers are unsupported for this QEMU binary or machine type"
        elif disk.bus == "fdc" and drive.bus:
            yield 2, "Only 1 fdc bus is supported"
        elif drive.target:
            name = "ide controller" if disk.bus == "ide" else "controller fdc"
            yield 2, f"target must be 0 for {name}"
    elif drive is not None:
        yield from _check_drive(placed, disk.bus, drive)


def _check_port(placed: Placed, place: Place) -> _Found:
    controller = placed.find_controller("usb", 0)
    if controller is not None and controller.model == "none":
        said = "but USB devices are present in the domain XML"
        yield 2, f"USB is disabled for this domain, {said}"
    elif place.usb is not None and not place.usb.is_found:
        said = f"requested USB port {place.usb.port} not present on USB bus {place.usb.bus}"
        yield 2, said


def _check_drive(placed: Placed, bus: str, drive: DriveAddress) -> _Found:
    if bus == "sata":
        for name in ("bus", "target"):
            if getattr(drive, name):
                yield 2, f"{name} must be 0 for sata controller"
    elif drive.bus:
        yield 2, "SCSI controller only supports 1 bus"
    else:
        controller = placed.find_controller("scsi", drive.controller)
        if controller is not None and controller.model == "lsilogic" and drive.target:
            yield 2, "target must be 0 for controller model 'lsilogic'"


def _check_doubles(domain: Domain, placed: Placed) -> Iterator[Refusal]:
    """Yields names, places and groups that two disks have."""
    targets: dict[str, Disk] = {}
    names: set[str] = set()
    groups: dict[str, Disk] = {}
    for disk in domain.disks:
        other = targets.setdefault(disk.target, disk)
        if other is not disk:
            said = f"target '{disk.target}' duplicated for disk sources"
            yield _refuse(disk, 0, f"{said} '{other.image.path}' and '{disk.image.path}'")
        if disk.alias and disk.alias in names:
            yield _refuse(disk, 2, f"non unique alias detected: {disk.alias}")
        names.add(disk.alias)
        if disk.group and disk.limits:
            first = groups.setdefault(disk.group, disk)
            if first.limits != disk.limits:
                said = f"different iotunes for disks {first.target} and {disk.target}"
                yield _refuse(disk, 2, said)
    yield from _check_places(domain, placed)


def _check_places(domain: Domain, placed: Placed) -> Iterator[Refusal]:
    ports: set[tuple[int | None, str]] = set()
    for disk in domain.disks:
        if disk.usb is not None and disk.usb.port:
            port = (disk.usb.bus or 0, disk.usb.port)
            if port in ports:
                said = f"Duplicate USB address bus {port[0]} port {port[1]}"
                yield _refuse(disk, 2, said)
            ports.add(port)
    slots: set[tuple[int, int, int]] = set()
    for pci, span, name in (
        *((each.pci, each.span, "") for each in domain.controllers),
        *((each.pci, each.span, each.target) for each in domain.disks),
    ):
        if pci is not None and pci in slots:
            slot = f"0000:{pci[0]:02x}:{pci[1]:02x}.{pci[2]}"
            said = f"Attempted double use of PCI Address {slot}"
            yield Refusal(phase=1, message=said, span=span or _NOWHERE, subject=name)
        slots |= {pci} if pci is not None else set()
    taken: dict[tuple[str, object], Disk] = {}
    for place in placed.places:
        if place.drive is None:
            continue
        first = taken.setdefault((place.disk.bus, place.drive), place.disk)
        if first is not place.disk and first.target != place.disk.target:
            drive = place.drive
            said = (
                f"Found duplicate drive address for disk with target name '{first.target}'"
                f" controller='{drive.controller}' bus='{drive.bus}' target='{drive.target}'"
                f" unit='{drive.unit}'"
            )
            yield _refuse(place.disk, 2, said)


def _refuse(disk: Disk, phase: Phase, message: str) -> Refusal:
    return Refusal(phase=phase, message=message, span=disk.span, subject=disk.target)
