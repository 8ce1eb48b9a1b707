"""Proxmox VE's layout of a config: controllers, IOThreads, addresses, and settings' effects.

Source: qemu-server 9.2.6.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache

from msgspec import Struct

from vmio.formats.proxmox.hardware import PROXMOX, Policy, ScsiHardware
from vmio.formats.proxmox.pci import has_scsi_bridge, pci_address
from vmio.formats.proxmox.reader import ProxmoxGuest
from vmio.model.controller import Bridge, Controller, PciAddress
from vmio.model.disk import FILE_DRIVERS, AioEngine, CacheMode, DetectZeroes, Disk
from vmio.model.iothread import MAIN_LOOP, IOThread
from vmio.model.topology import AttachedDisk, Effect, Topology, choose_default_queues
from vmio.model.vm import Vm
from vmio.values import replace

__all__ = ["lay_out_config"]

_Q35_IDE_BUS = (0, 2, 1, 3)
_NO_GENERIC_SINCE = (4, 1)
_OLD_LIMITS = ("bps", "bps_rd", "bps_wr")
_TO_PCI = "pcidmi"


def lay_out_config(
    guest: ProxmoxGuest, policy: Policy = PROXMOX, *, with_args: bool = True
) -> Topology:
    """Returns the layout that results from a config.

    Args:
        guest: The guest of the config.
        policy: Its manager's defaults.
        with_args: Whether to use QEMU's own options that the config adds. They are part of what
            runs, but not of the command line that the manager writes before them, nor of a
            template, which only keeps them for its clones.
    """
    vm, scsihw = guest.vm, guest.scsihw
    hardware = policy.find_scsi_hardware(scsihw)
    with_args = with_args and not vm.template
    overrides = _read_overrides(vm) if with_args else {}
    controllers: dict[str, Controller] = {}
    iothreads: list[IOThread] = []
    disks: list[AttachedDisk] = []
    for disk in vm.disks:
        controller, address, driver = _place(vm, disk, hardware)
        known = controllers.get(controller.id)
        if known is None:
            if controller.iothread is not None:
                iothreads.append(IOThread(id=controller.iothread))
            known = _override(controller, overrides.get(controller.id, {}))
            controllers[controller.id] = known
        engine = _choose_engine(disk, policy)
        disks.append(
            AttachedDisk(
                disk=disk,
                controller=known.id,
                address=address,
                driver=driver,
                cache=engine.cache,
                cache_direct=engine.cache_direct,
                cache_no_flush=disk.cache == "unsafe",
                write_cache=disk.cache not in {"writethrough", "directsync"},
                aio=engine.aio,
                detect_zeroes=engine.detect_zeroes,
                read_only=disk.read_only or disk.media == "cdrom" or vm.template,
                effects=tuple(_find_effects(scsihw, disk, known, engine)),
            )
        )
    bridges = _find_bridges(guest, controllers)
    if with_args and vm.attached:
        from vmio.formats.qemu.layout import lay_out_command

        added = lay_out_command(vm, controllers)
        controllers |= {each.id: each for each in added.controllers}
        disks += added.disks
    return Topology(
        iothreads=(*iothreads, *(vm.iothreads if with_args else ())),
        bridges=bridges,
        controllers=tuple(controllers.values()),
        dedicated=tuple(
            each.id for each in controllers.values() if each.bus == "scsi" and hardware.dedicated
        ),
        disks=tuple(disks),
        vcpus=vm.vcpus,
        default_queues=choose_default_queues(vm.machine_version),
    )


def _find_bridges(
    guest: ProxmoxGuest, controllers: Mapping[str, Controller]
) -> tuple[Bridge, ...]:
    """Returns the PCI bridges that Proxmox VE creates, or on q35 reads from a file of its own."""
    used = {each.pci.bus for each in controllers.values() if each.pci is not None}
    return _list_bridges(
        guest.vm.arch,
        is_q35=guest.vm.chipset == "q35",
        has_third=has_scsi_bridge(guest.scsihw),
        has_fourth="pci.4" in used,
    )


@cache
def _list_bridges(
    arch: str, *, is_q35: bool, has_third: bool, has_fourth: bool
) -> tuple[Bridge, ...]:
    """Returns the bridges of one kind of machine.

    On q35 pci.0 to pci.3 are behind a bridge from PCI Express.
    """
    if is_q35:
        places = {f"pci.{n}": PciAddress(bus=_TO_PCI, slot=n + 1) for n in range(4)}
    else:
        names = ("pci.1", "pci.2", *(("pci.3",) if has_third else ()))
        places = {name: pci_address(name, arch) for name in names}
    if has_fourth:
        places["pci.4"] = pci_address("pci.4", arch)
    bridges = [
        Bridge(id=name, model="pci-bridge", pci=pci, chassis=number)
        for number, (name, pci) in enumerate(places.items(), 1)
    ]
    if is_q35:
        root = PciAddress(bus="pcie.0", slot=0x1E)
        bridges.insert(0, Bridge(id=_TO_PCI, model="i82801b11-bridge", pci=root))
    return tuple(bridges)


def _read_overrides(vm: Vm) -> Mapping[str, Mapping[str, str]]:
    """Returns the changes of `-set device.ID.PROPERTY=VALUE`, by device: the last one is used.

    Source: QEMU 10.0.2, run: it works on a device in the form `key=value`, which Proxmox VE uses,
    and replaces a value that the device has already.
    """
    found: dict[str, dict[str, str]] = {}
    for option in vm.options:
        for key, value in option.properties.items() if option.name == "set" else ():
            group, _, rest = key.partition(".")
            device, _, name = rest.partition(".")
            if group == "device" and name:
                found.setdefault(device, {})[name.replace("_", "-")] = value
    return found


def _override(controller: Controller, properties: Mapping[str, str]) -> Controller:
    if not controller.takes_iothread:
        return controller
    count = properties.get("num-queues", "")
    return replace(
        controller,
        iothread=properties.get("iothread", controller.iothread) or None,
        num_queues=int(count)
        if count and re.fullmatch(r"[1-9]\d{0,4}", count, re.ASCII)
        else controller.num_queues,
    )


Address = tuple[tuple[str, str | int], ...]


def _place(vm: Vm, disk: Disk, hardware: ScsiHardware) -> tuple[Controller, Address, str]:
    """Returns the controller of a disk, the disk's address on it, and the disk's own device."""
    is_cdrom = disk.media == "cdrom"
    match disk.bus:
        case "virtio":
            controller = Controller(
                id=disk.id,
                model="virtio-blk-pci",
                bus="virtio",
                pci=pci_address(disk.id, vm.arch),
                iothread=f"iothread-{disk.id}" if disk.iothread else None,
            )
            return controller, (), "virtio-blk-pci"
        case "scsi":
            number = disk.index // hardware.disks_per_controller
            controller = _scsi_controller(vm, disk, hardware, number)
            driver = "scsi-cd" if is_cdrom or disk.cloudinit else _choose_scsi_disk(vm, disk)
            return controller, _scsi_address(disk, hardware, controller), driver
        case "sata":
            controller = Controller(
                id="ahci0", model="ahci", bus="sata", pci=pci_address("ahci0", vm.arch)
            )
            address: Address = (("bus", f"ahci0.{disk.index}"),)
            return controller, address, _choose_ata_disk(vm, disk)
        case "ide":
            controller = Controller(id="ide", model="piix3-ide", bus="ide", built_in=True)
            if vm.chipset == "q35":
                controller = replace(controller, model="ich9-ahci")
                bus, unit = _Q35_IDE_BUS[disk.index], 0
            else:
                bus, unit = divmod(disk.index, 2)
            address = (("bus", f"ide.{bus}"), ("unit", unit))
            return controller, address, _choose_ata_disk(vm, disk)
        case "nvme" | "usb":
            raise AssertionError(f"Proxmox VE has no {disk.bus} disks")


def _choose_ata_disk(vm: Vm, disk: Disk) -> str:
    """Returns the device of an IDE or SATA disk; a template's is a cd-rom to be read-only."""
    return "ide-cd" if disk.media == "cdrom" or vm.template else "ide-hd"


