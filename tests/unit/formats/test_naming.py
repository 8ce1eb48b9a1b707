"""Each notation has its own words for a setting of the model."""

from __future__ import annotations

import pytest

from vmio.formats.base import ReadContext
from vmio.formats.registry import name_setting, read
from vmio.model.host import Host
from vmio.model.source import Source

CONFIG = "scsi0: /dev/a\n"
COMMAND = (
    "qemu-system-x86_64 -drive file=/dev/a,if=none,id=a -device virtio-blk-pci,drive=a,id=drive"
    " -blockdev driver=host_device,filename=/dev/b,node-name=b"
    " -device virtio-scsi-pci,id=s -device scsi-hd,drive=b,id=node"
)


def name(text: str, *words: str) -> str:
    """Returns what the notation of a text calls a setting."""
    source = Source(name="guest", data=text.encode())
    return name_setting(read(source, ReadContext(host=Host())), *words)


@pytest.mark.parametrize(
    ("words", "config", "drive", "node"),
    [
        (("cache", "none"), "cache=none", "cache=none", "cache.direct=on"),
        (("cache", "writethrough"), "cache=writethrough", "cache=writethrough", "write-cache=off"),
        (("cache",), "cache", "cache", "cache.direct"),
        (("aio", "native"), "aio=native", "aio=native", "aio=native"),
        (("discard", "unmap"), "discard=on", "discard=unmap", "discard=unmap"),
        (("ssd", "1"), "ssd=1", "rotation_rate=1", "rotation_rate=1"),
        (("queues",), "queues", "num-queues", "num_queues"),
        (("bps-total-max",), "mbps_max", "bps-total-max", "bps-total-max"),
        (("iops-read",), "iops_rd", "iops-read", "iops-read"),
        (("detect_zeroes", "off"), "detect_zeroes=off", "detect-zeroes=off", "detect-zeroes=off"),
    ],
)
def test_setting_has_the_name_of_its_notation(
    words: tuple[str, ...], config: str, drive: str, node: str
) -> None:
    """A drive has cache modes, a node has the properties that they stand for."""
    assert name(CONFIG, "scsi0", *words) == config
    assert name(COMMAND, "drive", *words) == drive
    assert name(COMMAND, "node", *words) == node


def test_disk_in_args_has_the_names_of_qemu() -> None:
    """A drive of a config and a disk that its `args` make are named each in its own words."""
    config = "args: -drive file=/dev/b,if=none,id=b -device virtio-blk-pci,drive=b,id=extra\n"
    config += CONFIG
    assert name(config, "scsi0", "discard", "unmap") == "discard=on"
    assert name(config, "extra", "discard", "unmap") == "discard=unmap"
    assert name(config, "", "controllers", "per-disk") == "scsihw: virtio-scsi-single"
