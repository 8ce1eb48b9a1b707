"""A drive's property string."""

# ruff: noqa: E501 - a table of expectations is read by its columns

from __future__ import annotations

import pytest

from vmio.formats.proxmox.config import parse_config
from vmio.formats.proxmox.drives import parse_drive
from vmio.formats.proxmox.schema import DRIVE_KEY
from vmio.model.disk import Backing, BusKind, Disk
from vmio.model.source import Problem, Source


def parse(line: str) -> tuple[Disk | None, tuple[Problem, ...], Source]:
    """Parses one drive line."""
    source = Source(name="100.conf", data=line.encode())
    entry = parse_config(source).main.entries[0]
    match = DRIVE_KEY.fullmatch(entry.key)
    assert match is not None
    buses: dict[str, BusKind] = {"ide": "ide", "scsi": "scsi", "virtio": "virtio", "sata": "sata"}
    disk, problems = parse_drive(
        source,
        entry,
        buses[match[1]],
        int(match[2]),
        lambda volume, image_format, _: Backing(filename=volume, format=image_format or "raw"),
    )
    return disk, problems, source


def test_options_are_read_with_their_places() -> None:
    """Each option is kept in QEMU's terms, with the span that it was written at."""
    disk, problems, source = parse(
        "scsi3: local:100/a.raw,cache=writeback,aio=native,discard=on,iothread=yes,queues=4,"
        "detect_zeroes=off,ssd=1,ro=1,size=1.5G,serial=a%2Cb,wwn=0x0123456789abcdef"
    )
    assert problems == ()
    assert disk is not None
    assert (disk.id, disk.bus, disk.index) == ("scsi3", "scsi", 3)
    assert (disk.cache, disk.aio, disk.discard) == ("writeback", "native", "unmap")
    assert (disk.iothread, disk.detect_zeroes, disk.ssd, disk.read_only) == (
        True,
        False,
        True,
        True,
    )
    assert (disk.queues, disk.size_bytes, disk.serial) == (4, 3 << 29, "a,b")
    assert source.read_span(disk.spans["iothread"]) == "iothread=yes"
    assert source.read_span(disk.spans["file"]) == "local:100/a.raw"


@pytest.mark.parametrize(
    "line",
    [
        "scsi0: file=local:100/a.raw,ssd=1",
        "scsi0: volume=local:100/a.raw,ssd=1",
        "scsi0: ssd=1,local:100/a.raw",
        "scsi0: ,,local:100/a.raw,, ssd=1 ,",
    ],
)
def test_volume_may_stand_anywhere(line: str) -> None:
    """The volume is the option without a key, `file` or `volume`; blank pieces are nothing."""
    disk, problems, _ = parse(line)
    assert problems == ()
    assert disk is not None
    assert disk.volume == "local:100/a.raw"
    assert disk.ssd


