"""What a monitor calls disks; names as QEMU 10.0.2 reports them of each kind of command line."""

from __future__ import annotations

import pytest

from vmio.qemu.replies import name_device, name_disk


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/machine/peripheral/vd0/virtio-backend", "vd0"),
        ("/machine/peripheral/sd0", "sd0"),
        ("sd0", "sd0"),
        ("/machine/peripheral/usb-disk0/usb-disk0.0/legacy[0]", "usb-disk0"),
        ("/machine/peripheral/a/b.0/legacy[0]", "a/b.0/legacy[0]"),
        ("/machine/unattached/device[4]", "unattached/device[4]"),
        ("", ""),
    ],
)
def test_device_is_called_by_its_id(path: str, name: str) -> None:
    """The disk that a USB stick makes of itself is called like the stick."""
    assert name_device(path) == name


@pytest.mark.parametrize(
    ("entry", "name"),
    [
        ({"qdev": "/machine/peripheral/vd0/virtio-backend", "device": "d0"}, "vd0"),
        ({"qdev": "/machine/unattached/device[4]", "device": "ide0-hd0"}, "ide0-hd0"),
        (
            {"qdev": "/machine/peripheral-anon/device[0]/virtio-backend", "node-name": "n0"},
            "n0",
        ),
        ({"qdev": "/machine/peripheral-anon/device[0]"}, "peripheral-anon/device[0]"),
        ({"qdev": "/machine/peripheral-anon/device[0]", "inserted": {"node-name": "n0"}}, "n0"),
        ({"device": "", "inserted": {"node-name": "n0"}}, "n0"),
        ({"qdev": 1, "device": [], "node-name": None, "inserted": 3}, ""),
        ({}, ""),
    ],
)
def test_disk_without_an_id_is_called_by_its_drive_or_node(
    entry: dict[str, object], name: str
) -> None:
    """So it is in the layout of its command line."""
    assert name_disk(entry) == name
