"""Fixes that several rules offer."""

from __future__ import annotations

import pytest

from vmio.formats.base import ReadContext
from vmio.formats.registry import lay_out, read
from vmio.lint.diagnostic import Applicability
from vmio.lint.edits import separate_controllers
from vmio.lint.rule import Context
from vmio.model.host import Host
from vmio.model.source import Source


@pytest.mark.parametrize(
    ("text", "applicability", "words"),
    [
        ("scsihw: virtio-scsi-pci", Applicability.UNSAFE, "/dev/sdX in another order"),
        ("scsihw: pvscsi", Applicability.MANUAL, "once the guest has the driver"),
        ("ostype: l26", Applicability.MANUAL, "vmio plan says how to find out"),
        ("args: -device isa-applesmc", Applicability.MANUAL, "macOS has no driver"),
        (
            "args: -set device.scsihw0.x=1\nscsihw: virtio-scsi-pci",
            Applicability.MANUAL,
            "out of args",
        ),
    ],
)
def test_separate_controllers_is_a_persons_fix_where_a_disk_could_be_gone(
    text: str, applicability: Applicability, words: str
) -> None:
    """Only from virtio-scsi-pci, and with nothing that names it, are there edits."""
    source = Source(name="100.conf", data=f"{text}\nscsi0: /dev/a,iothread=1\n".encode())
    guest = read(source, ReadContext(storages={}, host=Host()))
    fix = separate_controllers(Context(guest=guest, topology=lay_out(guest), host=Host()))
    assert fix is not None
    assert fix.applicability == applicability
    assert words in fix.message
    assert bool(fix.edits) == (applicability == Applicability.UNSAFE)
