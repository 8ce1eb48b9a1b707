"""`vmio explain`: explains one disk, from its file to the thread that serves it."""

from __future__ import annotations

import click

from vmio import app
from vmio.cli.completing import complete_disk, complete_snapshot, complete_vm
from vmio.cli.guests import find_guests
from vmio.cli.options import host_options, qemu_version_option, storage_option
from vmio.cli.terminal import has_colour, measure_terminal, say_error

__all__ = ["command"]


@click.command("explain")
@click.argument("vm", required=False, shell_complete=complete_vm)
@click.argument("disk", required=False, shell_complete=complete_disk)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option(
    "--snapshot",
    metavar="NAME",
    shell_complete=complete_snapshot,
    help="Explain a snapshot instead.",
)
@storage_option
@qemu_version_option
@host_options
def command(
    vm: str | None,
    disk: str | None,
    *,
    as_json: bool,
    snapshot: str | None,
    storage: str | None,
    qemu_version: str | None,
    host: str | None,
    overrides: tuple[str, ...],
) -> int:
    """Explain what becomes of each option of DISK, and what would make it take effect.

    VM is a config, a saved QEMU command line (- is standard input), a VM's number or name,
    pid:NUMBER for a process, or qmp:SOCKET for what a running QEMU itself reports. Without DISK
    it prints a line for each. Without VM it is about all guests of this host: those in /etc/pve,
    or the QEMU processes where there is none.
    """
    if vm is None:
        guests = tuple(
            app.explain_all(
                find_guests(()),
                host=host,
                overrides=overrides,
                qemu_version=qemu_version,
                storage=storage,
                snapshot=snapshot,
            )
        )
        return _print_all(guests, as_json=as_json)
    vm = app.find_guest(vm, monitor=True)
    facts = app.read_place(vm, host=host, overrides=overrides, qemu_version=qemu_version).host
    name, origin, stories = app.explain(vm, disk, host=facts, storage=storage, snapshot=snapshot)
    if as_json:
        from vmio.report.explanation.json import render_explanation_json

        click.echo(render_explanation_json(stories, vm=name, origin=origin))
        return 0
    from vmio.report.explanation.text import render_explanation, render_overview

    colour, columns = has_colour(), measure_terminal()
    if disk is None:
        text = render_overview(stories, colour=colour, columns=columns)
    else:
        text = render_explanation(stories[0], colour=colour, columns=columns)
    click.echo(text, nl=False, color=colour)
    return 0


def _print_all(guests: tuple[app.ExplainedGuest, ...], *, as_json: bool) -> int:
    """Prints the disks of each guest, says which cannot be read, and returns the worst status."""
    if as_json:
        from vmio.report.explanation.json import render_explanations_json

        click.echo(render_explanations_json(guests))
    else:
        from vmio.report.explanation.text import render_explanations

        colour = has_colour()
        text = render_explanations(guests, colour=colour, columns=measure_terminal())
        click.echo(text, nl=False, color=colour)
    errors = [(guest.name, guest.error) for guest in guests if guest.error is not None]
    for name, error in errors:
        say_error(error, about="" if name in error.message else name)
    return max((error.exit_status for _, error in errors), default=0)