def _choose_scsi_disk(vm: Vm, disk: Disk) -> str:
    """Returns the device of a SCSI disk; old machines pass commands through to an iSCSI target."""
    is_iscsi = disk.backing is not None and disk.backing.filename.startswith("iscsi://")
    return "scsi-generic" if is_iscsi and vm.machine_version < _NO_GENERIC_SINCE else "scsi-hd"


def _scsi_controller(vm: Vm, disk: Disk, hardware: ScsiHardware, number: int) -> Controller:
    if hardware.dedicated:
        identity = f"virtioscsi{number}"
        return Controller(
            id=identity,
            model=hardware.model,
            bus="scsi",
            pci=pci_address(identity, vm.arch),
            iothread=f"iothread-{identity}" if disk.iothread else None,
            num_queues=disk.queues,
        )
    identity = f"scsihw{number}"
    return Controller(
        id=identity,
        model=hardware.model,
        bus="scsi",
        pci=pci_address(identity, vm.arch),
    )


def _scsi_address(disk: Disk, hardware: ScsiHardware, controller: Controller) -> Address:
    bus = ("bus", f"{controller.id}.0")
    match hardware.address:
        case "scsi-id":
            return bus, ("scsi-id", disk.index % hardware.disks_per_controller)
        case "target":
            return bus, ("scsi-id", disk.index)
        case _:
            return bus, ("channel", 0), ("scsi-id", 0), ("lun", disk.index)


