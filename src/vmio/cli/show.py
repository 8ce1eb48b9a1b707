"""`vmio show`: shows which thread serves each disk, as planned or as a running QEMU reports."""

from __future__ import annotations

import click

from vmio import app
from vmio.cli.completing import complete_snapshot, complete_vm
from vmio.cli.guests import find_guests
from vmio.cli.options import host_options, qemu_version_option, storage_option
from vmio.cli.terminal import say
from vmio.model.topology import Topology

__all__ = ["command"]

_QMP = "qmp:"
_ORIGINS = {
    "command": "as its command line says",
    "domain": "as libvirt runs it",
    "plan": "as planned",
    "running": "as the running QEMU reports it",
}


@click.command("show")
@click.argument("vms", metavar="[VM]...", nargs=-1, shell_complete=complete_vm)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--svg", "as_svg", is_flag=True, help="Print a picture.")
@click.option(
    "--snapshot", metavar="NAME", shell_complete=complete_snapshot, help="Show a snapshot instead."
)
@click.option("--stored", is_flag=True, help="Show a running domain of libvirt as it starts next.")
@click.option(
    "--passthrough",
    is_flag=True,
    help="Have libvirt ask a domain's QEMU itself, which taints the domain until it stops.",
)
@storage_option
@qemu_version_option
@host_options
def command(
    vms: tuple[str, ...],
    *,
    snapshot: str | None,
    stored: bool,
    passthrough: bool,
    storage: str | None,
    qemu_version: str | None,
    host: str | None,
    overrides: tuple[str, ...],
    as_json: bool,
    as_svg: bool,
) -> int:
    """Show which thread serves each disk of VM, and which of its settings have an effect.

    VM is a config, a saved QEMU command line (- is standard input), a VM's number or name,
    pid:NUMBER for the command line of a process, or qmp:SOCKET for what a running QEMU itself
    reports. A domain that libvirt runs is shown as it runs. Of a folder, a whole /etc/pve or
    several there is a line for each disk. Without VM it shows all guests of this host: those in
    /etc/pve, or the QEMU processes where there is none.
    """
    if as_json and as_svg:
        raise click.UsageError("--json and --svg exclude each other")
    shows_running = not stored and snapshot is None
    if passthrough and not shows_running:
        raise click.UsageError("--passthrough excludes --stored and --snapshot")
    if len(vms) == 1 and vms[0].startswith(_QMP) and not passthrough:
        topology = app.observe(vms[0].removeprefix(_QMP))
        _print(topology, name=vms[0], origin="running", as_json=as_json, as_svg=as_svg)
        return 0
    paths = find_guests(vms)
    if len(paths) > 1 or app.is_folder(paths[0]):
        if as_svg or passthrough or snapshot is not None:
            raise click.UsageError("--svg, --snapshot and --passthrough require a single guest")
        guests = app.list_layouts(
            paths, host=host, overrides=overrides, qemu_version=qemu_version, storage=storage
        )
        return _print_all(tuple(guests), as_json=as_json)
    running = app.observe_domain(paths[0], passthrough=passthrough) if shows_running else None
    if running is not None:
        name, origin = paths[0].rpartition("/")[2], "running" if passthrough else "domain"
        _tell(running, name)
        _print(running.topology, name=name, origin=origin, as_json=as_json, as_svg=as_svg)
        return 0
    guest = app.open_guest(
        paths[0],
        host=host,
        overrides=overrides,
        qemu_version=qemu_version,
        storage=storage,
        snapshot=snapshot,
    )
    if guest.remark:
        say(f"{paths[0]}: {guest.remark}")
    for problem in guest.vm.problems:
        text = problem.message.replace("\n", ": ")
        say(f"{paths[0] if not vms else vms[0]}: {text}")
    _print(
        app.lay_out(guest),
        name=f"{guest.vm.id} {guest.vm.name}".strip(),
        origin=guest.origin,
        as_json=as_json,
        as_svg=as_svg,
    )
    return 0


def _tell(running: app.RunningDomain, name: str) -> None:
    """Says what a person should know of a running domain besides its layout."""
    for note in running.notes:
        say(f"{name}: {note}")
    if running.starts_otherwise:
        say(
            f"{name}: it starts next with another layout: vmio show --stored shows that, and"
            " vmio diff the differences"
        )


def _print_all(guests: tuple[app.ShownGuest, ...], *, as_json: bool) -> int:
    """Prints a line for each disk, and returns the worst status."""
    if as_json:
        from vmio.report.layout.json import render_layouts_json

        click.echo(render_layouts_json(guests))
    else:
        from vmio.cli.console import make_console
        from vmio.report.layout.text import print_layouts

        print_layouts(guests, make_console())
    return max((guest.error.exit_status for guest in guests if guest.error), default=0)


def _print(topology: Topology, *, name: str, origin: str, as_json: bool, as_svg: bool) -> None:
    if as_json:
        from vmio.report.layout.json import render_topology_json

        origin = "running" if origin == "domain" else origin
        click.echo(render_topology_json(topology, vm=name, origin=origin))
    elif as_svg:
        from vmio.report.layout.svg import render_topology

        click.echo(render_topology(topology, name))
    else:
        from vmio.cli.console import make_console
        from vmio.report.layout.text import print_topology

        print_topology(topology, make_console(), title=f"{name}, {_ORIGINS[origin]}")
