"""The benchmark guest on a real QEMU: built from real packages, driven by its real agent."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from vmio.errors import GuestError
from vmio.guest.agent import Agent, agent_argv
from vmio.guest.image import GuestImage, image_argv
from vmio.qemu.folder import open_runtime_folder
from vmio.qemu.process import QemuProcess

QEMU = "qemu-system-x86_64"
BOOT_TIMEOUT_S = 120.0
DISK_BYTES = 64 << 20

pytestmark = pytest.mark.skipif(shutil.which(QEMU) is None, reason=f"needs {QEMU}")


@asynccontextmanager
async def boot(image: GuestImage, disks: Path) -> AsyncIterator[tuple[QemuProcess, Agent]]:
    """Boots the guest under TCG with one scratch disk behind every controller that it knows."""
    argv = [QEMU, "-accel", "tcg", "-machine", "pc", "-m", "512", "-smp", "2"]
    argv += ["-nodefaults", "-display", "none", *image_argv(image)]
    argv += ["-device", "pci-bridge,id=pci.3,chassis_nr=3,bus=pci.0,addr=0x5"]
    argv += ["-device", "virtio-scsi-pci,id=scsihw0,bus=pci.3,addr=0x2"]
    argv += ["-device", "pvscsi,id=pvscsi0,bus=pci.0,addr=0x6"]
    for name, device in (
        ("virtio0", "virtio-blk-pci,bus=pci.0,addr=0xa"),
        ("scsi0", "scsi-hd,bus=scsihw0.0,channel=0,scsi-id=0,lun=2"),
        ("scsi1", "scsi-hd,bus=scsihw0.0,channel=0,scsi-id=0,lun=3"),
        ("pv0", "scsi-hd,bus=pvscsi0.0,channel=0,scsi-id=1,lun=0"),
        ("ide0", "ide-hd,bus=ide.1,unit=0"),
    ):
        path = disks / f"{name}.raw"
        with path.open("xb") as file:
            file.truncate(DISK_BYTES)
        argv += ["-blockdev", f"driver=file,filename={path},node-name={name},discard=unmap"]
        argv += ["-device", f"{device},drive={name},serial={name}"]
    with open_runtime_folder() as folder:
        socket = folder / "agent.sock"
        async with (
            QemuProcess.start((*argv, *agent_argv(socket))) as qemu,
            Agent.connect(socket, BOOT_TIMEOUT_S) as agent,
        ):
            yield qemu, agent


def test_guest_is_what_benchmarks_need(
    guest_image: GuestImage, subtests: pytest.Subtests, tmp_path: Path
) -> None:
    """One boot for all: it is driven as benchmarks do, and turned off.

    A boot, what is asked in it and a clean power-off leave every scratch disk as sparse as it was
    made.
    """

    async def check() -> int:
        async with boot(guest_image, tmp_path) as (qemu, agent):
            for look in (look_for_disks, run_fio, run_out_of_time, look_for_mounts):
                with subtests.test(look.__doc__):
                    await look(agent)
            await agent.shutdown()
            async with asyncio.timeout(60):
                return await qemu.wait()

    assert asyncio.run(check()) == 0
    assert [path.stat().st_blocks for path in tmp_path.iterdir()] == [0] * 5


async def look_for_disks(agent: Agent) -> None:
    """Each controller's disk is found by the place that the command line gave it."""
    # The kernel looks at disks side by side, so its names for them tell nothing.
    for serial, pci_path, scsi in (
        ("virtio0", ("0a.0",), None),
        ("scsi0", ("05.0", "02.0"), (0, 0, 2)),
        ("scsi1", ("05.0", "02.0"), (0, 0, 3)),
        ("pv0", ("06.0",), (0, 1, 0)),
        ("ide0", ("01.1",), (0, 0, 0)),
    ):
        disk = await agent.find_block_device(pci_path=pci_path, scsi=scsi)
        assert (disk.serial, disk.size_bytes) == (serial, DISK_BYTES)
        assert await agent.find_block_device(serial=serial) == disk


async def run_fio(agent: Agent) -> None:
    """Fio reads a virtio-blk and a virtio-scsi disk and gives its figures as JSON."""
    for pci_path, scsi in ((("0a.0",), None), (("05.0", "02.0"), (0, 0, 2))):
        disk = await agent.find_block_device(pci_path=pci_path, scsi=scsi)
        done = await agent.run(
            (
                *("fio", "--name=job", f"--filename={disk.path}", "--readonly"),
                *("--rw=randread", "--bs=4k", "--iodepth=32", "--ioengine=libaio"),
                *("--direct=1", "--size=4M", "--output-format=json"),
            ),
            timeout_s=BOOT_TIMEOUT_S,
        )
        assert (done.status, done.stderr, done.truncated) == (0, b"", False)
        (job,) = json.loads(done.stdout)["jobs"]
        assert job["read"]["total_ios"] == 1024


async def run_out_of_time(agent: Agent) -> None:
    """A program that is given up on is gone from the guest, and the agent answers on."""
    with pytest.raises(GuestError, match="did not end"):
        await agent.run(("sleep", "9999"), timeout_s=0.5)
    listing = (await agent.run(("ps",), timeout_s=60)).stdout
    assert b"qemu-ga" in listing
    assert b"sleep 9999" not in listing
    done = await agent.run(("sh", "-c", "cat; kill -9 $$"), input=b"x", timeout_s=60)
    assert (done.status, done.stdout) == (-9, b"x")
    with pytest.raises(GuestError, match="no-such-program"):
        await agent.run(("no-such-program",), timeout_s=60)


async def look_for_mounts(agent: Agent) -> None:
    """No disk is mounted."""
    mounts = (await agent.run(("cat", "/proc/mounts"), timeout_s=60)).stdout
    assert b"/dev/vd" not in mounts
    assert b"/dev/sd" not in mounts
