"""A running guest's live settings searched by loads inside it, and set back."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from vmio.app.ps import list_running
from vmio.guest.agent import Agent, agent_argv
from vmio.guest.image import GuestImage
from vmio.qemu.folder import open_runtime_folder
from vmio.qemu.process import QemuProcess
from vmio.tune.in_guest import tell_commands

LIMIT_S = 280.0
OWN = {"poll-max-ns": 8192, "aio-max-batch": 0}
JOB = "rw=randread,bs=4k,iodepth=4,ramp=0"
VARY = ("--vary", "batch", "--disk", "virtio0")


@asynccontextmanager
async def started(image: GuestImage, disk: Path) -> AsyncIterator[QemuProcess]:
    """Starts a guest as somebody else would have; its agent answers, and nobody is connected."""
    with open_runtime_folder() as folder:
        argv = (
            *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none"),
            *("-name", "tuned,debug-threads=on", "-machine", "pc", "-accel", "tcg"),
            *("-m", "384", "-cpu", "max", "-object", "iothread,id=io0,poll-max-ns=8192"),
            *("-blockdev", f"driver=file,node-name=n0,filename={disk},aio=native,cache.direct=on"),
            *("-device", "virtio-blk-pci,iothread=io0,drive=n0,id=virtio0,addr=0x8"),
            *("-kernel", str(image.kernel), "-initrd", str(image.initrd)),
            *("-append", image.append, *agent_argv(folder / "agent")),
        )
        async with QemuProcess.start(argv, qmp_socket=folder / "qmp") as guest:
            async with Agent.connect(folder / "agent", LIMIT_S) as agent:
                await agent.ping()
            yield guest


@asynccontextmanager
async def tuning(
    guest: QemuProcess, state: Path, *words: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Runs `vmio tune` on a guest beside this process."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "vmio", "tune", "--in-guest", f"pid:{guest.pid}", *words),
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


async def read_values(guest: QemuProcess) -> dict[str, object]:
    """Returns what is in force in the guest's IOThread."""
    return {name: await guest.qmp.qom_get("/objects/io0", name) for name in OWN}


async def wait_for_change(guest: QemuProcess, process: asyncio.subprocess.Process) -> None:
    """Returns when a setting of the search is in force."""
    while await read_values(guest) == OWN:
        assert process.returncode is None, "it ended without a change"
        await asyncio.sleep(0.02)


def make_disk(folder: Path) -> tuple[Path, bytes]:
    """Returns somebody's disk and what is on it."""
    disk = folder / "disk.raw"
    disk.write_bytes(b"mine" * (8 << 18))
    return disk, disk.read_bytes()


def test_running_guest_is_tuned_and_left_as_it_was(
    guest_image: GuestImage, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    """Its own values are in force again after a search and after Ctrl-C."""
    disk, before = make_disk(tmp_path)
    journal = tmp_path / "journal"
    folder = tmp_path / "vmio" / "autopilot"

    async def check() -> None:
        async with started(guest_image, disk) as guest:
            words = (*VARY, "--fio-job", f"{JOB},runtime=0.2", "--json", "--time", "20s")
            with subtests.test("Ctrl-C sets the values back, and what there is is kept"):
                async with tuning(guest, tmp_path, *words, "--journal", str(journal)) as process:
                    while not journal.exists() or journal.read_bytes().count(b"\n") < 2:
                        assert process.returncode is None
                        await asyncio.sleep(0.05)
                    await wait_for_change(guest, process)
                    process.send_signal(signal.SIGINT)
                    out, err = await process.communicate()
                assert process.returncode == 130, err
                assert not json.loads(out)["data"]["finished"]
                assert await read_values(guest) == OWN
                assert not list(folder.iterdir())
            with subtests.test("the same call goes on, and finds something or nothing"):
                known = journal.read_bytes()
                async with tuning(guest, tmp_path, *words, "--journal", str(journal)) as process:
                    out, err = await process.communicate()
                told = json.loads(out)["data"]
                assert process.returncode == (0 if told["verdict"] == "higher" else 1), err
                assert journal.read_bytes().startswith(known)
                assert told["finished"]
                assert (told["guest"], told["accelerator"]) == ("tuned", "as it runs")
                assert told["in_guest"]["volume"] == "the guest's own disk, read only"
                assert bool(told["in_guest"]["commands"]) == (told["verdict"] == "higher")
                tried = {(each["layout"], each["setting"]) for each in told["tried"]}
                assert tried == {("", "aio_max_batch=1"), ("", "aio_max_batch=128")}
                assert await read_values(guest) == OWN
            with subtests.test("the line that sets a winner does"):
                (found,) = list_running([f"pid:{guest.pid}"]).guests
                (line,) = tell_commands(found, "io0", {"poll-max-ns": 4096})
                command = {"command-line": line.removeprefix("in its human monitor: ")}
                assert not await guest.qmp.execute("human-monitor-command", command)
                assert (await read_values(guest))["poll-max-ns"] == 4096

    asyncio.run(asyncio.wait_for(check(), LIMIT_S))
    assert disk.read_bytes() == before


def test_what_a_killed_search_leaves_is_put_back(guest_image: GuestImage, tmp_path: Path) -> None:
    """By the record from before the first change."""
    disk, before = make_disk(tmp_path)

    async def check() -> None:
        async with started(guest_image, disk) as guest:
            slow = (*VARY, "--fio-job", f"{JOB},runtime=20")
            async with tuning(guest, tmp_path, *slow) as process:
                await wait_for_change(guest, process)
                process.kill()
                await process.communicate()
            assert await read_values(guest) != OWN
            done = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "vmio", "autopilot", "restore", f"pid:{guest.pid}"),
                env={**os.environ, "XDG_STATE_HOME": str(tmp_path)},
                stderr=asyncio.subprocess.PIPE,
            )
            _, err = await done.communicate()
            assert done.returncode == 0, err
            assert await read_values(guest) == OWN

    asyncio.run(asyncio.wait_for(check(), LIMIT_S))
    assert disk.read_bytes() == before
