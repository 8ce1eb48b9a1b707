"""Layouts as QEMU's own options."""

from __future__ import annotations

import json
import re
from typing import Any

from vmio.formats.qemu.render import render_layout
from vmio.model.controller import Bridge, Controller, PciAddress
from vmio.model.disk import Backing, Disk
from vmio.model.iothread import IOThread, VirtqueueMapping
from vmio.model.topology import AttachedDisk, Topology
from vmio.values import replace

BACKING = Backing(filename="/a,b.raw", format="raw")
DISK = Disk(id="d0", bus="scsi", index=0, backing=BACKING)
ATTACHED = AttachedDisk(
    disk=DISK,
    controller="c0",
    address=(("bus", "c0.0"), ("lun", 3)),
    driver="scsi-hd",
    cache_direct=True,
    cache_no_flush=False,
    write_cache=True,
    aio="native",
    detect_zeroes="on",
)
CONTROLLER = Controller(
    id="c0", model="virtio-scsi-pci", bus="scsi", pci=PciAddress(bus="pci.3", slot=17)
)


def render(topology: Topology) -> list[tuple[str, dict[str, Any]]]:
    """Returns the options with their values read back as vmio reads any command line."""
    return [(option, _read(value)) for option, value in render_layout(topology)]


def _read(value: str) -> dict[str, Any]:
    if value.startswith("{"):
        read: dict[str, Any] = json.loads(value)
        return read
    driver, *parts = re.split(r"(?<!,),(?!,)", value)
    pairs = (part.replace(",,", ",").split("=", 1) for part in parts)
    return {"driver": driver} | {
        key: int(text) if text.isdecimal() else text for key, text in pairs
    }


def render_one(attached: AttachedDisk, controller: Controller = CONTROLLER) -> dict[str, Any]:
    """Returns the properties of the disk's device, by the option and whatever makes it."""
    options = render(Topology(controllers=(controller,), disks=(attached,)))
    return {name: value for name, value in options if value.get("driver") != controller.model} | {
        "controller": next(
            (value for _, value in options if value.get("driver") == controller.model), None
        )
    }


def test_options_come_behind_what_they_refer_to() -> None:
    """Objects first, then buses from the root on, controllers, and each disk's node and device."""
    limited = replace(ATTACHED, disk=replace(DISK, limits=(("bps-read", 1024),)))
    options = render(
        Topology(
            iothreads=(IOThread(id="io0", poll_max_ns=5),),
            bridges=(
                Bridge(id="dmi", model="i82801b11-bridge", pci=PciAddress(bus="pcie.0", slot=30)),
                Bridge(
                    id="pci.3",
                    model="pci-bridge",
                    pci=PciAddress(bus="dmi", slot=4, function=1),
                    chassis=4,
                ),
            ),
            controllers=(replace(CONTROLLER, iothread="io0", num_queues=2),),
            disks=(limited,),
        )
    )
    assert options[:5] == [
        ("-object", {"qom-type": "iothread", "id": "io0", "poll-max-ns": 5}),
        (
            "-object",
            {
                "qom-type": "throttle-group",
                "id": "throttle-drive-d0",
                "limits": {"bps-read": 1024},
            },
        ),
        ("-device", {"driver": "i82801b11-bridge", "id": "dmi", "bus": "pcie.0", "addr": "0x1e"}),
        (
            "-device",
            {
                "driver": "pci-bridge",
                "id": "pci.3",
                "chassis_nr": 4,
                "bus": "dmi",
                "addr": "0x4.0x1",
            },
        ),
        (
            "-device",
            {
                "driver": "virtio-scsi-pci",
                "id": "c0",
                "bus": "pci.3",
                "addr": "0x11",
                "iothread": "io0",
                "num_queues": 2,
            },
        ),
    ]
    assert [option for option, _ in options[5:]] == ["-blockdev", "-device"]
    node = options[5][1]
    assert (node["driver"], node["throttle-group"]) == ("throttle", "throttle-drive-d0")
    assert node["node-name"] == options[6][1]["drive"]


def test_nodes_say_how_the_file_is_opened() -> None:
    """Cache, engine and zero detection reach the node that opens the file."""
    node = render_one(ATTACHED)["-blockdev"]
    assert node["file"] == {
        "read-only": False,
        "discard": "ignore",
        "detect-zeroes": "on",
        "cache": {"direct": True, "no-flush": False},
        "driver": "file",
        "filename": "/a,b.raw",
        "aio": "native",
    }
    assert node["node-name"] == "drive-d0"


