"""Edits that several rules share stand where Proxmox itself would write."""

from __future__ import annotations

import pytest

from vmio.formats.base import ReadContext
from vmio.formats.proxmox.reader import read_guest
from vmio.lint.diagnostic import Applicability
from vmio.lint.edits import separate_controllers, set_scsihw
from vmio.model.disk import Disk
from vmio.model.host import Host
from vmio.model.source import Source, Span, apply_edits
from vmio.model.vm import Vm


def make_source(data: bytes) -> Source:
    """Returns a source of some bytes."""
    return Source(name="100.conf", data=data)


def test_set_scsihw_keeps_a_carriage_return() -> None:
    """A file with DOS line ends keeps them."""
    source = make_source(b"scsihw: lsi\r\ncores: 1\r\n")
    vm = Vm(id="1", notation="proxmox", source=source, spans={"scsihw": Span(start=0, end=12)})
    edits = set_scsihw(vm, "virtio-scsi-single")
    assert apply_edits(source, edits) == b"scsihw: virtio-scsi-single\r\ncores: 1\r\n"


def test_set_scsihw_needs_a_place() -> None:
    """Without its line and without a SCSI drive's there is nothing to edit."""
    disk = Disk(id="scsi0", bus="scsi", index=0)
    vm = Vm(id="1", notation="proxmox", source=make_source(b""), disks=(disk,))
    assert set_scsihw(vm, "lsi") == ()


@pytest.mark.parametrize(
    ("text", "applicability", "words"),
    [
        ("scsihw: virtio-scsi-pci", Applicability.UNSAFE, "/dev/sdX in another order"),
        ("scsihw: pvscsi", Applicability.DISPLAY, "once the guest has the driver"),
        ("ostype: l26", Applicability.DISPLAY, "vmio plan says how to find out"),
        ("args: -device isa-applesmc", Applicability.DISPLAY, "macOS has no driver"),
        (
            "args: -set device.scsihw0.x=1\nscsihw: virtio-scsi-pci",
            Applicability.DISPLAY,
            "out of args",
        ),
    ],
)
def test_separate_controllers_is_a_persons_fix_where_a_disk_could_be_gone(
    text: str, applicability: Applicability, words: str
) -> None:
    """Only from virtio-scsi-pci, and with nothing that names it, are there edits."""
    source = make_source(f"{text}\nscsi0: /dev/a,iothread=1\n".encode())
    fix = separate_controllers(read_guest(source, ReadContext(storages={}, host=Host())).vm)
    assert fix.applicability == applicability
    assert words in fix.message
    assert bool(fix.edits) == (applicability == Applicability.UNSAFE)
