"""A config's lines to a guest."""

from __future__ import annotations

import pytest

from vmio.formats.base import ReadContext
from vmio.formats.proxmox.reader import ProxmoxGuest, read_guest
from vmio.model.host import Host
from vmio.model.source import Source
from vmio.model.version import parse_version


def read(text: str) -> ProxmoxGuest:
    """Reads a config without storages."""
    source = Source(name="100.conf", data=text.encode())
    return read_guest(
        source, ReadContext(storages={}, host=Host(qemu_version=parse_version("10.0.2")))
    )


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


def test_bad_line_is_named_as_it_is_written() -> None:
    """What is wrong with `cdrom:` is told of that key, and is the drive ide2's."""
    (problem,) = read("cdrom: none,iothread=1\n").vm.problems
    assert problem.message.startswith("unable to parse value of 'cdrom' - format error")
    assert problem.subject == "ide2"


@pytest.mark.parametrize(
    ("text", "vcpus"),
    [
        ("sockets: 0\ncores: 4", 4),
        ("sockets: 0\nsmp: 2\ncores: 03", 6),
        ("sockets: 2\ncores: 0", 2),
        ("cores: 4\nvcpus: 0", 4),
        ("cores: 4\nvcpus: 3", 3),
    ],
)
def test_count_of_0_is_none(text: str, vcpus: int) -> None:
    """Where a count is 0 the next default holds."""
    assert read(text).vm.vcpus == vcpus


def test_quotes_around_a_word_are_taken_off() -> None:
    """A word of no form of its own counts without one pair of quotes."""
    guest = read('scsihw: "virtio-scsi-single"\nname: x\n')
    assert guest.scsihw == "virtio-scsi-single"


@pytest.mark.parametrize(
    "text",
    [
        "bios: seabios\nefidisk0: /dev/x,format=qcow2",
        "efidisk0: /dev/x",
        "tpmstate0: /x,format=raw",
    ],
)
def test_format_of_what_nothing_opens_is_not_looked_at(text: str) -> None:
    """Without UEFI an efidisk may say any format, and the state of a TPM always may."""
    assert [backing.error for backing in read(text).volumes.values()] == [""]


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("scsi0: /dev/sda\nvirtio1: /dev/sda,iothread=1\n", ["virtio1"]),
        (
            "scsi0: lvm:vm-1-disk-0\nscsi1: lvm:vm-1-disk-0,size=1G\nscsi2: lvm:vm-1-disk-0\n",
            ["scsi1", "scsi2"],
        ),
        ("scsi0: /a.raw,ro=1\nscsi1: /a.raw\n", ["scsi1"]),
        ("scsi0: /a.raw,ro=1\nscsi1: /a.raw,ro=1\n", []),
        ("scsi0: /a.raw\nscsi1: /a.raw,snapshot=1\n", []),
        ("ide0: none,media=cdrom\nide2: none,media=cdrom\n", []),
        ("ide0: local:iso/x.iso,media=cdrom\nide2: local:iso/x.iso,media=cdrom\n", []),
        ("scsi0: /a.raw\nscsi1: /b.raw\n", []),
        ("template: 1\nscsi0: /a.raw\nscsi1: /a.raw\n", []),
    ],
)
def test_volume_of_two_disks_is_refused(text: str, refused: list[str]) -> None:
    """QEMU locks what it writes to, and does not start."""
    vm = read(text).vm
    found = [each for each in vm.problems if each.kind == "refused-option"]
    assert [each.subject for each in found] == refused
    assert all("already, and not to be written by both" in each.message for each in found)


def test_restart_makes_what_waits_for_it() -> None:
    """Settings in [PENDING] replace those of the VM, or remove them; then nothing waits."""
    text = (
        "memory: 512\nscsi0: /a.raw\nscsi1: /b.raw\nscsihw: virtio-scsi-pci\n\n"
        "[PENDING]\ndelete: scsi1,!name\nscsi0: /a.raw,iothread=1\nscsi2: /c.raw\n"
    )
    source = Source(name="100.conf", data=text.encode())
    now = read_guest(source, ReadContext(host=Host()))
    then = read_guest(source, ReadContext(host=Host(), restarted=True))

    assert [(each.id, each.iothread) for each in now.vm.disks] == [
        ("scsi0", None),
        ("scsi1", None),
    ]
    assert now.vm.waiting == {"scsi0", "scsi1", "scsi2", "name"}
    assert [(each.id, each.iothread) for each in then.vm.disks] == [
        ("scsi0", True),
        ("scsi2", None),
    ]
    assert then.settings["scsihw"] == "virtio-scsi-pci"
    assert then.vm.waiting == frozenset()
