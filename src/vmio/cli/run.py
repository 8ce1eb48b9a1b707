"""`vmio run`: boots a config on this host."""

from __future__ import annotations

from typing import Literal

import click

from vmio import app
from vmio.characters import printable
from vmio.cli.completing import complete_vm
from vmio.cli.guest import ensure_image
from vmio.cli.options import boot_options, host_options, storage_option
from vmio.cli.terminal import say
from vmio.errors import UsageError

__all__ = ["command"]

_DIFFERENT = 1


@click.command("run")
@click.argument("vm", shell_complete=complete_vm)
@click.option("--verify", is_flag=True, help="Compare the plan with what QEMU reports, and exit.")
@click.option("--guest", is_flag=True, help="Boot vmio's own small guest instead of the disks.")
@click.option("--qmp", metavar="PATH", help="The path of the guest's QMP socket.")
@click.option(
    "--memory",
    "memory_mib",
    type=click.IntRange(16),
    help="Memory in MiB, instead of the config's.",
)
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
    """Boot the guest VM on this host, with its controllers and IOThreads.

    VM is a config or a QEMU command line, a VM's number or name, or pid:NUMBER or qmp:SOCKET to
    boot a guest like a running one.

    No volume is opened unless --disk names it, or --own-volumes allows all; --scratch replaces the
    others by empty disks. Ctrl-C ends the guest and removes everything made for it.
    """
    if qmp is not None and app.is_there(qmp):
        raise UsageError(f"{qmp} exists already")
    facts = app.read_host(host, overrides, binary=True)
    loaded = app.load(app.find_guest(vm), host=facts, storage=storage)
    volumes = app.parse_volumes(scratch, disks, own=own_volumes)
    with app.unwind_on_signals():
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
            click.echo(app.render_boot(loaded, how, volumes))
            return
        status = app.run_async(
            _verify(loaded, how, volumes) if verify else _run(loaded, how, volumes, qmp)
        )
    if status:
        raise click.exceptions.Exit(status)


def _find_guest(
    loaded: app.Guest, kernel: str | None, initrd: str | None, append: str | None
) -> tuple[str, str, str]:
    image = ensure_image(
        {controller.model for controller in app.lay_out(loaded).controllers},
        kernel=kernel or None,
        initrd=initrd or None,
    )
    return str(image.kernel), str(image.initrd), append or image.append


async def _verify(guest: app.Guest, how: app.Boot, volumes: app.Volumes) -> int:
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
    click.echo(f"as planned: {count} disk{'s' * (count != 1)}, each served as planned")
    return 0


async def _run(guest: app.Guest, how: app.Boot, volumes: app.Volumes, qmp: str | None) -> int:
    from vmio.cli.console import make_console
    from vmio.report.layout.text import print_topology

    async with app.boot_with_socket(guest, how, volumes, qmp) as (process, planned, socket):
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
