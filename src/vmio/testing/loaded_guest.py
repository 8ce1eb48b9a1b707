"""The benchmark guest with disks of one's choice, and fio in it, for tests of what it does."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct

from vmio import app
from vmio.guest.agent import Agent, agent_argv
from vmio.guest.image import ensure_image
from vmio.model.machine import Machine
from vmio.model.topology import Topology
from vmio.qemu.boot import render_boot
from vmio.qemu.brief import BriefMonitor
from vmio.qemu.folder import open_runtime_folder
from vmio.qemu.process import QemuProcess

__all__ = ["Loaded", "boot_loaded"]


class Loaded(Struct, frozen=True, kw_only=True):
    """A guest that can be loaded, with a monitor that others use too."""

    process: QemuProcess
    agent: Agent
    socket: Path
    devices: tuple[str, ...]

    def open_monitor(self) -> BriefMonitor:
        """Returns its monitor, with limits that a busy host does not reach."""
        return BriefMonitor(
            self.socket, pid=self.process.pid, greeting_s=10.0, conversation_s=20.0
        )

    async def run_fio(self, device: str, *more: str) -> dict[str, Any]:
        """Returns what fio says of its reads."""
        done = await self.agent.run(
            (
                *("fio", "--name=x", f"--filename={device}", "--rw=randread", "--bs=4k"),
                *("--ioengine=libaio", "--direct=1", "--time_based", "--output-format=json"),
                *("--allow_file_create=0", *more),
            ),
            timeout_s=120,
        )
        if done.status:
            raise AssertionError(done.stderr)
        text = done.stdout.decode()
        reads: dict[str, Any] = json.loads(text[text.index("{") :])["jobs"][0]["read"]
        return reads


@asynccontextmanager
async def boot_loaded(*disks: str, devices: Sequence[str] = ()) -> AsyncIterator[Loaded]:
    """Boots the benchmark guest with block nodes as its disks.

    Args:
        disks: The nodes, n0 and so on: what follows `-blockdev` for each, without its name.
        devices: The options of the devices; each disk on an IOThread of its own without any.

    Raises:
        CapabilityError: This host cannot build the guest.
    """
    image = ensure_image(controllers=("virtio-blk-pci", "virtio-scsi-pci"))
    how, _ = app.choose_boot(
        accelerator="tcg",
        kernel=str(image.kernel),
        initrd=str(image.initrd),
        append=f"{image.append} clocksource=tsc tsc=reliable",
        memory_mib=512,
    )
    extra: list[str] = []
    for number, each in enumerate(disks):
        extra += ["-object", f"iothread,id=io{number}", "-blockdev", f"{each},node-name=n{number}"]
    for each in devices or (
        f"virtio-blk-pci,drive=n{number},iothread=io{number},id=vd{number},num-queues=1"
        for number in range(len(disks))
    ):
        extra += ["-device", each]
    async with AsyncExitStack() as stack:
        runtime = stack.enter_context(open_runtime_folder())
        argv = render_boot(Machine(name="sampled"), Topology(), how)
        argv = (*argv, *agent_argv(runtime / "agent"), *extra)
        process = await stack.enter_async_context(
            QemuProcess.start(argv, qmp_socket=runtime / "qmp")
        )
        agent = await stack.enter_async_context(Agent.connect(runtime / "agent", 180))
        found: list[str] = []
        while len(found) < len(disks):
            names = ("vd", "sd")
            found = sorted(
                each.path for each in await agent.disks() if each.name.startswith(names)
            )
        yield Loaded(
            process=process,
            agent=agent,
            socket=runtime / "qmp",
            devices=tuple(found[: len(disks)]),
        )
