"""A domain as a guest of vmio's model: its disks, controllers and threads in their places.

Source: libvirt 11.3.0, run; QEMU's own defaults are those of `vmio.formats.qemu.layout`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import ClassVar, Final, cast

from vmio.bounds import MAX_QUEUES_IN_ALL, MAX_VCPUS
from vmio.errors import InputError
from vmio.formats.base import Guest, ReadContext
from vmio.formats.libvirt.blocks import CACHES, find_drivers
from vmio.formats.libvirt.domain import Controller as Written
from vmio.formats.libvirt.domain import Disk as Drive
from vmio.formats.libvirt.domain import Domain, Image, Refusal, name_thread
from vmio.formats.libvirt.misfits import find_misfits
from vmio.formats.libvirt.places import (
    Place,
    Placed,
    find_pci,
    find_scsi_driver,
    is_built_in,
    is_q35,
    name_controller,
    place_disks,
)
from vmio.formats.libvirt.reader import read_domain
from vmio.formats.libvirt.refusals import find_refusals
from vmio.formats.libvirt.remedies import find_remedy
from vmio.formats.libvirt.versions import NEWEST, parse_libvirt_version
from vmio.model.controller import Controller
from vmio.model.disk import (
    AioEngine,
    Backing,
    BusKind,
    CacheMode,
    DetectZeroes,
    Discard,
    Disk,
)
from vmio.model.machine import Chipset
from vmio.model.source import Problem, Source, Span, Where
from vmio.model.storage import find_storage_kind
from vmio.model.topology import AttachedDisk, count_queues
from vmio.model.vm import Accelerator, Vm
from vmio.values import replace

__all__ = ["LibvirtGuest", "list_dedicated", "read_guest"]

_BUSES: Final = frozenset({"ide", "sata", "scsi", "virtio", "usb"})
"""Those that the model has; a floppy's is none."""
_USB_DRIVERS: Final[Mapping[str, str]] = {
    "ehci": "usb-ehci",
    "ich9-ehci1": "ich9-usb-ehci1",
    "nec-xhci": "nec-usb-xhci",
    "piix3-uhci": "piix3-usb-uhci",
    "piix4-uhci": "piix4-usb-uhci",
}
"""QEMU's device, where libvirt's model has another name."""
_WITHOUT_LUNS: Final = frozenset({"am53c974", "dc-390", "lsi"})
"""Controllers each of whose targets is one disk, which libvirt's `unit` numbers."""
_NAMES: Final = {
    "cache": "cache",
    "io": "aio",
    "discard": "discard",
    "detect_zeroes": "detect_zeroes",
    "iothread": "iothread",
    "iothreads": "iothread",
    "queues": "queues",
    "error_policy": "werror",
    "rerror_policy": "rerror",
    "serial": "serial",
    "wwn": "wwn",
    "source": "file",
}
"""What the model calls what is written."""


class LibvirtGuest(Guest, frozen=True, kw_only=True):
    """A VM that is a libvirt domain, and what its text says."""

    domain: Domain
    placed: Placed
    version: tuple[int, int]
    """The libvirt that it is read as."""
    refusals: tuple[Refusal, ...] = ()
    """Why it refuses the domain, in the order in which it finds it."""

    numbers_threads: ClassVar[bool] = True

    @property
    def remark(self) -> str:
        """That the text is of a domain as it runs, where it is."""
        root = self.domain.root
        if root is None or root.get("id") is None:
            return ""
        return (
            "the XML is that of a running domain, which need not be that with which it starts"
            " next: virsh dumpxml --inactive prints that"
        )


