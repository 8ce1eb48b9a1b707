"""`vmio host`: what a command line depends on and no config says."""

from __future__ import annotations

import click

from vmio import api
from vmio.cli.options import host_options
from vmio.cli.terminal import say
from vmio.errors import CapabilityError, ToolError, UsageError

__all__ = ["command"]


@click.command("host")
@click.option("--save", metavar="FILE", help="Write it to a file that --host takes anywhere.")
@click.option("--force", is_flag=True, help="Replace a file that is there already.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of TOML.")
@host_options
def command(
    *,
    save: str | None,
    force: bool,
    as_json: bool,
    host: str | None,
    overrides: tuple[str, ...],
) -> None:
    """Tell the facts of this host that a command line depends on and no VM's config says.

    They are printed as TOML. Saved on one host and given to --host on another, they make vmio say
    there what it would say here.
    """
    if force and save is None:
        raise UsageError("--force says nothing without --save FILE")
    if as_json and save is not None:
        raise UsageError("--save writes TOML, which --json cannot change")
    try:
        facts = api.read_host(host, overrides, binary=True)
    except (CapabilityError, ToolError) as error:
        # A host without QEMU has its other facts all the same.
        say(f"{error.message}; qemu_version is left empty")
        facts = api.read_host(host, overrides)
    if save is not None:
        api.save_host(facts, save, force=force)
        say(f"wrote {save}")
        return
    if as_json:
        from vmio.report.host.json import render_host_json

        click.echo(render_host_json(facts))
    else:
        from vmio.formats.host_toml import render_host

        click.echo(render_host(facts), nl=False)
