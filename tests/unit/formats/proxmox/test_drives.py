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
        "scsi0: ,,local:100/a.raw, ,ssd=1,",
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
        ("scsi0: st:b,iothread=2", "bad-value", "iothread: type check ('boolean') failed - got '2'", "iothread=2"),
        ("scsi0: st:b,queues=1", "bad-value", "queues: value must have a minimum value of 2", "queues=1"),
        ("scsi0: st:b,foo=bar", "bad-value", "foo: property is not defined in schema and the schema does not allow additional properties", "foo=bar"),
        ("scsi0: st:b,size=10Q", "bad-value", "size: invalid format - value does not look like a valid disk size: 10Q", "size=10Q"),
        ("scsi0: st:b,size=10GB", "bad-value", "does not look like a valid disk size: 10GB", None),
        ("scsi0: st:b,size=1 G", "bad-value", "does not look like a valid disk size: 1 G", None),
        ("scsi0: st:b,wwn=0x1", "bad-value", "wwn: value does not match the regex pattern", "wwn=0x1"),
        ("scsi0: st:b,ssd=1,ssd=1", "bad-value", "duplicate key in comma-separated list property: ssd", None),
        ("scsi0: ssd=1", "bad-value", "file: property is missing and it is not optional", None),
        ("ide0: st:b,iothread=1", "iothread-not-on-bus", "iothread: property is not defined", "iothread=1"),
        ("ide0: st:b,foo=1,iothread=1", "iothread-not-on-bus", "foo: property is not", "iothread=1"),
        ("sata0: st:b,iothread=1", "iothread-not-on-bus", "iothread: property is not defined", "iothread=1"),
        ("virtio0: st:b,ssd=1", "option-not-on-bus", "ssd: property is not defined", "ssd=1"),
        ("virtio0: st:b,queues=4", "option-not-on-bus", "queues: property is not defined", "queues=4"),
        ("virtio0: st:b,media=cdrom", "drive-dropped", "cannot be a cd-rom", "media=cdrom"),
        ("scsi0: st:b,media=cdrom,snapshot=1", "drive-dropped", "snapshot", "snapshot=1"),
        ("scsi0: st:b,media=cdrom,format=raw", "drive-dropped", "format", "format=raw"),
        ("scsi0: st:b,mbps_max=5", "drive-dropped", "mbps_max requires mbps", "mbps_max=5"),
        ("scsi0: st:b,bps_rd_max_length=5", "drive-dropped", "bps_rd_max_length requires mbps_rd_max", None),
        ("scsi0: st:b,iops_wr_length=5", "drive-dropped", "iops_wr_max_length requires iops_wr_max", None),
        ("scsi0: st:b,bps=5,mbps=5", "drive-dropped", "both bps and mbps specified", "bps=5"),
        ("scsi0: st:b, ssd=1", "bad-value", "\n ssd: property is not defined in schema", " ssd=1"),
        ("scsi0: st:b,cache=none ,ssd=1", "bad-value", "cache: value 'none ' does not have a value", "cache=none "),
        ("scsi0: st:b,cache=", "bad-value", "- missing key in comma-separated list property", None),
        ("scsi0: b", "bad-value", "file: invalid format - unable to parse volume ID 'b'", "b"),
        ("scsi0: a:b", "bad-value", "file: invalid format - unable to parse volume ID 'a:b'", "a:b"),
        ("scsi0: st:b,file=st:c", "bad-value", "duplicate key in comma-separated list property: file", None),
        ("scsi0: st:b,mbps=1,mbps=2", "bad-value", "duplicate key in comma-separated list property: mbps", None),
        ("scsi0: st:b,serial=a b", "bad-value", "serial: invalid format - invalid urlencoded string: a b", None),
        ("scsi0: st:b,mbps=0,mbps_max=5", "drive-dropped", "mbps_max requires mbps", "mbps_max=5"),
        ("scsi0: st:b,bps=5,mbps_rd=1", "drive-dropped", "mbps cannot be combined with mbps_rd", "bps=5"),
        ("scsi0: st:b,mbps=0.0,mbps_wr=1", "drive-dropped", "mbps cannot be combined", "mbps=0.0"),
        ("scsi0: st:b,mbps=5,mbps_rd=5", "drive-dropped", "mbps cannot be combined", "mbps=5"),
        ("scsi0: st:b,iops=5,iops_wr=5", "drive-dropped", "iops cannot be combined", "iops=5"),
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
    disk, problems, _ = parse("scsi0: st:b,iops_max=5")
    assert disk is not None
    assert problems == ()
    assert disk.limits == (("iops-total-max", 5),)


