"""A running guest's parameters compared by loads inside it, and set back."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from vmio.guest.agent import Agent, agent_argv
from vmio.guest.image import GuestImage
from vmio.qemu.folder import open_runtime_folder
from vmio.qemu.process import QemuProcess

LIMIT_S = 200.0
JOB = "rw=randread,bs=4k,iodepth=4,ramp=0"
VMIO = (sys.executable, "-m", "vmio", "bench")


@asynccontextmanager
async def started(image: GuestImage, disk: Path) -> AsyncIterator[tuple[QemuProcess, Path]]:
    """Starts a guest as somebody else would have; its agent answers, and nobody is connected."""
    with open_runtime_folder() as folder:
        argv = (
            *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none"),
            *("-name", "measured,debug-threads=on", "-machine", "pc", "-accel", "tcg"),
            *("-m", "384", "-cpu", "max", "-object", "iothread,id=io0"),
            *("-blockdev", f"driver=file,node-name=n0,filename={disk}"),
            *("-device", "virtio-blk-pci,iothread=io0,drive=n0,id=virtio0,addr=0x8"),
            *("-kernel", str(image.kernel), "-initrd", str(image.initrd)),
            *("-append", image.append, *agent_argv(folder / "agent")),
        )
        async with QemuProcess.start(argv, qmp_socket=folder / "qmp") as guest:
            async with Agent.connect(folder / "agent", LIMIT_S) as agent:
                await agent.ping()
            yield guest, folder / "agent"


async def bench(guest: QemuProcess, *words: str, ends: bool = False) -> tuple[int, str, str]:
    """Runs `vmio bench` on a guest, which is ended in its first run of B if asked for."""
    process = await asyncio.create_subprocess_exec(
        *VMIO,
        *("--in-guest", f"pid:{guest.pid}", *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")},
    )
    if ends:
        while await read_poll_ns(guest) != 0:
            assert process.returncode is None, "it ended without a change"
            await asyncio.sleep(0.05)
        process.send_signal(signal.SIGINT)
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def read_poll_ns(guest: QemuProcess) -> int:
    """Returns the longest time that the guest's IOThread polls."""
    value = await guest.qmp.qom_get("/objects/io0", "poll-max-ns")
    assert isinstance(value, int)
    return value


def test_running_guest_is_measured_and_left_as_it_was(
    guest_image: GuestImage, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    """Its parameters are changed for B's runs alone, and its disk is never written."""
    disk = tmp_path / "disk.raw"
    disk.write_bytes(b"mine" * (8 << 18))
    before = disk.read_bytes()

    async def check() -> None:
        async with started(guest_image, disk) as (guest, agent):
            common = ("--live", "poll-max-ns=0", "--pairs", "2", "--json")
            with subtests.test("each side has its parameters"):
                status, out, err = await bench(guest, *common, "--fio-job", f"{JOB},runtime=0.3")
                assert status == 0, err
                told = json.loads(out)["data"]
                assert told["where"] == "the running guest measured"
                assert told["b"]["title"] == "io0 poll-max-ns=0"
                assert told["device"] == "/dev/vda"
                assert told["jobs"][0]["a"]["iops"] > 1
                assert await read_poll_ns(guest) == 32768
            with subtests.test("a load that writes needs a file of its own"):
                status, _, err = await bench(guest, *common, "--load", "log")
                assert status == 2
                assert "--allow-write FILE" in err
                status, _, err = await bench(
                    guest, *common, "--load", "log", "--allow-write", "/none"
                )
                assert status == 2
                assert "there is no such file in the guest" in err
            with subtests.test("Ctrl-C in B's run sets the parameters back"):
                status, out, err = await bench(
                    guest, *common, "--fio-job", f"{JOB},runtime=4", ends=True
                )
                assert (status, out) == (130, ""), err
                assert await read_poll_ns(guest) == 32768
            with subtests.test("an agent that somebody else holds is left to them"):
                async with Agent.connect(agent, LIMIT_S):
                    status, _, err = await bench(guest, *common)
                assert status != 0
                assert "is held by another client" in err

    asyncio.run(asyncio.wait_for(check(), LIMIT_S))
    assert disk.read_bytes() == before
