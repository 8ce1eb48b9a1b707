"""`vmio host`: prints the facts that a command line depends on and no config contains."""

from __future__ import annotations

import click

from vmio import app
from vmio.cli.options import RenamedOption, host_options
from vmio.cli.terminal import say
from vmio.errors import CapabilityError, ToolError, UsageError

__all__ = ["command"]


@click.command("host")
@click.option(
    "-o",
    "--output",
    cls=RenamedOption,
    old="--save",
    metavar="FILE",
    help="Write them to a file for --host, on any host.",
)
@click.option("--force", is_flag=True, help="Replace FILE if it exists.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of TOML.")
@host_options
def command(
    *,
    output: str | None,
    force: bool,
    as_json: bool,
    host: str | None,
    overrides: tuple[str, ...],
) -> None:
    """Print the facts of this host that command lines depend on and configs do not contain.

    They are printed as TOML. If --host has the facts of one host, vmio gives the same results on
    another host as on that one.
    """
    if force and output is None:
        raise UsageError("--force requires --output FILE")
    if as_json and output is not None:
        raise UsageError("--output writes TOML, which --json cannot change")
    try:
        facts = app.read_host(host, overrides, binary=True)
    except (CapabilityError, ToolError) as error:
        # A host without QEMU still has its other facts.
        say(f"{error.message}; qemu_version is left empty")
        facts = app.read_host(host, overrides)
    if output is not None:
        app.save_host(facts, output, force=force)
        say(f"wrote {output}")
        return
    if as_json:
        from vmio.report.host.json import render_host_json

        click.echo(render_host_json(facts))
    else:
        click.echo(app.render_host(facts), nl=False)
