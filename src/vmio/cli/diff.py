"""`vmio diff`: where two command lines differ, in words."""

from __future__ import annotations

import click

from vmio import app
from vmio.cli.completing import complete_vm
from vmio.cli.options import host_options, qemu_version_option, storage_option

__all__ = ["command"]

_DIFFERENT = 1


@click.command("diff")
@click.argument("a", shell_complete=complete_vm)
@click.argument("b", shell_complete=complete_vm)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--vmid", metavar="NUMBER", help="The VM's number, if a config is not NUMBER.conf.")
@storage_option
@qemu_version_option
@host_options
def command(
    a: str,
    b: str,
    *,
    as_json: bool,
    vmid: str | None,
    storage: str | None,
    qemu_version: str | None,
    host: str | None,
    overrides: tuple[str, ...],
) -> int:
    """Show where two guests' QEMU command lines differ.

    A and B are each a Proxmox VE config, a saved command line (- is standard input), or pid:NUMBER
    for a running process. Of a process only what concerns its guest is compared, not its monitors
    or its pid file. Exits with 0 if they are equal and 1 if they differ.
    """
    differences = app.diff(
        a, b, host=host, overrides=overrides, qemu_version=qemu_version, storage=storage, vmid=vmid
    )
    if as_json:
        from vmio.report.diff.json import render_diff_json

        click.echo(render_diff_json(a, b, differences))
    else:
        from vmio.report.diff.text import render_diff_text

        click.echo(render_diff_text(differences), nl=False)
        if not differences:
            click.echo("no differences", err=True)
    return _DIFFERENT if differences else 0