def test_limits_come_in_qemus_names_and_units() -> None:
    """Megabytes become bytes, and a `0` is no limit, whatever stands beside it."""
    disk, _, _ = parse(
        "scsi0: st:b,mbps=1.5,mbps_max=200,bps_max_length=5,iops=0,iops_wr=50,mbps_rd_max=0"
    )
    assert disk is not None
    assert disk.limits == (
        ("bps-total", 1_572_864),
        ("bps-total-max", 209_715_200),
        ("bps-total-max-length", 5),
        ("iops-write", 50),
    )


def test_old_spelling_of_a_byte_limit_is_no_limit() -> None:
    """`bps_rd=` comes out as zero, as it does in Proxmox."""
    disk, _, _ = parse("scsi0: st:b,bps_rd=52428800")
    assert disk is not None
    assert disk.limits == (("bps-read", 0),)


@pytest.mark.parametrize(
    ("options", "limits"),
    [
        ("mbps=.5", (("bps-total", 524_288),)),
        ("mbps=3.", (("bps-total", 3_145_728),)),
        ("mbps=1e2", (("bps-total", 104_857_600),)),
        ("mbps=+.5E-1", (("bps-total", 52_428),)),
        ("mbps=-1.5", (("bps-total", -1_572_864),)),
        ("mbps=0.0", (("bps-total", 0),)),
        ("mbps=00,mbps_max=1", (("bps-total", 0), ("bps-total-max", 1_048_576))),
        ("iops=+5", (("iops-total", 5),)),
        ("iops=-0", (("iops-total", 0),)),
        ("iops=007", (("iops-total", 7),)),
        ("mbps=0", ()),
        ("mbps_max=0", ()),
        ("iops_rd_max=0", ()),
        ("mbps=0,mbps_rd=1", (("bps-read", 1_048_576),)),
        ("bps=1,mbps_max=2", (("bps-total", 0), ("bps-total-max", 2_097_152))),
        ("bps=1,bps_rd_length=5,mbps_rd=0", None),
        ("bps=1,bps_rd=2", None),
        ("bps_rd=1,bps_wr=2", (("bps-read", 0), ("bps-write", 0))),
        ("iops_rd=5,iops_rd_max=0,iops_rd_max_length=60", None),
    ],
)
def test_limits_are_numbers_and_truths_of_perl(
    options: str, limits: tuple[tuple[str, int], ...] | None
) -> None:
    """A limit is there if its text is true, and is what Perl reads from the text."""
    disk, _, _ = parse(f"scsi0: st:b,{options}")
    assert (disk.limits if disk is not None else None) == limits


def test_every_throttle_fault_is_told() -> None:
    """Of several limits that miss another one each is told, in Proxmox's order."""
    disk, problems, _ = parse(
        "scsi0: st:b,iops_max_length=3,bps=1,mbps=2,bps_wr_max_length=4,mbps_rd_max=5,bps_wr=1"
    )
    assert disk is None
    assert [problem.message for problem in problems] == [
        "both bps and mbps specified",
        "mbps_rd_max requires mbps_rd",
        "bps_wr_max_length requires mbps_wr_max",
        "iops_max_length requires iops_max",
    ]


@pytest.mark.parametrize("option", ["serial", "vendor", "product"])
def test_name_of_0_is_none(option: str) -> None:
    """A `0` is not true, so that the guest is told no such name."""
    disk, _, _ = parse(f"scsi0: st:b,{option}=0")
    assert disk is not None
    assert (disk.serial, disk.vendor, disk.product) == (None, None, None)


@pytest.mark.parametrize(
    ("volume", "expected"),
    [
        ("nvme:vm-8006-cloudinit", True),
        ("local:8006/vm-8006-cloudinit.txt", False),
        ("/dev/cloudinit", True),
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
