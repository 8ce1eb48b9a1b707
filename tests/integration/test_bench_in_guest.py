"""A running guest's parameters compared by loads inside it, and set back."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from vmio.app.autopilot import list_steered, restore_polling, steer_guests
from vmio.autopilot.pilot import AutopilotEvent
from vmio.errors import ConflictError
from vmio.guest.agent import Agent, agent_argv
from vmio.guest.image import GuestImage
from vmio.qemu.folder import open_runtime_folder
from vmio.qemu.process import QemuProcess

LIMIT_S = 200.0
JOB = "rw=randread,bs=4k,iodepth=4,ramp=0"
OWN_NS = 32_768
VMIO = (sys.executable, "-m", "vmio")


@asynccontextmanager
async def started(
    image: GuestImage, disk: Path, more: tuple[str, ...] = ()
) -> AsyncIterator[tuple[QemuProcess, Path]]:
    """Starts a guest as somebody else would have; its agent answers, and nobody is connected."""
    with open_runtime_folder() as folder:
        argv = (
            *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none"),
            *("-name", "measured,debug-threads=on", "-machine", "pc", "-accel", "tcg"),
            *("-m", "384", "-cpu", "max", "-object", "iothread,id=io0"),
            *("-blockdev", f"driver=file,node-name=n0,filename={disk}"),
            *("-device", "virtio-blk-pci,iothread=io0,drive=n0,id=virtio0,addr=0x8"),
            *("-kernel", str(image.kernel), "-initrd", str(image.initrd)),
            *("-append", image.append, *agent_argv(folder / "agent"), *more),
        )
        async with QemuProcess.start(argv, qmp_socket=folder / "qmp") as guest:
            async with Agent.connect(folder / "agent", LIMIT_S) as agent:
                await agent.ping()
            yield guest, folder / "agent"


@asynccontextmanager
async def benching(
    guest: QemuProcess, state: Path, *words: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Runs `vmio bench` on a guest beside this process."""
    process = await asyncio.create_subprocess_exec(
        *(*VMIO, "bench", "--in-guest", f"pid:{guest.pid}", *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parents[2] / "src"),
            "XDG_STATE_HOME": str(state),
        },
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def bench(
    guest: QemuProcess, state: Path, *words: str, ends: bool = False
) -> tuple[int, str, str]:
    """Runs `vmio bench` on a guest, which is ended in its first run of B if asked for."""
    async with benching(guest, state, *words) as process:
        if ends:
            await wait_for_b(guest, process)
            process.send_signal(signal.SIGINT)
        out, err = await process.communicate()
        return process.returncode or 0, out.decode(), err.decode()


async def wait_for_b(guest: QemuProcess, process: asyncio.subprocess.Process) -> None:
    """Returns when B's parameters are in force."""
    while await read_poll_ns(guest) != 0:
        assert process.returncode is None, "it ended without a change"
        await asyncio.sleep(0.05)


async def read_poll_ns(guest: QemuProcess) -> int:
    """Returns the longest time that the guest's IOThread polls."""
    value = await guest.qmp.qom_get("/objects/io0", "poll-max-ns")
    assert isinstance(value, int)
    return value


def make_disk(folder: Path) -> tuple[Path, bytes]:
    """Returns somebody's disk and what is on it."""
    disk = folder / "disk.raw"
    disk.write_bytes(b"mine" * (8 << 18))
    return disk, disk.read_bytes()


