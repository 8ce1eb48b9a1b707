"""Guests booted on this host."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vmio.app.guests import Guest, lay_out
from vmio.errors import UsageError
from vmio.model.topology import Topology
from vmio.units import parse_size_bytes

if TYPE_CHECKING:
    from vmio.qemu.boot import Boot, Volumes
    from vmio.qemu.process import QemuProcess

__all__ = ["boot", "boot_with_socket", "choose_boot", "parse_volumes", "render_boot", "verify"]


def choose_boot(
    *,
    accelerator: Literal["auto", "kvm", "tcg"] = "auto",
    kernel: str | None = None,
    initrd: str | None = None,
    append: str = "",
    memory_mib: int | None = None,
    arch: str = "x86_64",
) -> tuple[Boot, str]:
    """Returns how guests are booted on this host, and why without KVM if so.

    Args:
        accelerator: kvm, tcg, or auto to try.
        kernel: A kernel to boot instead of the boot loader on the disks.
        initrd: The initramfs for it.
        append: The kernel's command line.
        memory_mib: Memory of the guest; None for the config's.
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
    """Boots a guest on this host, and at the end stops it and removes everything made for it.

    Yields:
        The running QEMU, and its layout with this host's files.

    Raises:
        InputError: A volume does not exist here, and nothing replaces it.
        ToolError: QEMU did not start.
    """
    from vmio.qemu.boot import place_volumes, render_boot
    from vmio.qemu.process import QemuProcess

    with place_volumes(lay_out(guest), volumes) as placed:
        argv = render_boot(guest.vm.machine, placed, how)
        async with QemuProcess.start(argv, qmp_socket=qmp_socket) as process:
            yield process, placed


@asynccontextmanager
async def boot_with_socket(
    guest: Guest, how: Boot, volumes: Volumes, socket: str | None = None
) -> AsyncIterator[tuple[QemuProcess, Topology, Path]]:
    """Boots a guest as `boot` does, with a QMP socket for others, removed at the end.

    Args:
        guest: The guest.
        how: How it is booted.
        volumes: Where its volumes come from.
        socket: The socket's path; None for one in a temporary folder.

    Yields:
        The running QEMU, its layout with this host's files, and the socket.
    """
    from vmio.qemu.folder import open_runtime_folder

    with open_runtime_folder() as folder, ExitStack() as cleanup:
        path = folder / "qmp"
        if socket is not None:
            path = Path(socket)
            cleanup.callback(path.unlink, missing_ok=True)
        async with boot(guest, how, volumes, qmp_socket=path) as (process, placed):
            yield process, placed, path


def render_boot(guest: Guest, how: Boot, volumes: Volumes) -> str:
    """Returns the command line that `boot` would run."""
    from vmio.formats.shell import join_words
    from vmio.qemu import boot as home

    with home.place_volumes(lay_out(guest), volumes) as placed:
        return join_words(home.render_boot(guest.vm.machine, placed, how))


def parse_volumes(scratch: str | None, disks: tuple[str, ...], *, own: bool) -> Volumes:
    """Returns where volumes come from, according to the options.

    Raises:
        UsageError: A size or a pair is not valid.
    """
    from vmio.qemu.boot import Volumes

    scratch_bytes = None
    if scratch is not None:
        scratch_bytes = parse_size_bytes(scratch)
        if not scratch_bytes:
            raise UsageError(f"'{scratch}' is not a size", hint="write it like 512M or 1G")
    paths = {}
    for pair in disks:
        name, equals, path = pair.partition("=")
        if not equals or not name or not path:
            raise UsageError(f"'{pair}' is not of the form DISK=PATH", hint="as in scsi0=test.raw")
        paths[name] = path
    return Volumes(paths=paths, scratch_bytes=scratch_bytes, own=own)


async def verify(process: QemuProcess, planned: Topology) -> tuple[Topology, tuple[str, ...]]:
    """Returns the layout that a running QEMU reports, and its differences from the plan."""
    from vmio.observe.running import read_running
    from vmio.qemu.live import compare

    live = await read_running(process.qmp)
    return live, compare(planned, live)