def read_guest(source: Source, context: ReadContext) -> LibvirtGuest:
    """Reads a domain.

    Raises:
        InputError: The text is no domain.
    """
    version = find_version(context)
    domain = read_domain(source, version)
    placed = place_disks(domain)
    refusals = find_refusals(domain, placed)
    controllers = tuple(_list_controllers(domain, placed))
    by_id = {controller.id: controller for controller in controllers}
    attached = tuple(
        _attach(domain, placed, place, by_id)
        for place in placed.places
        if place.disk.bus in _BUSES
    )
    _check_queues(source, controllers, domain)
    vm = Vm(
        id=domain.name or source.name,
        name=domain.name,
        notation="libvirt",
        source=source,
        os=domain.system,
        system=domain.system_name,
        arch=domain.arch,
        chipset=_find_chipset(domain),
        machine_type=domain.machine,
        machine_version=_find_machine_version(domain, context),
        vcpus=min(domain.current_vcpus, domain.vcpus, MAX_VCPUS),
        adds_vcpus=domain.current_vcpus < domain.vcpus,
        memory_mib=domain.memory_mib,
        shares_memory=domain.shares_memory,
        accelerator=cast("Accelerator", {"kvm": "kvm", "qemu": "tcg"}.get(domain.kind, "")),
        iothreads=domain.threads,
        controllers=controllers,
        disks=tuple(each.disk for each in attached),
        attached=attached,
        problems=tuple(_list_problems(domain, refusals)),
    )
    return LibvirtGuest(
        vm=vm, context=context, domain=domain, placed=placed, version=version, refusals=refusals
    )


def list_dedicated(guest: LibvirtGuest) -> tuple[str, ...]:
    """Returns the ids of the virtio-scsi controllers that one drive alone is on."""
    counts = Counter(attached.controller for attached in guest.vm.attached)
    return tuple(
        name
        for controller in guest.placed.controllers
        if controller.is_virtio and counts[name := name_controller(controller)] == 1
    )


def find_version(context: ReadContext) -> tuple[int, int]:
    """Returns the libvirt of a guest's host; the newest that was tried where none is named.

    Raises:
        InputError: The host's is no version.
    """
    text = context.host.libvirt_version
    if not text:
        return NEWEST
    try:
        return parse_libvirt_version(text)
    except ValueError as error:
        raise InputError(f"the host's libvirt_version: {error}") from error


def _check_queues(source: Source, controllers: tuple[Controller, ...], domain: Domain) -> None:
    queues = count_queues(controllers, domain.vcpus)
    if queues > MAX_QUEUES_IN_ALL:
        raise InputError(
            f"{source.name} has {queues} virtqueues, more than any QEMU is started with"
        )


def _list_problems(domain: Domain, refusals: tuple[Refusal, ...]) -> Iterator[Problem]:
    disks = {disk.target: disk for disk in domain.disks} if refusals else {}
    for refusal in refusals:
        remedy, disk = find_remedy(refusal.message), disks.get(refusal.subject)
        spans = disk.spans if disk is not None else {}
        yield Problem(
            kind="refused-option",
            message=f"libvirt refuses the domain: {refusal.message}",
            span=spans.get(remedy.setting, refusal.span),
            subject=refusal.subject,
            advice=remedy.advice,
        )
    for problem in find_misfits(domain):
        yield replace(problem, advice=find_remedy(problem.message).advice)
    for message, span in domain.unreadable:
        yield Problem(kind="unread-config", message=message, span=span, subject="domain")


def _find_chipset(domain: Domain) -> Chipset:
    if is_q35(domain):
        return "q35"
    is_pc = domain.arch in {"x86_64", "i686"} and domain.machine.startswith("pc")
    return "i440fx" if is_pc else "virt"


def _find_machine_version(domain: Domain, context: ReadContext) -> tuple[int, int]:
    match = re.search(r"-(\d{1,3})\.(\d{1,3})\Z", domain.machine, re.ASCII)
    return (int(match[1]), int(match[2])) if match else context.host.qemu_series


# Controllers


