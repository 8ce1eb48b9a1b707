"""A running QEMU is compared with the command line that was planned for it."""

from __future__ import annotations

import asyncio
import shlex
from pathlib import Path

import pytest

from vmio import app
from vmio.qemu.boot import Volumes, place_volumes, render_boot
from vmio.testing import call

ROOT = Path(__file__).parents[2]
SHARED = str(ROOT / "examples" / "701.conf")
SINGLE = str(ROOT / "examples" / "virtio-scsi-single" / "701.conf")


def test_process_equals_its_plan_and_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A guest runs as its config says; against the other layout the controllers are told apart."""
    facts = app.read_host(None, binary=True)
    shared, single = (app.load(path, host=facts) for path in (SHARED, SINGLE))
    how, _ = app.choose_boot(accelerator="tcg")

    async def compare() -> tuple[int, int]:
        async with app.boot(shared, how, Volumes(scratch_bytes=1 << 20)) as (process, placed):
            # The same scratch files behind the other layout's controllers.
            files = {a.disk.id: a.disk.backing.filename for a in placed.disks if a.disk.backing}
            line = tmp_path / "shared"
            line.write_text(shlex.join(render_boot(shared.vm.machine, placed, how)))
            side = f"pid:{process.pid}"
            equal = call("diff", str(line), side)
            assert capsys.readouterr().out == ""
            with place_volumes(app.lay_out(single), Volumes(paths=files)) as other:
                line.write_text(shlex.join(render_boot(single.vm.machine, other, how)))
            return equal, call("diff", side, str(line))

    assert asyncio.run(compare()) == (0, 1)
    first, *lines = capsys.readouterr().out.splitlines()
    assert first.startswith("running: pid:")
    assert first.endswith(f" → configured: {tmp_path / 'shared'}")
    assert lines == [
        "device scsihw0 (virtio-scsi-pci) running but not configured",
        "scsi0: bus scsihw0.0 → virtioscsi0.0",
        "scsi1: bus scsihw0.0 → virtioscsi1.0",
        "scsi2: bus scsihw0.0 → virtioscsi2.0",
        "IOThread iothread-virtioscsi0 configured but not running",
        "IOThread iothread-virtioscsi1 configured but not running",
        "IOThread iothread-virtioscsi2 configured but not running",
        "device pci.3 (pci-bridge) configured but not running",
        "device virtioscsi0 (virtio-scsi-pci) configured but not running",
        "device virtioscsi1 (virtio-scsi-pci) configured but not running",
        "device virtioscsi2 (virtio-scsi-pci) configured but not running",
    ]
