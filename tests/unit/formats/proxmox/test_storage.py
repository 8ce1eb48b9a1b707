"""storage.cfg and the volumes on it."""

# ruff: noqa: E501 - a table of expectations is read by its columns

from __future__ import annotations

import pytest

from vmio.errors import InputError
from vmio.formats.proxmox.storage import Storages, parse_storages, resolve_volume
from vmio.model.disk import Backing
from vmio.model.host import Host
from vmio.model.source import Source

STORAGES = """\
dir: stuff
\tpath /srv/stuff
\tcontent images,iso

zfspool: tank
\tpool tank/data

lvm: thick
\tvgname vg0

lvmthin: thin
\tvgname vg1
\tthinpool data

nfs: share
\tserver 192.0.2.1
\texport /e

cifs: windows
\tpath /mnt/windows
\tcontent images

btrfs: butter
\tpath /butter

btrfs: nocow
\tpath /nocow
\tnocow 1

rbd: ceph
\tpool p1
\tmonhost 192.0.2.7,2001:db8::7
\tcontent images

rbd: mapped
\tpool p1
\tnamespace n1
\tkrbd 1

iscsidirect: direct
\tportal 192.0.2.9
\ttarget iqn.2026-11.test:t

iscsi: kernel
\tportal 192.0.2.9
\ttarget iqn.2026-11.test:t

zfs: far
\tpool tank
\tportal 192.0.2.9
\ttarget iqn.2026-11.test:t

dir: isos
\tpath /isos
\tcontent iso

strange: thing
\tpath /x
"""


def storages(text: str = STORAGES) -> Storages:
    """Reads a storage.cfg."""
    return parse_storages(Source(name="storage.cfg", data=text.encode()))


def resolve(volume: str, written: str | None = None) -> Backing:
    """Resolves a volume of scsi0 over the storages above."""
    host = Host(ceph={"fsid": "abc"}, iscsi_luns={"far:vm-1-disk-0": 3})
    return resolve_volume(volume, written, storages(), host, drive="scsi0")


@pytest.mark.parametrize(
    ("volume", "filename", "image_format", "driver", "io_uring", "direct"),
    [
        ("stuff:1/vm-1-disk-0.qcow2", "/srv/stuff/images/1/vm-1-disk-0.qcow2", "qcow2", "file", "yes", True),
        ("stuff:9/base-9-disk-0.raw/1/vm-1-disk-0.raw", "/srv/stuff/images/1/vm-1-disk-0.raw", "raw", "file", "yes", True),
        ("stuff:iso/debian.iso", "/srv/stuff/template/iso/debian.iso", "raw", "file", "yes", True),
        ("tank:vm-1-disk-0", "/dev/zvol/tank/data/vm-1-disk-0", "raw", "host_device", "yes", True),
        ("tank:base-9-disk-0/vm-1-disk-0", "/dev/zvol/tank/data/vm-1-disk-0", "raw", "host_device", "yes", True),
        ("thick:vm-1-disk-0", "/dev/vg0/vm-1-disk-0", "raw", "host_device", "no", True),
        ("thick:vm-1-disk-0.qcow2", "/dev/vg0/vm-1-disk-0.qcow2", "qcow2", "host_device", "no", True),
        ("thin:vm-1-disk-0", "/dev/vg1/vm-1-disk-0", "raw", "host_device", "yes", True),
        ("share:1/a.raw", "/mnt/pve/share/images/1/a.raw", "raw", "file", "yes", True),
        ("windows:1/a.raw", "/mnt/windows/images/1/a.raw", "raw", "file", "no", True),
        ("butter:1/a.raw", "/butter/images/1/a/disk.raw", "raw", "file", "yes", False),
        ("nocow:1/a.raw", "/nocow/images/1/a/disk.raw", "raw", "file", "yes", True),
        ("ceph:vm-1-disk-0", r"rbd:p1/vm-1-disk-0:mon_host=192.0.2.7;[2001\:db8\:\:7]:auth_supported=none", "raw", "rbd", "yes", True),
        ("mapped:vm-1-disk-0", "/dev/rbd-pve/abc/p1/n1/vm-1-disk-0", "raw", "host_device", "direct", True),
        ("direct:lun5", "iscsi://192.0.2.9/iqn.2026-11.test:t/5", "raw", "iscsi", "yes", True),
        ("kernel:0.0.1.scsi-36", "/dev/disk/by-id/scsi-36", "raw", "host_device", "yes", True),
        ("far:vm-1-disk-0", "iscsi://192.0.2.9/iqn.2026-11.test:t/3", "raw", "iscsi", "yes", True),
        ("far:vm-1-disk-1", "iscsi://192.0.2.9/iqn.2026-11.test:t/0", "raw", "iscsi", "yes", True),
        ("/dev/sdb", "/dev/sdb", "raw", "host_device", "yes", True),
        ("/srv/a.img", "/srv/a.img", "raw", "file", "yes", True),
    ],
)  # fmt: skip
def test_volume_becomes_what_qemu_opens(
    *, volume: str, filename: str, image_format: str, driver: str, io_uring: str, direct: bool
) -> None:
    """Each kind of storage has its own paths, drivers and defaults."""
    backing = resolve(volume)
    assert backing.error == ""
    assert (backing.filename, backing.format, backing.driver) == (filename, image_format, driver)
    assert (backing.io_uring, backing.direct_by_default) == (io_uring, direct)


@pytest.mark.parametrize(
    ("volume", "written", "error"),
    [
        ("nope:vm-1-disk-0", None, "storage 'nope' does not exist"),
        ("thing:vm-1-disk-0", None, "storage 'thing' does not exist"),
        ("isos:1/a.raw", None, "storage 'isos' does not support content-type 'images'"),
        ("tank:iso/x.iso", None, "unable to parse zfs volume name 'iso/x.iso'"),
        ("tank:subvol-1-disk-0", None, "volume 'tank:subvol-1-disk-0' not usable as VM image"),
        ("stuff:1/../../../etc/passwd", None, "unable to parse directory volume name '1/../../../etc/passwd'"),
        ("thick:../../sda", None, "unable to parse lvm volume name '../../sda'"),
        ("nothing", None, "unable to parse volume ID 'nothing'"),
        ("stuff:1/a.raw", "qcow2", "drive 'scsi0' - volume 'stuff:1/a.raw' - 'format=qcow2' option different from storage format 'raw'"),
    ],
)  # fmt: skip
def test_volume_that_cannot_be_used_says_why(volume: str, written: str | None, error: str) -> None:
    """A volume that Proxmox would refuse carries Proxmox's reason."""
    assert resolve(volume, written).error == error


def test_local_is_always_the_built_in_directory() -> None:
    """Another definition of `local` does not count."""
    for text in ("", "zfspool: local\n\tpool x\n", "dir: local\n\tpath /elsewhere\n"):
        assert storages(text)["local"].options["path"] == "/var/lib/vz"


@pytest.mark.parametrize("data", [b"\x7fELF\0", b"scsi0: local:1,size=1G\nfoo\n", b"\0"])
def test_other_text_is_refused(data: bytes) -> None:
    """A file that is no storage.cfg is an error that names the line."""
    with pytest.raises(InputError, match=r"not a storage\.cfg"):
        parse_storages(Source(name="storage.cfg", data=data))


def test_comments_and_windows_line_ends_are_no_matter() -> None:
    """Comments are skipped and a carriage return is no part of a value."""
    found = storages("# all\r\ndir: here\r\n\tpath /here\r\n# more\r\n\tcontent images\r\n")
    assert found["here"].options == {"path": "/here", "content": "images"}
