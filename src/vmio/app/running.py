"""Guests that run: booted here, or watched over QMP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vmio.app.guests import plan
from vmio.formats.proxmox.reader import Guest
from vmio.model.topology import Topology

if TYPE_CHECKING:
    from vmio.qemu.boot import Boot, Volumes
    from vmio.qemu.process import QemuProcess

__all__ = ["boot", "choose_boot", "observe", "verify"]


def observe(socket: str) -> Topology:
    """Returns the layout that a running QEMU reports on its QMP socket.

    Raises:
        QmpError: Nothing answers there, or not in QMP.
    """
    from vmio.qemu.live import read_live
    from vmio.qemu.qmp import QmpConnection
    from vmio.qemu.signals import run_async

    async def ask() -> Topology:
        async with QmpConnection.connect(Path(socket)) as connection:
            return await read_live(connection)

    return run_async(ask())


def choose_boot(
    *,
    accelerator: Literal["auto", "kvm", "tcg"] = "auto",
    kernel: str | None = None,
    initrd: str | None = None,
    append: str = "",
    memory_mib: int | None = None,
    arch: str = "x86_64",
) -> tuple[Boot, str]:
    """Returns how guests are booted on this host, and why not with KVM where that is so.

    Args:
        accelerator: kvm, tcg, or auto to try.
        kernel: A kernel to boot instead of what is on the disks.
        initrd: Its initramfs.
        append: Its command line.
        memory_mib: Memory of the guest; None for what its config says.
        arch: The guest's architecture.

    Raises:
        CapabilityError: There is no QEMU, or the accelerator asked for does not work here.
    """
    from vmio.qemu.accel import choose_accelerator
    from vmio.qemu.binary import find_qemu, read_capabilities
    from vmio.qemu.boot import Boot

    binary = find_qemu(arch)
    chosen = choose_accelerator(binary, ask=accelerator)
    boot = Boot(
        binary=str(binary),
        accelerator=chosen.name,
        machine_types=tuple(read_capabilities(binary).machine_names),
        kernel=kernel,
        initrd=initrd,
        append=append,
        memory_mib=memory_mib,
    )
    return boot, chosen.reason if chosen.fell_back else ""


@asynccontextmanager
async def boot(
    guest: Guest, how: Boot, volumes: Volumes, *, qmp_socket: Path | None = None
) -> AsyncIterator[tuple[QemuProcess, Topology]]:
    """Boots a guest on this host and ends it with everything that was made for it.

    Yields:
        The running QEMU, and the plan over the files of this host.

    Raises:
        InputError: A volume is neither here nor replaced.
        ToolError: QEMU refused.
    """
    from vmio.qemu.boot import place_volumes, render_boot
    from vmio.qemu.process import QemuProcess

    with place_volumes(plan(guest), volumes) as placed:
        argv = render_boot(guest.vm.machine, placed, how)
        async with QemuProcess.start(argv, qmp_socket=qmp_socket) as process:
            yield process, placed


async def verify(process: QemuProcess, planned: Topology) -> tuple[Topology, tuple[str, ...]]:
    """Returns what a running QEMU reports, and in words where that differs from the plan."""
    from vmio.qemu.live import compare, read_live

    live = await read_live(process.qmp)
    return live, compare(planned, live)
