"""A layout as options of QEMU's own: objects, bridges, controllers, block nodes and devices.

This is for guests that vmio boots; a manager with a command line of its own writes that itself.
Options are JSON, but a device is JSON only if one of its properties is a list: `-set`, which a
config's own options may contain, changes only a device in the form `key=value`, and QEMU creates
those before all devices in JSON.

Source: QEMU 9.0 to 11.1, `-object`, `-blockdev` and `-device` with JSON (since 6.2).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial

from vmio.model.controller import Bridge, Controller, PciAddress
from vmio.model.disk import FILE_DRIVERS, Backing, Disk
from vmio.model.iothread import PARAMETERS, IOThread
from vmio.model.topology import AttachedDisk, Topology

__all__ = ["Argument", "render_layout"]

Argument = tuple[str, ...]
"""An option and its value, or an option alone."""
_Properties = Mapping[str, object]

_NAMED = frozenset({"scsi-hd", "scsi-cd"})
"""Devices that report a vendor and a product to the guest."""
_LONGEST_DEVICE_ID = 20
"""Characters. Source: QEMU 10.0.2, run: it refuses longer serial numbers without a `device_id`."""


def render_layout(topology: Topology) -> Iterator[Argument]:
    """Yields the options that define a layout, each after those that it refers to."""
    as_json = any(controller.iothread_vq_mapping for controller in topology.controllers)
    render_device = partial(_render, "device") if as_json else _render_pairs
    for iothread in topology.iothreads:
        yield _render("object", _describe_iothread(iothread))
    for attached in topology.disks:
        if attached.disk.limits and attached.disk.backing is not None:
            yield _render("object", _describe_limits(attached.disk))
    for bridge in topology.bridges:
        yield render_device(_describe_bridge(bridge))
    for controller in topology.controllers:
        if controller.bus != "virtio" and not controller.built_in:
            yield render_device(_describe_controller(controller))
    for hub in _find_hubs(topology):
        yield render_device(hub)
    for attached in topology.disks:
        if attached.disk.backing is not None:
            yield _render("blockdev", _describe_nodes(attached, attached.disk.backing))
        yield render_device(_describe_device(attached, topology.controller_of(attached)))


def _render(option: str, properties: _Properties) -> Argument:
    written = {key: value for key, value in properties.items() if value is not None}
    return f"-{option}", json.dumps(written, separators=(",", ":"))


def _render_pairs(device: _Properties) -> Argument:
    parts = (
        f"{key}={'on' if value is True else str(value).replace(',', ',,')}"
        for key, value in device.items()
        if value is not None and key != "driver"
    )
    return "-device", ",".join((str(device["driver"]), *parts))


def _describe_iothread(iothread: IOThread) -> _Properties:
    parameters = {name.replace("_", "-"): getattr(iothread, name) for name in ("id", *PARAMETERS)}
    return {"qom-type": "iothread", **parameters}


def _describe_limits(disk: Disk) -> _Properties:
    return {"qom-type": "throttle-group", "id": _name_group(disk), "limits": dict(disk.limits)}


def _name_group(disk: Disk) -> str:
    return f"throttle-drive-{disk.id}"


def _describe_bridge(bridge: Bridge) -> _Properties:
    return {
        "driver": bridge.model,
        "id": bridge.id,
        "chassis_nr" if bridge.model == "pci-bridge" else "chassis": bridge.chassis,
        "multifunction": bridge.multifunction or None,
        **_place(bridge.pci, bridge.pci_bus),
    }


def _place(pci: PciAddress | None, bus: str) -> _Properties:
    if pci is None:
        return {"bus": bus} if bus else {}
    function = f".{pci.function:#x}" if pci.function else ""
    return {"bus": pci.bus, "addr": f"{pci.slot:#x}{function}"}


def _describe_controller(controller: Controller) -> _Properties:
    return {
        "driver": controller.model,
        "id": controller.id,
        **_place(controller.pci, controller.pci_bus),
        **_serve(controller),
    }


def _find_hubs(topology: Topology) -> Iterator[_Properties]:
    """Yields the USB hubs that the ports of disks are on, each after the one that it is on."""
    found: dict[tuple[str | int, str], None] = {}
    for attached in topology.disks:
        address = dict(attached.address)
        *above, _ = str(address.get("port", "")).split(".")
        for length in range(1, len(above) + 1):
            found[address["bus"], ".".join(above[:length])] = None
    for bus, port in found:
        yield {"driver": "usb-hub", "bus": bus, "port": port}


def _serve(controller: Controller) -> _Properties:
    """Returns the properties for a controller's IOThreads and its number of queues."""
    mapping = [
        {"iothread": entry.iothread, **({"vqs": list(entry.vqs)} if entry.vqs else {})}
        for entry in controller.iothread_vq_mapping
    ]
    # virtio-scsi calls it num_queues, and QEMU takes either spelling only of virtio-blk.
    queues = "num-queues" if controller.bus == "virtio" else "num_queues"
    return {
        "iothread": controller.iothread,
        "iothread-vq-mapping": mapping or None,
        queues: controller.num_queues,
    }


def _describe_nodes(attached: AttachedDisk, backing: Backing) -> _Properties:
    """Returns a disk's nodes: its limits, if any, over the image's format over the file."""
    disk = attached.disk
    common: dict[str, object] = {"read-only": attached.read_only}
    if disk.media != "cdrom":
        common["discard"] = disk.discard or "ignore"
        common["detect-zeroes"] = attached.detect_zeroes or "off"
    cache = {
        "direct": bool(attached.cache_direct),
        "no-flush": bool(attached.cache_no_flush),
    }
    file = {
        **common,
        "cache": cache,
        "driver": backing.driver,
        **(dict(backing.options) or {"filename": backing.filename}),
    }
    if backing.driver in FILE_DRIVERS and attached.aio is not None:
        file["aio"] = attached.aio
    image = {**common, "cache": cache, "driver": backing.format, "file": file}
    if not disk.limits:
        return {"node-name": _name_node(disk), **image}
    throttle = {"driver": "throttle", "throttle-group": _name_group(disk), "file": image}
    return {"node-name": _name_node(disk), **common, **throttle}


def _name_node(disk: Disk) -> str:
    return f"drive-{disk.id}"


def _describe_device(attached: AttachedDisk, controller: Controller) -> _Properties:
    disk, driver = attached.disk, attached.driver
    is_virtio = disk.bus == "virtio"
    has_cache = disk.media != "cdrom" and driver != "scsi-generic"
    return {
        "driver": driver,
        "id": attached.qemu_id,
        **dict(attached.address),
        **(
            {**_place(controller.pci, controller.pci_bus), **_serve(controller)}
            if is_virtio
            else {}
        ),
        "drive": _name_node(disk) if disk.backing is not None else None,
        "model": disk.model if driver == "ide-hd" else None,
        "rotation_rate": 1 if disk.ssd and driver.endswith("-hd") else None,
        "wwn": int(disk.wwn, 16) if disk.wwn is not None else None,
        "vendor": disk.vendor if driver in _NAMED else None,
        "product": disk.product if driver in _NAMED else None,
        "bootindex": disk.bootindex,
        "serial": disk.serial,
        # Unless it is given, it is the serial number.
        "device_id": f"drive-{disk.id}"
        if driver in _NAMED and len(disk.serial or "") > _LONGEST_DEVICE_ID
        else None,
        "write-cache": _on_off(attached.write_cache) if has_cache else None,
        "rerror": disk.rerror,
        "werror": disk.werror,
    }


def _on_off(value: bool | None) -> str:  # noqa: FBT001 - one truth is all it takes
    return "on" if value else "off"
