"""Layouts that cannot be are told from those that can."""

from __future__ import annotations

import pytest

from vmio.errors import PlanError
from vmio.model.controller import Controller, PciAddress
from vmio.model.disk import Disk
from vmio.model.iothread import IOThread, VirtqueueMapping
from vmio.model.topology import AttachedDisk, Topology
from vmio.policy.invariants import check_topology, find_violations
from vmio.values import replace

SLOT = PciAddress(bus="pci.0", slot=5)


def attach(number: int, controller: str, **place: int) -> AttachedDisk:
    """Returns a SCSI disk on a controller."""
    return AttachedDisk(
        disk=Disk(id=f"scsi{number}", bus="scsi", index=number),
        controller=controller,
        address=(("bus", f"{controller}.0"), *place.items()),
    )


def map_to(*entries: tuple[str, tuple[int, ...]], num_queues: int | None = None) -> Topology:
    """Returns a layout whose controller has a mapping."""
    mapping = tuple(VirtqueueMapping(iothread=name, vqs=vqs) for name, vqs in entries)
    controller = replace(
        GOOD.controllers[0], iothread=None, iothread_vq_mapping=mapping, num_queues=num_queues
    )
    return replace(GOOD, controllers=(controller,))


GOOD = Topology(
    iothreads=(IOThread(id="a"), IOThread(id="b")),
    controllers=(
        Controller(id="hba0", model="virtio-scsi-pci", bus="scsi", pci=SLOT, iothread="a"),
    ),
    disks=(attach(0, "hba0", lun=0), attach(1, "hba0", lun=1)),
    vcpus=2,
)
(HBA,) = GOOD.controllers


def test_layout_that_can_be_is_not_refused() -> None:
    """One thread for a controller, or a mapping with and without queues."""
    for topology in (
        GOOD,
        map_to(("a", ()), ("b", ())),
        map_to(("a", (1,)), ("b", (0,))),
        map_to(("a", (0, 2)), ("b", (1,)), num_queues=3),
    ):
        assert find_violations(topology, qemu=(10, 0)) == ()
    check_topology(GOOD)


@pytest.mark.parametrize(
    ("topology", "words"),
    [
        (replace(GOOD, iothreads=(*GOOD.iothreads, IOThread(id="a"))), "IOThread a exists 2"),
        (replace(GOOD, iothreads=()), "there is no IOThread a"),
        (replace(GOOD, controllers=(HBA, HBA)), "controller hba0 exists 2"),
        (
            replace(GOOD, controllers=(HBA, replace(HBA, id="hba1"))),
            "PCI address pci.0:0x5 exists 2",
        ),
        (replace(GOOD, disks=(attach(0, "hba0", lun=0),) * 2), "disk scsi0 exists 2"),
        (
            replace(GOOD, disks=(attach(0, "hba0", lun=0), attach(1, "hba0", lun=0))),
            "place bus hba0.0, lun 0 exists 2",
        ),
        (replace(GOOD, disks=(attach(0, "hba9"),)), "no controller hba9"),
        (
            replace(GOOD, controllers=(replace(HBA, model="lsi"),)),
            "lsi cannot have an IOThread",
        ),
        (
            replace(
                GOOD,
                controllers=(replace(HBA, model="lsi", iothread=None),),
                disks=tuple(attach(n, "hba0", lun=n) for n in range(8)),
            ),
            "hba0 has 8 disks, and room for 7",
        ),
        (map_to(("a", ()), ("a", ())), "mapping of hba0 to a exists 2"),
        (map_to(("a", ()), ("c", ())), "there is no IOThread c"),
        (map_to(("a", (0, 1)), ("b", ())), "either all entries"),
        (map_to(("a", (0,)), ("b", (0,))), "queue of hba0 0 exists 2"),
        (map_to(("a", (0,)), ("b", (2,))), "has to name all 2"),
        (map_to(("a", (0,))), "a queue is left to the main loop"),
        (
            replace(
                map_to(("b", ())),
                controllers=(replace(HBA, iothread_vq_mapping=(VirtqueueMapping(iothread="b"),)),),
            ),
            "exclude each other",
        ),
    ],
)
def test_layout_that_cannot_be_is_told(topology: Topology, words: str) -> None:
    """Each thing that QEMU would refuse, or that would not serve a disk, is said in words."""
    assert any(words in line for line in find_violations(topology))
    with pytest.raises(PlanError):
        check_topology(topology)


def test_drives_have_the_numbers_of_their_notation() -> None:
    """A notation that numbers them has so many and no more; QEMU's own takes any."""
    full = replace(GOOD, disks=tuple(attach(n, "hba0", lun=n) for n in range(32)))
    (said,) = find_violations(full, drive_counts={"scsi": 31})
    assert "32 disks on scsi, and numbers for 31" in said
    with pytest.raises(PlanError):
        check_topology(full, drive_counts={"scsi": 31})
    assert find_violations(full) == ()


def test_mapping_needs_a_qemu_that_has_it() -> None:
    """virtio-scsi has it since 10.0; a version that is not known is not held against it."""
    mapped = map_to(("a", ()), ("b", ()))
    assert "since QEMU 10.0" in " ".join(find_violations(mapped, qemu=(9, 2)))
    assert find_violations(mapped) == ()