def test_running_guest_is_measured_and_left_as_it_was(
    guest_image: GuestImage, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    """Its parameters are changed for B's runs alone, and its disk is never written."""
    disk, before = make_disk(tmp_path)

    async def check() -> None:
        async with started(guest_image, disk) as (guest, agent):
            common = ("--live", "poll-max-ns=0", "--pairs", "2", "--json")
            with subtests.test("each side has its parameters"):
                status, out, err = await bench(
                    guest, tmp_path, *common, "--fio-job", f"{JOB},runtime=0.3"
                )
                assert status == 0, err
                told = json.loads(out)["data"]
                assert told["where"] == "the running guest measured"
                assert told["b"]["title"] == "io0 poll-max-ns=0"
                assert told["device"] == "/dev/vda"
                assert told["jobs"][0]["a"]["iops"] > 1
                assert await read_poll_ns(guest) == OWN_NS
            with subtests.test("a load that writes needs a file of its own"):
                status, _, err = await bench(guest, tmp_path, *common, "--load", "log")
                assert status == 2
                assert "--allow-write FILE" in err
                status, _, err = await bench(
                    guest, tmp_path, *common, "--load", "log", "--allow-write", "/none"
                )
                assert status == 2
                assert "there is no such file in the guest" in err
            with subtests.test("Ctrl-C in B's run sets the parameters back"):
                status, out, err = await bench(
                    guest, tmp_path, *common, "--fio-job", f"{JOB},runtime=4", ends=True
                )
                assert (status, out) == (130, ""), err
                assert await read_poll_ns(guest) == OWN_NS
            with subtests.test("an agent that somebody else holds is left to them"):
                async with Agent.connect(agent, LIMIT_S):
                    status, _, err = await bench(guest, tmp_path, *common)
                assert status != 0
                assert "is held by another client" in err

    asyncio.run(asyncio.wait_for(check(), LIMIT_S))
    assert disk.read_bytes() == before


def test_killed_benchmark_is_made_good(guest_image: GuestImage, tmp_path: Path) -> None:
    """What it leaves in the guest is put back by `restore`; nobody else changes it meanwhile."""
    disk, before = make_disk(tmp_path)
    folder = tmp_path / "vmio" / "autopilot"
    words = ("--live", "poll-max-ns=0", "--pairs", "2", "--fio-job", f"{JOB},runtime=20")
    events: list[AutopilotEvent] = []
    told = asyncio.Event()

    def note(event: AutopilotEvent) -> None:
        events.append(event)
        told.set()

    async def check() -> None:
        async with started(guest_image, disk) as (guest, _):
            async with benching(guest, tmp_path, *words) as process:
                await wait_for_b(guest, process)
                steering = asyncio.create_task(
                    steer_guests([f"pid:{guest.pid}"], folder=folder, report=note)
                )
                await told.wait()
                steering.cancel()
                with suppress(asyncio.CancelledError):
                    await steering
                assert isinstance(events[0].problem, ConflictError)
                assert not await restore_polling(folder=folder, report=events.append)
                assert "a benchmark is at work" in str(events[-1].problem)
                assert await read_poll_ns(guest) == 0
                process.kill()
                await process.communicate()
            assert await read_poll_ns(guest) == 0
            (left,) = list_steered(folder=folder)
            assert (left.is_active, left.record.by) == (False, "bench")
            done = await asyncio.create_subprocess_exec(
                *(*VMIO, "autopilot", "restore", f"pid:{guest.pid}"),
                env={**os.environ, "XDG_STATE_HOME": str(tmp_path)},
                stderr=asyncio.subprocess.PIPE,
            )
            _, err = await done.communicate()
            assert done.returncode == 0, err
            assert f"io0: poll-max-ns is {OWN_NS} again, its own" in err.decode()
            assert await read_poll_ns(guest) == OWN_NS
            assert not list(folder.iterdir())

    asyncio.run(asyncio.wait_for(check(), LIMIT_S))
    assert disk.read_bytes() == before


def make_file_system(folder: Path) -> Path:
    """Returns a disk with a file that may be overwritten and one that may not."""
    content = folder / "content"
    content.mkdir()
    (content / "mine").write_bytes(b"mine" * (4 << 18))
    (content / "free").write_bytes(b"free" * (4 << 20))
    path = folder / "files.raw"
    argv = ("mkfs.ext4", "-q", "-d", str(content), str(path), "48M")
    subprocess.run(argv, check=True, env={"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"})
    shutil.rmtree(content)
    return path


def test_load_that_writes_takes_the_named_file_alone(
    guest_image: GuestImage, tmp_path: Path
) -> None:
    """Its neighbour in the same folder and the other disk stay as they are."""
    if shutil.which("mkfs.ext4", path="/usr/sbin:/sbin:/usr/bin:/bin") is None:
        pytest.skip("needs mkfs.ext4")
    disk, before = make_disk(tmp_path)
    more = (
        *("-blockdev", f"driver=file,node-name=n1,filename={make_file_system(tmp_path)}"),
        *("-device", "virtio-blk-pci,iothread=io0,drive=n1,id=virtio1,addr=0x9"),
    )

    async def run(path: Path, *argv: str) -> bytes:
        async with Agent.connect(path, LIMIT_S) as agent:
            done = await agent.run(argv, timeout_s=60)
        assert done.status == 0, done.stderr
        return done.stdout

    async def check() -> None:
        async with started(guest_image, disk, more) as (guest, agent):
            await run(agent, "sh", "-c", "mkdir /data && mount -t ext4 /dev/vdb /data")
            sums = (await run(agent, "md5sum", "/data/mine", "/data/free")).splitlines()
            job = "rw=randwrite,bs=4k,iodepth=4,ramp=0,runtime=0.5"
            words = ("--live", "poll-max-ns=0", "--pairs", "2", "--json", "--fio-job", job)
            status, out, err = await bench(guest, tmp_path, *words, "--allow-write", "/data/free")
            assert status == 0, err
            told = json.loads(out)["data"]
            assert told["volume"] == "the guest's file /data/free"
            assert told["device"] == "/data/free"
            assert told["jobs"][0]["b"]["iops"] > 1
            now = (await run(agent, "md5sum", "/data/mine", "/data/free")).splitlines()
            assert now[0] == sums[0]
            assert now[1] != sums[1]
            assert (await run(agent, "ls", "/data")).split() == [b"free", b"lost+found", b"mine"]
            assert await read_poll_ns(guest) == OWN_NS

    asyncio.run(asyncio.wait_for(check(), LIMIT_S))
    assert disk.read_bytes() == before
