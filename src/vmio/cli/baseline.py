"""`vmio baseline`: records the current findings, so that only new ones are reported."""

from __future__ import annotations

import click

from vmio import app
from vmio.cli.check_options import rule_options
from vmio.cli.completing import complete_vm
from vmio.cli.guests import find_guests
from vmio.cli.options import host_options, qemu_version_option, storage_option
from vmio.cli.terminal import say, say_error
from vmio.report.findings.summary import count

__all__ = ["command"]


@click.command("baseline")
@click.argument("paths", metavar="[GUEST]...", nargs=-1, shell_complete=complete_vm)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="The file; by default vmio.toml's, else vmio-baseline.json beside it or here.",
)
@click.option("--update", is_flag=True, help="Update an existing file.")
@rule_options
@qemu_version_option
@storage_option
@host_options
def command(
    *,
    paths: tuple[str, ...],
    output: str | None,
    update: bool,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    severity: app.Severity | None,
    config: str | None,
    qemu_version: str | None,
    storage: str | None,
    host: str | None,
    overrides: tuple[str, ...],
) -> int:
    """Record the current findings of configs, so that vmio check reports only new ones.

    GUEST is as for vmio check. --update adds new findings and removes those that are gone, for the
    VMs of GUEST and the rules that run; the other entries are kept.

    Exits with 3 if a config could not be read; its entries are kept.
    """
    inputs = app.CheckInputs(
        paths=find_guests(paths),
        config=config,
        select=select,
        ignore=ignore,
        severity=severity,
        host=host,
        overrides=overrides,
        qemu_version=qemu_version,
        storage=storage,
    )
    recorded = app.record_baseline(inputs, output, update=update)
    for error in recorded.errors:
        say_error(error)
    new = recorded.baseline
    text = f"wrote {recorded.path}: {count(len(new), 'finding')} of {count(len(new.vms), 'VM')}"
    if update:
        text += f", {recorded.added:,} new, {recorded.removed:,} gone"
    say(text)
    return max((error.exit_status for error in recorded.errors), default=0)