class _Engine(Struct, frozen=True, kw_only=True):
    """The results for a disk's cache, aio and zero detection."""

    cache: CacheMode
    cache_direct: bool
    aio: AioEngine | None
    detect_zeroes: DetectZeroes | None


def _choose_engine(disk: Disk, policy: Policy) -> _Engine:
    direct = _is_direct(disk)
    has_aio = disk.backing is not None and disk.backing.driver in FILE_DRIVERS
    return _Engine(
        cache=disk.cache or _name_cache(direct=direct),
        cache_direct=direct,
        aio=(disk.aio or policy.choose_aio(disk, direct=direct)) if has_aio else None,
        detect_zeroes=_choose_detect_zeroes(disk),
    )


def _is_direct(disk: Disk) -> bool:
    if disk.cache is not None:
        return disk.cache in {"none", "directsync"}
    if disk.media == "cdrom":
        return False
    return disk.backing is None or disk.backing.direct_by_default


def _name_cache(*, direct: bool) -> CacheMode:
    return "none" if direct else "writeback"


def _choose_detect_zeroes(disk: Disk) -> DetectZeroes | None:
    if disk.media == "cdrom":
        return None
    if disk.detect_zeroes is False:
        return "off"
    return "unmap" if disk.discard == "unmap" else "on"


def _find_effects(
    scsihw: str | None, disk: Disk, controller: Controller, engine: _Engine
) -> Iterator[Effect]:
    yield _iothread_effect(scsihw, disk, controller)
    if disk.queues is not None:
        if controller.num_queues == disk.queues:
            yield Effect(setting="queues", value=str(disk.queues), verdict="used")
        else:
            yield Effect(
                setting="queues",
                value="",
                verdict="ignored",
                reason="only a virtio-scsi-single controller has the option queues",
            )
    yield Effect(
        setting="cache",
        value=engine.cache,
        verdict="used" if disk.cache is not None else "default",
    )
    if engine.aio is not None:
        yield Effect(
            setting="aio",
            value=engine.aio,
            verdict="used" if disk.aio is not None else "default",
        )
    elif disk.aio is not None:
        what = "an empty drive" if disk.backing is None else f"the {disk.backing.driver} driver"
        yield Effect(setting="aio", value="", verdict="ignored", reason=f"{what} does its own I/O")
    for option in _OLD_LIMITS if disk.limits else ():
        if option in disk.spans:
            # qemu-server keeps that this spelling is present, but not its number.
            reason = "the old spelling is read as no limit; write mbps"
            yield Effect(setting=option, value="", verdict="ignored", reason=reason)
    if disk.media == "disk":
        yield Effect(
            setting="discard",
            value="on" if disk.discard == "unmap" else "ignore",
            verdict="used" if disk.discard is not None else "default",
        )
        yield Effect(
            setting="detect_zeroes",
            value=engine.detect_zeroes or "",
            verdict="used" if disk.detect_zeroes is not None else "default",
        )


def _iothread_effect(scsihw: str | None, disk: Disk, controller: Controller) -> Effect:
    if controller.iothread is not None:
        return Effect(setting="iothread", value=controller.iothread, verdict="used")
    if not disk.iothread:
        return Effect(
            setting="iothread",
            value=MAIN_LOOP,
            verdict="default" if disk.iothread is None else "used",
        )
    written = f"scsihw is {scsihw}" if scsihw is not None else "scsihw is not set, so lsi"
    if controller.model == "virtio-scsi-pci":
        reason = f"{written}: all its disks share {controller.id}, which gets no IOThread"
    else:
        reason = f"{written}: the {controller.model} device cannot use an IOThread"
    return Effect(setting="iothread", value="", verdict="ignored", reason=reason)
