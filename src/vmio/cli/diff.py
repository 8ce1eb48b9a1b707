"""`vmio diff`: shows the differences of two command lines, in words."""

from __future__ import annotations

import click

from vmio import app
from vmio.cli.completing import complete_vm
from vmio.cli.options import host_options, qemu_version_option, storage_option

__all__ = ["command"]

_DIFFERENT = 1


@click.command("diff")
@click.argument("a", shell_complete=complete_vm)
@click.argument("b", required=False, shell_complete=complete_vm)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--vmid", metavar="NUMBER", help="The VM's number, if a config is not NUMBER.conf.")
@storage_option
@qemu_version_option
@host_options
def command(
    a: str,
    b: str | None,
    *,
    as_json: bool,
    vmid: str | None,
    storage: str | None,
    qemu_version: str | None,
    host: str | None,
    overrides: tuple[str, ...],
) -> int:
    """Show where two guests' QEMU command lines differ.

    A and B are each a Proxmox VE config, a libvirt domain, a saved command line (- is standard
    input), a VM's number or name, or pid:NUMBER or qmp:SOCKET for a running QEMU. Without B, the
    config of VM A is compared with its own process. Of a process only the options that concern its
    guest are compared, not its monitors or its pid file, and with a domain only the storage half.
    Exits with 0 if they are equal and 1 if they differ.
    """
    sides = app.diff(
        a, b, host=host, overrides=overrides, qemu_version=qemu_version, storage=storage, vmid=vmid
    )
    if as_json:
        from vmio.report.diff.json import render_diff_json

        click.echo(render_diff_json(a, b if b is not None else sides.b, sides.differences))
    else:
        from vmio.report.diff.text import render_diff_text

        text = render_diff_text(sides.differences, a=sides.a, b=sides.b, running=sides.running)
        click.echo(text, nl=False)
        if not sides.differences:
            click.echo("no differences", err=True)
    return _DIFFERENT if sides.differences else 0