@pytest.mark.parametrize(
    ("line", "kind", "reason", "under"),
    [
        ("scsi0: a:b,iothread=2", "bad-value", "iothread: type check ('boolean') failed - got '2'", "iothread=2"),
        ("scsi0: a:b,queues=1", "bad-value", "queues: value must have a minimum value of 2", "queues=1"),
        ("scsi0: a:b,foo=bar", "bad-value", "foo: property is not defined in schema and the schema does not allow additional properties", "foo=bar"),
        ("scsi0: a:b,size=10Q", "bad-value", "size: invalid format - value does not look like a valid disk size: 10Q", "size=10Q"),
        ("scsi0: a:b,wwn=0x1", "bad-value", "wwn: value does not match the regex pattern", "wwn=0x1"),
        ("scsi0: a:b,ssd=1,ssd=1", "bad-value", "duplicate key in comma-separated list property: ssd", None),
        ("scsi0: ssd=1", "bad-value", "file: property is missing and it is not optional", None),
        ("ide0: a:b,iothread=1", "option-not-on-bus", "iothread: property is not defined", "iothread=1"),
        ("ide0: a:b,foo=1,iothread=1", "option-not-on-bus", "foo: property is not", "iothread=1"),
        ("sata0: a:b,iothread=1", "option-not-on-bus", "iothread: property is not defined", "iothread=1"),
        ("virtio0: a:b,ssd=1", "option-not-on-bus", "ssd: property is not defined", "ssd=1"),
        ("virtio0: a:b,queues=4", "option-not-on-bus", "queues: property is not defined", "queues=4"),
        ("virtio0: a:b,media=cdrom", "drive-dropped", "cannot be a cd-rom", "media=cdrom"),
        ("scsi0: a:b,media=cdrom,snapshot=1", "drive-dropped", "snapshot", "snapshot=1"),
        ("scsi0: a:b,media=cdrom,format=raw", "drive-dropped", "format", "format=raw"),
        ("scsi0: a:b,mbps_max=5", "drive-dropped", "mbps_max requires mbps", "mbps_max=5"),
        ("scsi0: a:b,bps_rd_max_length=5", "drive-dropped", "bps_rd_max_length requires mbps_rd_max", None),
        ("scsi0: a:b,iops_wr_length=5", "drive-dropped", "iops_wr_max_length requires iops_wr_max", None),
        ("scsi0: a:b,bps=5,mbps=5", "drive-dropped", "both bps and mbps specified", "bps=5"),
        ("scsi0: a:b,mbps=5,mbps_rd=5", "drive-dropped", "mbps cannot be combined", "mbps=5"),
        ("scsi0: a:b,iops=5,iops_wr=5", "drive-dropped", "iops cannot be combined", "iops=5"),
    ],
)  # fmt: skip
def test_bad_option_drops_the_drive(line: str, kind: str, reason: str, under: str | None) -> None:
    """One bad option and the whole drive is gone; the problem says why and where."""
    disk, (problem,), source = parse(line)
    assert disk is None
    assert problem.kind == kind
    assert reason in problem.message
    assert problem.subject == line.partition(":")[0]
    assert under is None or source.read_span(problem.span) == under


def test_iops_max_without_iops_is_not_looked_at() -> None:
    """Proxmox checks that bursts have a base for bytes and not for requests."""
    disk, problems, _ = parse("scsi0: a:b,iops_max=5")
    assert disk is not None
    assert problems == ()
    assert disk.limits == (("iops-total-max", 5),)


def test_limits_come_in_qemus_names_and_units() -> None:
    """Megabytes become bytes, and zero means no limit."""
    disk, _, _ = parse(
        "scsi0: a:b,mbps=1.5,mbps_max=200,bps_max_length=5,iops_rd=0,iops_wr=50,mbps_rd_max=0"
    )
    assert disk is None
    disk, _, _ = parse("scsi0: a:b,mbps=1.5,mbps_max=200,bps_max_length=5,iops_rd=0,iops_wr=50")
    assert disk is not None
    assert disk.limits == (
        ("bps-total", 1_572_864),
        ("bps-total-max", 209_715_200),
        ("bps-total-max-length", 5),
        ("iops-write", 50),
    )


def test_old_spelling_of_a_byte_limit_is_no_limit() -> None:
    """`bps_rd=` comes out as zero, as it does in Proxmox."""
    disk, _, _ = parse("scsi0: a:b,bps_rd=52428800")
    assert disk is not None
    assert disk.limits == (("bps-read", 0),)


@pytest.mark.parametrize(
    ("volume", "expected"),
    [
        ("nvme:vm-8006-cloudinit", True),
        ("local:8006/vm-8006-cloudinit.qcow2", True),
        ("local:cloudinit", True),
        ("nvme:vm-8006-disk-0", False),
        ("nvme:vm-8006-cloudinit-old", False),
    ],
)
def test_cloudinit_volume_is_known_by_its_name(*, volume: str, expected: bool) -> None:
    """The name of the volume alone makes a cloud-init drive."""
    disk, _, _ = parse(f"scsi1: {volume}")
    assert disk is not None
    assert disk.cloudinit is expected
