"""A path on the host shows the kind of storage behind it, where it does."""

from __future__ import annotations

import pytest

from vmio.model.storage import find_storage_kind


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/dev/zvol/tank/vm-7-disk-0", "zvol"),
        ("/dev/zvol/tank/deep/er/disk", "zvol"),
        ("/dev/zd16", "zvol"),
        ("/dev/zd16p1", "zvol"),
        ("/dev/zvol", ""),
        ("/dev/rbd0", "krbd"),
        ("/dev/rbd3p1", "krbd"),
        ("/dev/rbd/pool/image", "krbd"),
        ("/dev/rbd-pve/0a1b/pool/image", "krbd"),
        ("/dev/rbdx", ""),
        ("/dev/data/web", "lvm"),
        ("/dev/data-01/vm-7-disk-0", "lvm"),
        ("/dev/mapper/data-web", "lvm"),
        ("/dev/mapper/data--01-vm--7--disk--0", "lvm"),
        ("/dev/mapper/mpatha", ""),
        ("/dev/mapper/mpatha-part1", ""),
        ("/dev/mapper/luks-0a1b-22", ""),
        ("/dev/sda", ""),
        ("/dev/nvme0n1", ""),
        ("/dev/disk/by-id/ata-X", ""),
        ("/dev/drbd/0", ""),
        ("/dev/loop/0", ""),
        ("/srv/dev/zvol/tank/a", ""),
        ("tank/vm-7-disk-0", ""),
        ("", ""),
    ],
)
def test_kind_of_a_path_is_what_its_name_says(path: str, kind: str) -> None:
    """The names that udev gives to volumes are known, and nothing else is taken for one."""
    assert find_storage_kind(path) == kind


def test_kind_of_a_long_path_is_found_at_once() -> None:
    """A path longer than Linux allows has no kind, however it begins."""
    assert find_storage_kind("/dev/mapper/" + "a--" * 100_000) == ""
