"""`vmio explain`: explains one disk, from its file to the thread that serves it."""

from __future__ import annotations

import os
import sys

import click

from vmio import app
from vmio.cli.completing import complete_disk, complete_snapshot, complete_vm
from vmio.cli.options import host_options, qemu_version_option, storage_option

__all__ = ["command"]


@click.command("explain")
@click.argument("vm", shell_complete=complete_vm)
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
    vm: str,
    disk: str | None,
    *,
    as_json: bool,
    snapshot: str | None,
    storage: str | None,
    qemu_version: str | None,
    host: str | None,
    overrides: tuple[str, ...],
) -> None:
    """Explain what becomes of each option of DISK, and what would make it take effect.

    VM is a config, a saved QEMU command line (- is standard input), a VM's number or name,
    pid:NUMBER for a process, or qmp:SOCKET for a running QEMU's own report. Without DISK it prints
    a line for each disk.
    """
    vm = app.find_guest(vm, monitor=True)
    facts = app.read_place(vm, host=host, overrides=overrides, qemu_version=qemu_version).host
    name, origin, stories = app.explain(vm, disk, host=facts, storage=storage, snapshot=snapshot)
    if as_json:
        from vmio.report.explanation.json import render_explanation_json

        click.echo(render_explanation_json(stories, vm=name, origin=origin))
        return
    from vmio.report.explanation.text import render_explanation, render_overview

    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    if disk is None:
        text = render_overview(stories, colour=colour)
        text += "" if any(not story.dropped for story in stories) else "no disks\n"
    else:
        text = render_explanation(stories[0], colour=colour)
    click.echo(text, nl=False, color=colour)
