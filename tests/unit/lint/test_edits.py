"""Edits that several rules share stand where Proxmox itself would write."""

from __future__ import annotations

from vmio.lint.edits import set_scsihw
from vmio.model.disk import Disk
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
