"""`vmio show`: which thread serves each disk, as planned or as a running QEMU reports it."""

from __future__ import annotations

import click

from vmio import app
from vmio.cli.completing import complete_snapshot, complete_vm
from vmio.cli.options import host_options, qemu_version_option, storage_option
from vmio.cli.terminal import say
from vmio.model.topology import Topology

__all__ = ["command"]

_QMP = "qmp:"
_ORIGINS = {
    "command": "as its command line says",
    "plan": "as planned",
    "running": "as the running QEMU reports it",
}


@click.command("show")
@click.argument("vm", shell_complete=complete_vm)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--svg", "as_svg", is_flag=True, help="Print a picture.")
@click.option(
    "--snapshot", metavar="NAME", shell_complete=complete_snapshot, help="Show a snapshot instead."
)
@storage_option
@qemu_version_option
@host_options
def command(
    vm: str,
    *,
    snapshot: str | None,
    storage: str | None,
    qemu_version: str | None,
    host: str | None,
    overrides: tuple[str, ...],
    as_json: bool,
    as_svg: bool,
) -> None:
    """Show which thread serves each disk of VM, and which of its settings have an effect.

    VM is a config, a saved QEMU command line (- is standard input), pid:NUMBER for the command
    line of a process, or qmp:SOCKET for what a running QEMU itself reports.
    """
    if as_json and as_svg:
        raise click.UsageError("--json and --svg exclude each other")
    if vm.startswith(_QMP):
        topology = app.observe(vm.removeprefix(_QMP))
        name, origin = vm, "running"
    else:
        facts = app.read_place(vm, host=host, overrides=overrides, qemu_version=qemu_version).host
        guest = app.load(vm, host=facts, storage=storage, snapshot=snapshot)
        topology = app.lay_out(guest)
        origin = "command" if guest.vm.notation == "qemu" else "plan"
        name = f"{guest.vm.id} {guest.vm.name}".strip()
        for problem in guest.vm.problems:
            text = problem.message.replace("\n", ": ")
            say(f"{vm}: {text}")
    _print(topology, name=name, origin=origin, as_json=as_json, as_svg=as_svg)


def _print(topology: Topology, *, name: str, origin: str, as_json: bool, as_svg: bool) -> None:
    if as_json:
        from vmio.report.layout.json import render_topology_json

        click.echo(render_topology_json(topology, vm=name, origin=origin))
    elif as_svg:
        from vmio.report.layout.svg import render_topology

        click.echo(render_topology(topology, name))
    else:
        from vmio.cli.console import make_console
        from vmio.report.layout.text import print_topology

        print_topology(topology, make_console(), title=f"{name}, {_ORIGINS[origin]}")
