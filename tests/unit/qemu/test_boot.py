"""What stands in for the volumes of a guest that is booted here."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmio.errors import InputError
from vmio.model.disk import Backing, Disk
from vmio.model.topology import AttachedDisk, Topology
from vmio.qemu.boot import Volumes, place_volumes


def make_topology(filename: str) -> Topology:
    """Returns a disk whose writes are to be forgotten when its guest ends."""
    backing = Backing(filename=filename, format="raw")
    disk = Disk(id="scsi0", bus="scsi", index=0, backing=backing, snapshot=True)
    return Topology(disks=(AttachedDisk(disk=disk, controller="c0"),))


@pytest.mark.parametrize("own", [False, True])
def test_volume_whose_writes_would_stay_is_refused(tmp_path: Path, *, own: bool) -> None:
    """snapshot=1 promises that a volume stays as it is, which nothing here would keep."""
    image = tmp_path / "disk.raw"
    image.write_bytes(b"kept")
    volumes = Volumes(own=True) if own else Volumes(paths={"scsi0": str(image)})
    with (
        pytest.raises(InputError, match="scsi0: snapshot=1"),
        place_volumes(make_topology(str(image)), volumes),
    ):
        pass
    assert image.read_bytes() == b"kept"


def test_scratch_file_may_stand_in_for_such_a_volume() -> None:
    """It is gone afterwards anyway."""
    with place_volumes(make_topology("/nowhere"), Volumes(scratch_bytes=1 << 20)) as placed:
        backing = placed.disks[0].disk.backing
        assert backing is not None
        assert Path(backing.filename).stat().st_size == 1 << 20
