"""`vmio ps`: lists the guests that run on this host."""

from __future__ import annotations

import click

from vmio import app
from vmio.cli.completing import complete_running
from vmio.cli.terminal import say, say_error, say_hint

__all__ = ["command"]


@click.command("ps")
@click.argument("vms", metavar="[VM]...", nargs=-1, shell_complete=complete_running)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(vms: tuple[str, ...], *, as_json: bool) -> int:
    """List the QEMU guests that run on this host, whoever started them.

    For each there is its manager (Proxmox, libvirt, KubeVirt, or none), what that calls it, how
    long it runs, its disks, those of them that the main loop serves, its IOThreads, and whether
    its monitor is free. All of it is read from /proc; no monitor is connected to.

    VM is a guest's number, id, name or config, pid:NUMBER, or qmp:SOCKET. If one does not run
    here, the others are listed, and the exit status is 3.
    """
    listed = app.list_running(vms)
    if as_json:
        from vmio.report.guests.json import render_guests_json

        click.echo(render_guests_json(listed.guests, listed.unseen))
    elif listed.guests:
        from vmio.cli.console import make_console
        from vmio.report.guests.text import print_guests

        print_guests(listed.guests, make_console())
    elif not listed.errors:
        say("no QEMU is seen to run on this host")
    for guest in listed.guests:
        if guest.problem:
            say(guest.problem)
    for line in listed.unseen:
        say(line)
    for error in listed.errors:
        say_error(error)
    hints = dict.fromkeys(error.hint for error in listed.errors if error.hint)
    for hint in hints:
        say_hint(hint)
    return max((error.exit_status for error in listed.errors), default=0)
