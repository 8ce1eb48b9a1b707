"""The reference guest: planned, applied, booted, changed while it runs, and taken back."""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path

import pytest

from vmio import app
from vmio.formats.plan_file import render_plan
from vmio.model.plan import LiveChange, Step
from vmio.qemu.boot import Volumes
from vmio.qemu.folder import open_runtime_folder
from vmio.values import replace

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(name="config")
def make_config(tmp_path: Path) -> Path:
    """Returns a copy of the reference guest's config."""
    shutil.copy(EXAMPLES / "storage.cfg", tmp_path)
    return Path(shutil.copy(EXAMPLES / "701.conf", tmp_path))


def test_applied_plan_is_what_boots(config: Path) -> None:
    """After the plan each disk has an IOThread, on the command line and in QEMU's own words."""
    host = app.read_host(None, ["qemu_version=10.0.2"])
    before = config.read_bytes()
    plan = app.make_plan(app.load(str(config), host=host), host, "per-disk")
    app.apply(app.prepare_apply(plan))

    guest = app.load(str(config), host=host)
    line, _ = app.emit(guest, host)
    for number in range(3):
        assert f"iothread,id=iothread-virtioscsi{number}" in line

    async def main() -> None:
        how, _ = app.choose_boot(accelerator="tcg", memory_mib=64)
        async with app.boot(guest, how, Volumes(scratch_bytes=1 << 20)) as (process, planned):
            live, differences = await app.verify(process, planned)
            assert differences == ()
            assert [live.served_by(disk) for disk in live.disks] == [
                (f"iothread-virtioscsi{number}",) for number in range(3)
            ]

    asyncio.run(main())
    app.undo(app.prepare_undo(str(config)))
    assert config.read_bytes() == before


def test_running_guest_is_given_what_a_plan_has_for_it(config: Path, tmp_path: Path) -> None:
    """Called as a person calls it, with the guest's socket, vmio sets a plan's live changes."""
    host = app.read_host(None, ["qemu_version=10.0.2"])
    config.write_bytes(config.read_bytes().replace(b"scsi-pci", b"scsi-single"))
    guest = app.load(str(config), host=host)
    change = LiveChange(path="/objects/iothread-virtioscsi1", property="poll-max-ns", new=50_000)
    step = Step(kind="share-threads", takes_effect="live", live=(change,))
    plan = replace(app.make_plan(guest, host, "per-disk"), steps=(step,))
    (tmp_path / "plan.json").write_text(render_plan(plan))

    async def main() -> tuple[int | None, str, object]:
        how, _ = app.choose_boot(accelerator="tcg", memory_mib=64)
        volumes = Volumes(scratch_bytes=1 << 20)
        with open_runtime_folder() as folder:
            socket = folder / "qmp"
            async with app.boot(guest, how, volumes, qmp_socket=socket) as (process, _):
                words = ("apply", str(tmp_path / "plan.json"), "--yes", "--qmp", str(socket))
                called = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "vmio", *words), stderr=asyncio.subprocess.PIPE
                )
                _, said = await called.communicate()
                found = await process.qmp.qom_get(change.path, change.property)
                return called.returncode, said.decode(), found

    status, said, found = asyncio.run(main())
    assert (status, found) == (0, 50_000)
    assert "now has poll-max-ns = 50000, before 32768" in said
