"""What a comparison waits for."""

from __future__ import annotations

import asyncio

import pytest

from vmio.bench import compare
from vmio.guest.agent import Agent, BlockDevice
from vmio.model.controller import Controller
from vmio.model.disk import Backing, Disk
from vmio.model.topology import AttachedDisk, Topology

TOPOLOGY = Topology(
    controllers=(Controller(id="scsihw0", model="virtio-scsi-pci", bus="scsi"),),
    disks=tuple(
        AttachedDisk(
            disk=Disk(
                id=f"scsi{number}",
                bus="scsi",
                index=number,
                media="cdrom" if number == 2 else "disk",
                backing=Backing(filename="/x", format="raw"),
            ),
            controller="scsihw0",
        )
        for number in range(3)
    ),
)


class SlowAgent(Agent):
    """An agent of a guest that sees one more disk each time that it is asked."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self.asked = 0

    async def disks(self) -> tuple[BlockDevice, ...]:
        """Returns what has come up so far."""
        self.asked += 1
        return tuple(
            BlockDevice(
                name=name,
                size_bytes=1,
                pci_path=(),
                scsi=None,
                ata=None,
                serial="",
                wwid="",
                read_only=False,
            )
            for name in self.names[: self.asked]
        )


def test_disks_that_come_late_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both disks have to be there before one is picked; a cd-rom counts for none."""
    monkeypatch.setattr(compare, "_DISKS_INTERVAL_S", 0.0)
    agent = SlowAgent(("sr0", "sda", "sdb", "sdc"))
    devices = asyncio.run(compare._wait_for_disks(agent, TOPOLOGY))
    assert [device.name for device in devices] == ["sr0", "sda", "sdb"]


def test_disk_that_never_comes_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk without a driver must not keep another one from being measured."""
    monkeypatch.setattr(compare, "_DISKS_INTERVAL_S", 0.0)
    monkeypatch.setattr(compare, "_DISKS_TIMEOUT_S", 0.05)
    agent = SlowAgent(("sda",))
    devices = asyncio.run(compare._wait_for_disks(agent, TOPOLOGY))
    assert [device.name for device in devices] == ["sda"]
    assert agent.asked > 1
