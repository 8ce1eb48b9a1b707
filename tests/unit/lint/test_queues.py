"""What the rules about queues propose."""

from __future__ import annotations

import pytest

from vmio.formats import registry
from vmio.formats.base import ReadContext
from vmio.lint.engine import run
from vmio.lint.rule import Context
from vmio.model.host import Host
from vmio.model.source import Source
from vmio.model.version import parse_version


@pytest.mark.parametrize(
    ("machine", "device", "fix"),
    [
        ("q35", "virtio-blk-pci", "remove num-queues, so that there is a queue per"),
        ("q35", "virtio-blk", "remove num-queues, so that there is a queue per"),
        ("pc-q35-5.1", "virtio-blk-pci", "set num-queues to 4: it has one queue by itself"),
        ("microvm", "virtio-blk-device", "set num-queues to 4: it has one queue by itself"),
    ],
)
def test_single_queue_is_mended_for_the_machine(machine: str, device: str, fix: str) -> None:
    """Where QEMU chooses one queue by itself, a number has to be written."""
    text = (
        f"qemu-system-x86_64 -M {machine} -smp 4 -drive file=/a,if=none,id=d"
        f" -device {device},drive=d,num-queues=1"
    )
    host = Host(qemu_version=parse_version("10.0.2"))
    guest = registry.read(Source(name="x.args", data=text.encode()), ReadContext(host=host))
    context = Context(guest=guest, topology=registry.lay_out(guest), host=host)
    (found,) = run(context, select=["QU004"])
    assert found.fix is not None
    assert found.fix.message.startswith(fix)