def _name_bus(placed: Placed, place: Place) -> str:
    """Returns the id of the controller that a disk hangs on."""
    disk = place.disk
    if disk.bus == "virtio":
        return place.name
    index = place.drive.controller if place.drive is not None else 0
    if disk.bus == "usb" and place.usb is not None:
        index = place.usb.bus or 0
    controller = placed.find_controller(disk.bus, index)
    return name_controller(controller) if controller is not None else f"{disk.bus}{index}"


def _list_controllers(domain: Domain, placed: Placed) -> Iterator[Controller]:
    for controller in placed.controllers:
        # A USB controller of the model "none" is how a domain says that it has none.
        if controller.is_companion or (controller.type, controller.model) == ("usb", "none"):
            continue
        if controller.type in {"scsi", "sata", "ide", "usb"}:
            yield _make_controller(domain, controller)
    for place in placed.places:
        if place.disk.bus == "virtio":
            yield _make_blk(domain, place)


def _make_controller(domain: Domain, written: Written) -> Controller:
    built_in = is_built_in(domain, written)
    model = written.model
    if written.type == "scsi":
        model = find_scsi_driver(written) or written.model
    elif written.type == "sata":
        model = "ich9-ahci" if built_in else "ahci"
    elif written.type == "ide":
        model = "piix3-ide"
    elif written.type == "usb":
        model = _USB_DRIVERS.get(model, model)
    thread = written.driver.get("iothread")
    queues = written.driver.get("queues")
    return Controller(
        id=name_controller(written),
        model=model or written.type,
        bus=cast("BusKind", written.type),
        pci=find_pci(domain, written.pci),
        iothread=name_thread(int(thread)) if thread and not written.mapping else None,
        iothread_vq_mapping=written.mapping,
        num_queues=int(queues) if queues is not None and written.is_virtio else None,
        built_in=built_in,
        where=Where(span=written.span, spans=_rename(written.spans)),
    )


def _make_blk(domain: Domain, place: Place) -> Controller:
    disk = place.disk
    vhost = disk.image.kind == "vhostuser"
    suffix = disk.model.removeprefix("virtio")
    thread = disk.driver.get("iothread")
    queues = disk.driver.get("queues")
    return Controller(
        id=place.name,
        model=f"{'vhost-user' if vhost else 'virtio'}-blk-pci{suffix}",
        bus="virtio",
        pci=find_pci(domain, disk.pci),
        iothread=name_thread(int(thread)) if thread and not disk.mapping else None,
        iothread_vq_mapping=disk.mapping,
        num_queues=int(queues) if queues is not None else None,
        where=Where(span=disk.span, spans=_rename(disk.spans)),
    )


# Disks


def _attach(
    domain: Domain, placed: Placed, place: Place, controllers: dict[str, Controller]
) -> AttachedDisk:
    drive = place.disk
    modes = CACHES.get(drive.cache)
    disk = _make_disk(domain, place)
    name = _name_bus(placed, place)
    zeroes = drive.driver.get("detect_zeroes")
    if zeroes == "unmap" and drive.driver.get("discard") != "unmap":
        zeroes = "on"
    has_medium = disk.backing is not None
    return AttachedDisk(
        disk=disk,
        controller=name,
        address=tuple(_describe_address(place, controllers.get(name))),
        device_id=place.name,
        driver=_find_driver(place, controllers.get(name)),
        cache=_find_cache(drive) if has_medium else None,
        cache_direct=modes[0] if modes is not None else False,
        cache_no_flush=modes[1] if modes is not None else False,
        write_cache=modes[2] if modes is not None else True,
        detect_zeroes=cast("DetectZeroes | None", zeroes) if disk.media == "disk" else None,
        read_only=drive.read_only,
    )


def _find_cache(drive: Drive) -> CacheMode:
    return cast("CacheMode", drive.cache) if drive.cache in CACHES else "writeback"


