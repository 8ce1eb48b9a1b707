"""The storage half of the command line that libvirt runs a domain with.

Source: libvirt 11.3.0 and 9.0.0, run: `virsh domxml-to-native qemu-argv`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Final

from vmio.errors import PlanError, UnsupportedError
from vmio.formats.base import CommandLine
from vmio.formats.libvirt.blocks import (
    CACHES,
    Node,
    build_firmware,
    build_nodes,
    count_numbers,
)
from vmio.formats.libvirt.domain import LIMITS, Controller, Disk, Domain
from vmio.formats.libvirt.guest import LibvirtGuest
from vmio.formats.libvirt.places import (
    Place,
    Placed,
    find_scsi_driver,
    is_built_in,
    is_q35,
    name_controller,
)
from vmio.formats.libvirt.versions import KNOWN
from vmio.model.iothread import PARAMETERS, IOThread, VirtqueueMapping

__all__ = ["build_storage_half"]

_ALWAYS: Final = tuple(name for name in LIMITS.values() if not name.endswith("-length"))
"""The limits of a group that are written even where they are nothing."""
_VIRTIO: Final = (
    ("iommu", "iommu_platform"),
    ("ats", "ats"),
    ("packed", "packed"),
    ("page_per_vq", "page-per-vq"),
)
_JSON: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)
_REFERRING: Final = ("cookie-secret", "key-secret", "password-secret", "pr-manager", "tls-creds")
"""Properties of nodes that name objects."""
_HALF: Final = (
    "this is the storage half of the command line: libvirt's IOThreads, disks and their"
    " controllers; the machine, memory, processors and other devices are not printed"
)


def build_storage_half(guest: LibvirtGuest) -> CommandLine:
    """Returns the objects, controllers, block nodes and disks that libvirt gives QEMU.

    Raises:
        UnsupportedError: The domain uses something that vmio cannot print yet.
        PlanError: libvirt would refuse the domain.
    """
    domain, placed, version = guest.domain, guest.placed, guest.version
    for refusal in guest.refusals:
        raise PlanError(f"libvirt refuses {domain.name or 'the domain'}: {refusal.message}")
    if domain.unprintable:
        raise UnsupportedError(f"vmio cannot print the command yet: {domain.unprintable}")
    warnings = [_HALF, *(text for text, _ in domain.unreadable)]
    if not guest.context.host.libvirt_version:
        warnings.append(
            f"the host's libvirt is not known: {version[0]}.{version[1]} is assumed;"
            " --libvirt-version sets another"
        )
    elif version not in KNOWN:
        warnings.append(f"libvirt {version[0]}.{version[1]} was not tried: {_list_known()} were")
    if any(disk.limits for disk in domain.disks):
        warnings.append("<iotune> is in no command line: libvirt sets it once the guest runs")
    if any(_is_probed(disk) for disk in domain.disks):
        warnings.append(
            "the backing images are those of the text: libvirt looks for more when it starts the"
            " guest"
        )
    argv = [(_find_emulator(domain),), *_build(domain, placed, version)]
    return CommandLine(argv=tuple(argv), warnings=tuple(warnings), is_storage_half=True)


def _list_known() -> str:
    return " and ".join(f"{major}.{minor}" for major, minor in sorted(KNOWN))


def _find_emulator(domain: Domain) -> str:
    arch = {"i686": "i386"}.get(domain.arch, domain.arch)
    return f"qemu-system-{arch}"


def _is_probed(disk: Disk) -> bool:
    image = disk.image
    while image.backing is not None:
        image = image.backing
    return image.format in {"qcow2", "qed", "vmdk"} and not image.ends_chain


def _build(domain: Domain, placed: Placed, version: tuple[int, int]) -> Iterator[tuple[str, str]]:
    for thread in domain.threads:
        yield _render("object", _describe_thread(thread))
    if domain.default_pool is not None:
        pool = domain.default_pool
        yield _render(
            "object",
            {
                "qom-type": "main-loop",
                "id": "main-loop",
                "thread-pool-min": pool.least,
                "thread-pool-max": pool.most,
            },
        )
    for group in domain.groups:
        limits = dict(group.limits)
        if limits:
            written = {
                name: limits.get(name, 0)
                for name in LIMITS.values()
                if name in limits or name in _ALWAYS
            }
            name = f"throttle-{group.name}"
            yield _render("object", {"qom-type": "throttle-group", "id": name, "limits": written})
    for node in build_firmware(domain.firmware, version):
        yield _render("blockdev", node, keep_none=True)
    for controller in placed.controllers:
        if controller.type in {"scsi", "sata"} and not is_built_in(domain, controller):
            driver = _find_driver(controller)
            if driver:
                yield _render("device", _describe_controller(domain, controller, driver))
    yield from _build_floppy_controller(domain, placed)
    yield from _build_disks(domain, placed, version)


def _render(
    option: str, properties: Mapping[str, object], *, keep_none: bool = False
) -> tuple[str, str]:
    written = {
        key: value
        for key, value in properties.items()
        if value is not None or (keep_none and key == "backing")
    }
    return f"-{option}", _JSON.encode(written)


def _describe_thread(thread: IOThread) -> Mapping[str, object]:
    values = {name: getattr(thread, name) for name in PARAMETERS}
    # libvirt writes a number of 64 bits as one with a sign.
    if (values["poll_max_ns"] or 0) >= 1 << 63:
        values["poll_max_ns"] -= 1 << 64
    return {
        "qom-type": "iothread",
        "id": thread.id,
        **{name.replace("_", "-"): value for name, value in values.items()},
    }


def _find_driver(controller: Controller) -> str:
    return "ahci" if controller.type == "sata" else find_scsi_driver(controller)


def _number(attributes: Mapping[str, str], name: str) -> int | None:
    return int(attributes[name]) if name in attributes else None


def _truth(attributes: Mapping[str, str], name: str) -> bool | None:
    return attributes[name] == "on" if name in attributes else None


def _describe_mapping(mapping: tuple[VirtqueueMapping, ...]) -> list[Node] | None:
    entries: list[Node] = [
        {"iothread": entry.iothread, **({"vqs": list(entry.vqs)} if entry.vqs else {})}
        for entry in mapping
    ]
    return entries or None


def _describe_place(domain: Domain, pci: tuple[int, int, int] | None) -> Node:
    if pci is None:
        return {}
    bus, slot, function = pci
    addr = f"{slot:#x}" + (f".{function:#x}" if function else "")
    name = "pcie.0" if is_q35(domain) and not bus else f"pci.{bus}"
    return {"bus": name, "addr": addr}


def _describe_controller(
    domain: Domain, controller: Controller, driver: str
) -> Mapping[str, object]:
    own = controller.driver
    node: Node = {"driver": driver, "id": name_controller(controller)}
    if controller.is_virtio:
        node |= {
            "iothread": f"iothread{own['iothread']}" if "iothread" in own else None,
            "iothread-vq-mapping": _describe_mapping(controller.mapping),
            "num_queues": _number(own, "queues"),
            "cmd_per_lun": _number(own, "cmd_per_lun"),
            "max_sectors": _number(own, "max_sectors"),
            "ioeventfd": _truth(own, "ioeventfd"),
            **{name: _truth(own, key) for key, name in _VIRTIO},
        }
    return {**node, **_describe_place(domain, controller.pci)}


def _build_floppy_controller(domain: Domain, placed: Placed) -> Iterator[tuple[str, str]]:
    if not any(place.disk.bus == "fdc" for place in placed.places):
        return
    order = {
        f"bootindex{'AB'[place.drive.unit % 2]}": place.bootindex
        for place in placed.places
        if place.disk.bus == "fdc" and place.drive is not None and place.bootindex is not None
    }
    if is_q35(domain):
        yield _render("device", {"driver": "isa-fdc", **order})
        return
    for name, number in order.items():
        yield "-global", f"isa-fdc.{name}={number}"


def _build_disks(
    domain: Domain, placed: Placed, version: tuple[int, int]
) -> Iterator[tuple[str, str]]:
    numbers: dict[int, int] = {}
    following = 1
    for position in range(len(placed.places) - 1, -1, -1):
        numbers[position] = following
        following += count_numbers(placed.places[position].disk)
    for position, place in enumerate(placed.places):
        if _is_plugged_later(place.disk):
            continue
        drive = None
        for node in build_nodes(place.disk, numbers[position], version):
            _number_secrets(node)
            yield _render("blockdev", node, keep_none=True)
            drive = node["node-name"]
        yield _render("device", _describe_device(domain, placed, place, drive))


def _is_plugged_later(disk: Disk) -> bool:
    """Returns whether libvirt plugs a disk in once the guest runs: guests share its image."""
    transient = disk.element.find("transient")
    return transient is not None and transient.get("shareBacking") == "yes"


def _number_secrets(node: Node) -> None:
    """Gives the objects that a node refers to its own name."""
    for key, value in node.items():
        if isinstance(value, dict) and key == "encrypt":
            _number_in(value, str(node["node-name"]))
    _number_in(node, str(node["node-name"]))


def _number_in(node: Node, name: str) -> None:
    for key in _REFERRING:
        value = node.get(key)
        if isinstance(value, str):
            node[key] = value.replace("libvirt-0-storage", name)


def _describe_device(
    domain: Domain, placed: Placed, place: Place, drive: object
) -> Mapping[str, object]:
    disk = place.disk
    own = disk.driver
    passes = disk.device == "lun"
    driver, address = _find_device(domain, placed, place)
    modes = CACHES.get(disk.cache)
    node: Node = {"driver": driver, **address, "drive": drive, "id": place.name}
    if disk.bus == "virtio":
        node |= _describe_virtio(domain, place)
    if disk.bus == "scsi" and not passes:
        node["device_id"] = disk.serial or f"drive-{place.name}"
    if disk.image.kind == "vhostuser":
        return {**node, "drive": None, "bootindex": _boot(place)}
    policy = own.get("error_policy")
    reading = own.get("rerror_policy") or (policy if policy != "enospace" else None)
    return {
        **node,
        "share-rw": True if disk.shareable else None,
        "bootindex": _boot(place),
        **disk.sizes,
        **disk.geometry,
        "removable": _find_removable(disk),
        "rotation_rate": disk.rotation_rate or None,
        "wwn": int(disk.wwn, 16) if disk.wwn else None,
        **_describe_names(disk),
        "serial": disk.serial.replace(" ", "\\ ") or None,
        "write-cache": ("on" if modes[2] else "off") if modes is not None and not passes else None,
        "werror": "enospc" if policy == "enospace" else policy,
        "rerror": reading,
    }


def _boot(place: Place) -> int | None:
    return place.bootindex if place.disk.bus != "fdc" else None


def _find_removable(disk: Disk) -> bool | None:
    if disk.bus == "usb":
        return disk.removable == "on"
    return disk.removable == "on" if disk.removable else None


def _describe_names(disk: Disk) -> Node:
    if disk.bus == "scsi":
        return {"vendor": disk.vendor or None, "product": disk.product or None}
    return {"model": disk.product or None} if disk.bus in {"ide", "sata"} else {}


def _describe_virtio(domain: Domain, place: Place) -> Node:
    disk, own = place.disk, place.disk.driver
    node: Node = {
        "num-queues": _number(own, "queues"),
        "queue-size": _number(own, "queue_size"),
        **{name: _truth(own, key) for key, name in _VIRTIO},
        **_describe_place(domain, disk.pci),
    }
    node["event_idx"] = _truth(own, "event_idx")
    if disk.image.kind == "vhostuser":
        return {**node, "chardev": f"chr-vu-{place.name}"}
    return {
        **node,
        "iothread": f"iothread{own['iothread']}" if "iothread" in own else None,
        "iothread-vq-mapping": _describe_mapping(disk.mapping),
        "ioeventfd": _truth(own, "ioeventfd"),
    }


def _find_device(domain: Domain, placed: Placed, place: Place) -> tuple[str, Node]:
    """Returns a disk's device and where it is.

    Raises:
        UnsupportedError: vmio does not print disks on its bus yet.
    """
    disk, drive = place.disk, place.drive
    kind = "cd" if disk.device == "cdrom" else "hd"
    if disk.bus == "virtio":
        if disk.address_type == "other":
            raise UnsupportedError(f"{disk.target}: vmio prints disks on PCI only yet")
        vhost = disk.image.kind == "vhostuser"
        model = disk.model.removeprefix("virtio")
        return f"{'vhost-user' if vhost else 'virtio'}-blk-pci{model}", {}
    if disk.bus == "usb":
        port = place.usb
        controller = placed.find_controller("usb", (port.bus if port is not None else 0) or 0)
        name = name_controller(controller) if controller is not None else "usb"
        number = port.port if port is not None else None
        return "usb-storage", {"bus": f"{name}.0", "port": number}
    controller = placed.find_controller(disk.bus, drive.controller) if drive is not None else None
    if drive is None or controller is None:
        raise UnsupportedError(f"{disk.target}: vmio does not print bus='{disk.bus}' yet")
    if disk.bus == "fdc":
        return "floppy", {"unit": drive.unit}
    if disk.bus == "ide":
        return f"ide-{kind}", {"bus": f"ide.{drive.bus}", "unit": drive.unit}
    if disk.bus == "sata":
        name = "ide" if is_built_in(domain, controller) else name_controller(controller)
        return f"ide-{kind}", {"bus": f"{name}.{drive.unit}"}
    device = "scsi-block" if disk.device == "lun" else f"scsi-{kind}"
    bus: Node = {"bus": f"{name_controller(controller)}.0"}
    if controller.model in {"lsilogic", "am53c974", "dc390", "ncr53c90"}:
        return device, {**bus, "scsi-id": drive.unit}
    return device, {**bus, "channel": drive.bus, "scsi-id": drive.target, "lun": drive.unit}
