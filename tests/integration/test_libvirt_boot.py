"""Domains of libvirt booted here on scratch disks, each on the threads that its XML says."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from vmio import app
from vmio.bench.devices import pick_device
from vmio.errors import VmioError
from vmio.guest.agent import BlockDevice
from vmio.model.host import Host
from vmio.qemu.boot import Volumes

TESTS = Path(__file__).parents[1]
PEERS = TESTS.parents[1] / "shared" / "peers" / "libvirt"
DOMAINS = sorted(
    path
    for folder in (TESTS / "golden/libvirt", TESTS.parent / "examples", PEERS, PEERS / "stored")
    for path in folder.glob("*.xml")
    if not path.name.startswith("err-") and path.stem not in {"nvme-vhost", "scsi-models"}
)
"""Those of the project and, where they are beside it, others; but two that no QEMU here runs."""


def boot(path: Path, *, scratch_bytes: int = 1 << 20) -> tuple[str, ...]:
    """Boots a domain, and returns how it differs from what was planned."""
    how, _ = app.choose_boot(accelerator="tcg", memory_mib=64)
    guest = app.load(str(path), host=Host())

    async def run() -> tuple[str, ...]:
        async with app.boot(guest, how, Volumes(scratch_bytes=scratch_bytes)) as (process, placed):
            assert {each.disk.id for each in placed.disks} == {
                each.disk.id for each in app.lay_out(guest).disks
            }
            return (await app.verify(process, placed))[1]

    return asyncio.run(run())


@pytest.mark.parametrize("path", DOMAINS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_domain_runs_as_its_xml_says(path: Path) -> None:
    """On its controllers, behind its bridges, with its disks called as libvirt does."""
    assert boot(path) == ()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nvme-vhost", "vdc: another process or the host's kernel serves it, not QEMU"),
        ("scsi-models", "'dc-390' is not a valid device model name"),
    ],
)
def test_domain_that_cannot_run_here_is_refused(name: str, said: str) -> None:
    """A disk of another process, and the name by which libvirt calls QEMU's dc390."""
    with pytest.raises(VmioError, match=said):
        boot(TESTS / "golden/libvirt" / f"{name}.xml")


def test_bus_that_no_controller_has_gets_a_bridge(tmp_path: Path) -> None:
    """As libvirt adds it; a disk behind two bridges finds both."""
    path = tmp_path / "deep.xml"
    path.write_text(
        """<domain type='kvm'><name>deep</name><memory unit='MiB'>64</memory>
        <os><type arch='x86_64' machine='q35'>hvm</type></os><devices>
        <controller type='pci' index='9' model='pcie-to-pci-bridge'>
          <address type='pci' bus='0x07' slot='0x00'/></controller>
        <disk type='file' device='disk'><source file='/a'/><target dev='vda' bus='virtio'/>
          <address type='pci' bus='0x09' slot='0x03'/></disk>
        <disk type='file' device='disk'><source file='/b'/><target dev='vdb' bus='virtio'/>
          <address type='pci' bus='0x05' slot='0x00'/></disk>
        </devices></domain>"""
    )
    assert [
        (each.id, each.model) for each in app.lay_out(app.load(str(path), host=Host())).bridges
    ] == [
        ("pci.5", "pcie-root-port"),
        ("pci.7", "pcie-root-port"),
        ("pci.9", "pcie-pci-bridge"),
    ]
    assert boot(path) == ()


def test_bridges_on_each_other_end(tmp_path: Path) -> None:
    """Which libvirt refuses, and QEMU too."""
    path = tmp_path / "ring.xml"
    ports = "".join(
        f"<controller type='pci' index='{one}' model='pcie-root-port'>"
        f"<address type='pci' bus='{other}' slot='0'/></controller>"
        for one, other in ((1, 2), (2, 1))
    )
    path.write_text(
        "<domain type='kvm'><name>ring</name><os><type machine='q35'>hvm</type></os><devices>"
        f"{ports}<disk type='file'><source file='/a'/><target dev='vda' bus='virtio'/>"
        "<address type='pci' bus='1' slot='0'/></disk></devices></domain>"
    )
    found = app.lay_out(app.load(str(path), host=Host()))
    assert sorted(each.id for each in found.bridges) == ["pci.1", "pci.2"]
    device = BlockDevice(
        name="vda",
        size_bytes=1,
        pci_path=("00.0",),
        scsi=None,
        ata=None,
        serial="",
        wwid="",
        read_only=False,
    )
    assert pick_device([device], found, found.disks[0]) is device
