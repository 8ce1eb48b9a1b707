"""`vmio run`: a config booted on this host."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from vmio import app
from vmio.characters import printable
from vmio.cli.options import boot_options, host_options, storage_option
from vmio.cli.terminal import say
from vmio.errors import UsageError
from vmio.units import parse_size_bytes

if TYPE_CHECKING:
    from vmio.formats.proxmox.reader import Guest
    from vmio.qemu.boot import Boot, Volumes

__all__ = ["command", "parse_volumes"]

_DIFFERENT = 1


@click.command("run")
@click.argument("vm")
@click.option("--verify", is_flag=True, help="Compare the plan with what QEMU reports, and end.")
@click.option("--guest", is_flag=True, help="Boot vmio's own small guest, not the disks.")
@click.option("--qmp", metavar="PATH", help="Where to offer the guest's QMP socket.")
@click.option("--memory", "memory_mib", type=click.IntRange(16), help="MiB, not the config's.")
@click.option("--dry-run", is_flag=True, help="Print the command line and run nothing.")
@boot_options
@storage_option
@host_options
def command(
    vm: str,
    *,
    verify: bool,
    guest: bool,
    qmp: str | None,
    memory_mib: int | None,
    dry_run: bool,
    scratch: str | None,
    disks: tuple[str, ...],
    own_volumes: bool,
    accel: Literal["auto", "kvm", "tcg"],
    kernel: str | None,
    initrd: str | None,
    append: str | None,
    storage: str | None,
    host: str | None,
    overrides: tuple[str, ...],
) -> None:
    """Boot the config VM on this host, with its controllers and IOThreads.

    No volume is opened unless it is named by --disk, or by --own-volumes all of them; --scratch
    stands in empty disks for the rest. Ctrl-C ends the guest, and nothing of it is left.
    """
    if qmp is not None and app.is_there(qmp):
        raise UsageError(f"{qmp} exists already")
    facts = app.read_host(host, overrides, binary=True)
    loaded = app.load_config(vm, host=facts, storage=storage)
    volumes = parse_volumes(scratch, disks, own=own_volumes)
    from vmio.qemu.signals import run_async, unwind_on_signals

    with unwind_on_signals():
        if guest:
            kernel, initrd, append = _find_guest(loaded, kernel, initrd, append)
        how, reason = app.choose_boot(
            accelerator=accel,
            kernel=kernel,
            initrd=initrd,
            append=append or "",
            memory_mib=memory_mib,
            arch=loaded.vm.arch,
        )
        if reason:
            say(reason)
        if dry_run:
            click.echo(_render_dry(loaded, how, volumes))
            return
        status = run_async(
            _verify(loaded, how, volumes) if verify else _run(loaded, how, volumes, qmp)
        )
    if status:
        raise click.exceptions.Exit(status)


def parse_volumes(scratch: str | None, disks: tuple[str, ...], *, own: bool) -> Volumes:
    """Returns where volumes come from, as the options say it.

    Raises:
        UsageError: A size or a pair is not one.
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


def _find_guest(
    loaded: Guest, kernel: str | None, initrd: str | None, append: str | None
) -> tuple[str, str, str]:
    from vmio.guest.image import ensure_image

    image = ensure_image(
        kernel=Path(kernel) if kernel else None,
        initrd=Path(initrd) if initrd else None,
        controllers={controller.model for controller in app.plan(loaded).controllers},
        report=lambda task, _: say(task),
    )
    return str(image.kernel), str(image.initrd), append or image.append


def _render_dry(guest: Guest, how: Boot, volumes: Volumes) -> str:
    from vmio.formats.shell import join_words
    from vmio.qemu.boot import place_volumes, render_boot

    with place_volumes(app.plan(guest), volumes) as placed:
        return join_words(render_boot(guest.vm.machine, placed, how))


async def _verify(guest: Guest, how: Boot, volumes: Volumes) -> int:
    from vmio.cli.console import make_console
    from vmio.report.layout.text import print_topology

    async with app.boot(guest, how, volumes) as (process, planned):
        live, differences = await app.verify(process, planned)
        version = process.qmp.version
    title = f"{guest.vm.id} {guest.vm.name}".strip()
    print_topology(live, make_console(), title=f"{title}, as QEMU {version} reports it")
    for difference in differences:
        click.echo(printable(f"not as planned: {difference}"))
    if differences:
        return _DIFFERENT
    count = len(live.disks)
    click.echo(f"as planned: {count} disk{'s' * (count != 1)}, each served as the plan says")
    return 0


async def _run(guest: Guest, how: Boot, volumes: Volumes, qmp: str | None) -> int:
    from vmio.cli.console import make_console
    from vmio.qemu.folder import open_runtime_folder
    from vmio.report.layout.text import print_topology

    with open_runtime_folder() as folder, ExitStack() as cleanup:
        socket = folder / "qmp"
        if qmp is not None:
            socket = Path(qmp)
            cleanup.callback(socket.unlink, missing_ok=True)
        async with app.boot(guest, how, volumes, qmp_socket=socket) as (process, planned):
            live, differences = await app.verify(process, planned)
            name = guest.vm.name or guest.vm.id
            print_topology(live, make_console(), title=f"{name}, running")
            for difference in differences:
                click.echo(printable(f"not as planned: {difference}"))
            say(f"QEMU is process {process.pid}; Ctrl-C ends it")
            say(f"another terminal can run: vmio show qmp:{socket}")
            status = await process.wait()
    say(f"the guest has ended{f', status {status}' if status else ''}")
    return 0
