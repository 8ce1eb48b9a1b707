"""Which block device of a guest a configured disk is."""

from __future__ import annotations

import pytest

from vmio.bench.devices import pick_device
from vmio.errors import GuestError
from vmio.guest.agent import BlockDevice
from vmio.model.controller import Bridge, Controller, PciAddress
from vmio.model.disk import BusKind, Disk
from vmio.model.topology import AttachedDisk, Topology
from vmio.values import replace


def device(
    name: str,
    *path: str,
    scsi: tuple[int, int, int] | None = None,
    serial: str = "",
) -> BlockDevice:
    """Returns a device as the agent tells it."""
    return BlockDevice(
        name=name,
        size_bytes=1 << 30,
        pci_path=path,
        scsi=scsi,
        ata=None,
        serial=serial,
        wwid="",
        read_only=False,
    )


def attach(name: str, bus: BusKind, controller: str, **address: int) -> AttachedDisk:
    """Returns a disk in its place."""
    return AttachedDisk(
        disk=Disk(id=name, bus=bus, index=0),
        controller=controller,
        address=tuple((key.replace("_", "-"), value) for key, value in address.items()),
    )


def controller(
    name: str, model: str, bus: BusKind, pci: tuple[str, int] | None = None
) -> Controller:
    """Returns a controller, built in when it has no address."""
    return Controller(
        id=name,
        model=model,
        bus=bus,
        pci=PciAddress(bus=pci[0], slot=pci[1]) if pci else None,
        built_in=pci is None,
    )


SHARED = Topology(
    controllers=(controller("scsihw0", "virtio-scsi-pci", "scsi", ("pci.0", 5)),),
    disks=tuple(
        attach(f"scsi{n}", "scsi", "scsihw0", channel=0, scsi_id=0, lun=n) for n in range(3)
    ),
)
SINGLE = Topology(
    controllers=tuple(
        controller(f"virtioscsi{n}", "virtio-scsi-pci", "scsi", ("pci.3", n + 1)) for n in range(3)
    ),
    disks=tuple(
        attach(f"scsi{n}", "scsi", f"virtioscsi{n}", channel=0, scsi_id=0, lun=n) for n in range(3)
    ),
)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_pick_device_tells_units_of_a_shared_controller(number: int) -> None:
    """Disks of one controller differ by their unit, whatever the kernel calls them."""
    devices = [device(f"sd{'cab'[n]}", "05.0", scsi=(0, 0, n)) for n in range(3)]
    assert pick_device(devices, SHARED, SHARED.disks[number]) == devices[number]


@pytest.mark.parametrize("number", [0, 1, 2])
def test_pick_device_tells_controllers_behind_a_bridge(number: int) -> None:
    """Disks with a controller each differ by its slot behind the bridge."""
    devices = [device(f"sd{'bca'[n]}", "05.0", f"0{n + 1}.0", scsi=(0, 0, n)) for n in range(3)]
    assert pick_device(devices, SINGLE, SINGLE.disks[number]) == devices[number]


def test_pick_device_tells_buses_with_the_same_slot_apart() -> None:
    """Slot 1 of the root bus is not slot 1 behind a bridge."""
    devices = [
        device("sda", "01.0", scsi=(0, 0, 0)),
        device("sdb", "05.0", "01.0", scsi=(0, 0, 0)),
    ]
    assert pick_device(devices, SINGLE, SINGLE.disks[0]).name == "sdb"


def test_pick_device_finds_virtio_blk_by_its_slot() -> None:
    """A virtio disk is its own PCI device."""
    topology = Topology(
        controllers=(controller("virtio1", "virtio-blk-pci", "virtio", ("pci.0", 11)),),
        disks=(attach("virtio1", "virtio", "virtio1"),),
    )
    devices = [device("vda", "0a.0"), device("vdb", "0b.0"), device("sda", "0b.0")]
    assert pick_device(devices, topology, topology.disks[0]).name == "vdb"


def test_pick_device_finds_ide_by_the_serial_that_qemu_counts() -> None:
    """The second IDE drive is QM00002, on whatever port the kernel finds it."""
    topology = Topology(
        controllers=(controller("ide", "piix3-ide", "ide"),),
        disks=(attach("ide0", "ide", "ide", unit=0), attach("ide1", "ide", "ide", unit=1)),
    )
    devices = [
        device("sda", "01.1", scsi=(0, 1, 0), serial="QM00002"),
        device("sdb", "01.1", scsi=(0, 0, 0), serial="QM00001"),
    ]
    assert pick_device(devices, topology, topology.disks[1]).name == "sda"


def test_pick_device_prefers_the_configured_serial() -> None:
    """A serial number of the disk's own says more than its place."""
    marked = replace(SHARED.disks[0], disk=replace(SHARED.disks[0].disk, serial="mine"))
    devices = [device("sda", "05.0"), device("sdb", "05.0", serial="mine")]
    assert pick_device(devices, SHARED, marked).name == "sdb"


def test_pick_device_says_that_none_fits() -> None:
    """A guest without the driver has no such device."""
    with pytest.raises(
        GuestError, match="device of scsi0 cannot be determined: it has none"
    ) as caught:
        pick_device([], SHARED, SHARED.disks[0])
    assert "driver" in caught.value.hint


def test_pick_device_never_guesses() -> None:
    """Two devices that could both be it are an error, not a coin's toss."""
    devices = [device("sda", "05.0"), device("sdb", "05.0")]
    with pytest.raises(GuestError, match="several devices match: /dev/sda, /dev/sdb"):
        pick_device(devices, SHARED, SHARED.disks[0])


def test_same_slot_behind_two_ports_is_told_by_the_ports() -> None:
    """Each port of PCI Express is a bus of its own, whose only slot is 0."""
    topology = Topology(
        bridges=tuple(
            Bridge(id=f"pci.{n}", model="pcie-root-port", pci=PciAddress(bus="pcie.0", slot=n))
            for n in (1, 2)
        ),
        controllers=tuple(
            controller(f"v{n}", "virtio-blk-pci", "virtio", (f"pci.{n}", 0)) for n in (1, 2)
        ),
        disks=tuple(attach(f"v{n}", "virtio", f"v{n}") for n in (1, 2)),
    )
    devices = [device("vda", "01.0", "00.0"), device("vdb", "02.0", "00.0")]
    assert [pick_device(devices, topology, each).name for each in topology.disks] == ["vda", "vdb"]
