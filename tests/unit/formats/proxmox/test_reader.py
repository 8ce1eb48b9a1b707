"""A config's lines to a guest."""

from __future__ import annotations

import pytest

from vmio.formats.proxmox.reader import Guest, read_guest
from vmio.model.host import Host
from vmio.model.source import Source


def read(text: str) -> Guest:
    """Reads a config without storages."""
    source = Source(name="100.conf", data=text.encode())
    return read_guest(source, storages={}, host=Host(qemu_version="10.0.2"))


@pytest.mark.parametrize(
    "text",
    [
        "cores: 2\ncores: x\n",
        "cores: x\ncores: 2\n",
    ],
)
def test_line_that_is_dropped_leaves_an_earlier_one_in_force(text: str) -> None:
    """Of two lines of a key the last valid one holds, and the other one is told."""
    guest = read(text)
    assert guest.settings["cores"] == "2"
    assert guest.vm.vcpus == 2
    (problem,) = guest.vm.problems
    assert guest.vm.source.read_span(problem.span) == "x"


def test_drive_that_is_dropped_leaves_an_earlier_one_in_force() -> None:
    """The same holds for drives, of which a bad option drops the line."""
    guest = read("scsi0: /a.raw,iothread=1\nscsi0: /b.raw,iothread=2\n")
    assert [disk.volume for disk in guest.vm.disks] == ["/a.raw"]
    assert guest.settings["scsi0"] == "/a.raw,iothread=1"
    assert [problem.kind for problem in guest.vm.problems] == ["bad-value"]


def test_drive_that_is_left_out_replaces_an_earlier_one() -> None:
    """A line that is well written holds, even if its drive then cannot be used."""
    guest = read("scsi0: /a.raw\nscsi0: /b.raw,mbps_max=5\n")
    assert guest.vm.disks == ()
    assert [problem.kind for problem in guest.vm.problems] == ["drive-dropped"]


def test_cdrom_is_another_name_of_ide2() -> None:
    """Whichever of the two stands last holds."""
    assert read("ide2: /a.raw\ncdrom: none,media=cdrom\n").vm.disks[0].volume == "none"
    assert read("cdrom: none,media=cdrom\nide2: /a.raw\n").vm.disks[0].volume == "/a.raw"