def test_node_that_is_no_file_has_no_engine_and_its_own_fields() -> None:
    """A driver that does its own I/O is not told an engine, and its fields stand for the name."""
    backing = Backing(
        filename="rbd:p/i", format="raw", driver="rbd", options=(("pool", "p"), ("image", "i"))
    )
    node = render_one(replace(ATTACHED, disk=replace(DISK, backing=backing)))["-blockdev"]
    assert {key: node["file"][key] for key in ("driver", "pool", "image")} == {
        "driver": "rbd",
        "pool": "p",
        "image": "i",
    }
    assert not {"aio", "filename"} & set(node["file"])


def test_cdrom_is_read_only_and_an_empty_one_has_no_node() -> None:
    """An empty drive is a device alone."""
    cd = replace(
        ATTACHED, disk=replace(DISK, media="cdrom"), driver="scsi-cd", detect_zeroes=None,
        read_only=True,
    )  # fmt: skip
    options = render_one(cd)
    assert options["-blockdev"]["read-only"] is True
    assert not {"discard", "detect-zeroes"} & set(options["-blockdev"])
    assert "write-cache" not in options["-device"]
    empty = render_one(replace(cd, disk=replace(DISK, media="cdrom", backing=None)))
    assert "-blockdev" not in empty
    assert "drive" not in empty["-device"]


def test_device_tells_the_guest_what_its_disk_is() -> None:
    """Place, identity, boot order and error policies reach the device, with QEMU's types."""
    disk = replace(
        DISK, ssd=True, wwn="0x5000c50000000001", vendor="V", product="P", bootindex=100,
        serial="a,b", rerror="stop", werror="report",
    )  # fmt: skip
    assert render_one(replace(ATTACHED, disk=disk, write_cache=False))["-device"] == {
        "driver": "scsi-hd",
        "id": "d0",
        "bus": "c0.0",
        "lun": 3,
        "drive": "drive-d0",
        "rotation_rate": 1,
        "wwn": 0x5000C50000000001,
        "vendor": "V",
        "product": "P",
        "bootindex": 100,
        "serial": "a,b",
        "write-cache": "off",
        "rerror": "stop",
        "werror": "report",
    }


def test_long_serial_number_is_not_the_device_id_too() -> None:
    """As OpenStack gives one; QEMU refuses it otherwise."""
    disk = replace(DISK, serial="b9c3f0b1-31a5-4e0a-8ec6-d7a2f6a4e4b1")
    device = render_one(replace(ATTACHED, disk=disk))["-device"]
    assert (device["serial"], device["device_id"]) == (disk.serial, "drive-d0")


def test_virtio_blk_is_its_own_controller_with_its_mapping() -> None:
    """The disk's device has the address, the queues and the threads; no controller is made."""
    controller = Controller(
        id="d0",
        model="virtio-blk-pci",
        bus="virtio",
        pci=PciAddress(bus="pci.0", slot=10),
        num_queues=4,
        iothread_vq_mapping=(
            VirtqueueMapping(iothread="a", vqs=(0, 2)),
            VirtqueueMapping(iothread="b", vqs=(1, 3)),
        ),
    )
    attached = replace(
        ATTACHED,
        disk=replace(DISK, bus="virtio"),
        controller="d0",
        address=(),
        driver="virtio-blk-pci",
    )
    options = render(Topology(controllers=(controller,), disks=(attached,)))
    assert [option for option, _ in options] == ["-blockdev", "-device"]
    device = options[1][1]
    assert device["iothread-vq-mapping"] == [
        {"iothread": "a", "vqs": [0, 2]},
        {"iothread": "b", "vqs": [1, 3]},
    ]
    assert (device["bus"], device["addr"], device["num-queues"]) == ("pci.0", "0xa", 4)


def test_built_in_controller_is_not_made() -> None:
    """The IDE of a PC is there already."""
    controller = Controller(id="c0", model="piix3-ide", bus="ide", built_in=True)
    disk = replace(DISK, bus="ide", model="M")
    attached = replace(
        ATTACHED, disk=disk, address=(("bus", "ide.0"), ("unit", 1)), driver="ide-hd"
    )
    options = render_one(attached, controller)
    assert options["controller"] is None
    assert (options["-device"]["unit"], options["-device"]["model"]) == (1, "M")