def _find_driver(place: Place, controller: Controller | None) -> str:
    disk = place.disk
    kind = "cd" if disk.device == "cdrom" else "hd"
    match disk.bus:
        case "virtio":
            return controller.model if controller is not None else "virtio-blk-pci"
        case "usb":
            return "usb-storage"
        case "scsi":
            return "scsi-block" if disk.device == "lun" else f"scsi-{kind}"
        case _:
            return f"ide-{kind}"


def _describe_address(
    place: Place, controller: Controller | None
) -> Iterator[tuple[str, str | int]]:
    drive, bus = place.drive, place.disk.bus
    name = controller.id if controller is not None else bus
    if place.usb is not None:
        yield "bus", f"{name}.0"
        yield "port", place.usb.port
    elif drive is not None and bus == "ide":
        yield "bus", f"ide.{drive.bus}"
        yield "unit", drive.unit
    elif drive is not None and bus == "sata":
        is_built_in = controller is not None and controller.built_in
        yield "bus", f"{'ide' if is_built_in else name}.{drive.unit}"
    elif drive is not None and bus == "scsi":
        yield "bus", f"{name}.0"
        if controller is not None and controller.model in _WITHOUT_LUNS:
            yield "scsi-id", drive.unit
            return
        yield "channel", drive.bus
        yield "scsi-id", drive.target
        yield "lun", drive.unit


def _make_disk(domain: Domain, place: Place) -> Disk:
    drive = place.disk
    own = drive.driver
    cache = own.get("cache")
    thread = own.get("iothread")
    policy = own.get("error_policy")
    queues = own.get("queues")
    return Disk(
        id=drive.target,
        bus=cast("BusKind", drive.bus),
        index=drive.index,
        volume=drive.image.path,
        backing=_make_backing(drive),
        media="cdrom" if drive.device == "cdrom" else "disk",
        cache=cast("CacheMode | None", cache if cache in CACHES else None),
        aio=cast("AioEngine | None", own.get("io")),
        discard=cast("Discard | None", own.get("discard")),
        detect_zeroes=own["detect_zeroes"] != "off" if "detect_zeroes" in own else None,
        read_only=drive.read_only and drive.device != "cdrom",
        iothread_id=name_thread(int(thread)) if thread else None,
        iothread_vq_mapping=drive.mapping,
        queues=int(queues) if queues is not None else None,
        bootindex=place.bootindex,
        serial=drive.serial or None,
        wwn=drive.wwn or None,
        vendor=drive.vendor or None,
        product=drive.product or None,
        werror="enospc" if policy == "enospace" else policy,
        rerror=own.get("rerror_policy"),
        ssd=drive.rotation_rate == 1,
        limits=_find_limits(domain, drive),
        throttle_group=drive.group or next(iter(drive.filters), ""),
        where=Where(span=drive.span, spans=_rename(drive.spans)),
    )


def _find_limits(domain: Domain, drive: Drive) -> tuple[tuple[str, int], ...]:
    """Returns a disk's limits: its own, or the least of each that its groups have."""
    if not drive.filters:
        return drive.limits
    found: dict[str, int] = {}
    for group in domain.groups:
        for name, value in group.limits if group.name in drive.filters else ():
            found[name] = min(value, found.get(name, value))
    return tuple(found.items())


def _rename(spans: Mapping[str, Span]) -> dict[str, Span]:
    return {_NAMES.get(name, name): span for name, span in spans.items()}


def _make_backing(drive: Drive) -> Backing | None:
    image = drive.image
    if image.is_empty:
        return None
    form, below = find_drivers(image)
    parents = []
    parent: Image | None = image.backing
    while parent is not None:
        parents.append(parent.path)
        parent = parent.backing
    return Backing(
        filename=image.path,
        format=form,
        driver=below or "file",
        kind=find_storage_kind(image.path) if image.kind == "block" else "",
        io_uring="no",
        direct_by_default=False,
        parents=tuple(parents),
        discard_no_unref=drive.driver.get("discard_no_unref") == "on",
    )
