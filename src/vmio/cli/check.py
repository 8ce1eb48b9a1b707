"""`vmio check`: what is wrong with configs."""

from __future__ import annotations

import os
import sys

import click

from vmio import api
from vmio.cli.options import host_options, storage_option
from vmio.errors import InputError, PlanError, VmioError
from vmio.lint.diagnostic import CheckedFile
from vmio.lint.registry import select_rules
from vmio.model.host import Host
from vmio.report.findings_text import render_counts, render_text

__all__ = ["command"]

_FINDINGS = 1

_SELECTORS = "CODE,…"


def _split(
    _ctx: click.Context, _param: click.Parameter, value: tuple[str, ...]
) -> tuple[str, ...]:
    return tuple(word.strip() for text in value for word in text.split(",") if word.strip())


@click.command("check")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option(
    "--select",
    metavar=_SELECTORS,
    multiple=True,
    callback=_split,
    help="Run these rules only: codes, names, or families such as TH.",
)
@click.option(
    "--ignore", metavar=_SELECTORS, multiple=True, callback=_split, help="Leave these rules out."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document (schema 1).")
@storage_option
@host_options
def command(
    *,
    files: tuple[str, ...],
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    storage: str | None,
    host: str | None,
    overrides: tuple[str, ...],
    as_json: bool,
) -> int:
    """Find settings in VM configs that are ignored, slow or unsafe; - is standard input.

    Exits with 0 if nothing was found, 1 if something was, 3 if a file could not be read. `vmio
    rule CODE` explains a finding.
    """
    select_rules(select, ignore)
    facts = api.read_host(host, overrides)
    if storage is not None:
        api.read_source(storage)  # one line about it, not one for each config
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    checked = []
    for name in files:
        file = _check(name, storage, facts, select=select, ignore=ignore)
        checked.append(file)
        if file.error is not None:
            _say_error(file.error)
        elif not as_json:
            click.echo(render_text(file, colour=colour), nl=False, color=colour)
    if as_json:
        from vmio.report.findings_json import render_json

        click.echo(render_json(checked), nl=False)
    click.echo(render_counts(checked), err=True)
    return _choose_status(checked)


def _check(
    name: str,
    storage: str | None,
    facts: Host,
    *,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
) -> CheckedFile:
    try:
        guest = api.load(name, host=facts, storage=storage)
        found = api.lint(guest, facts, select=select, ignore=ignore)
    except (InputError, PlanError) as error:
        return CheckedFile(name=name, error=error)
    return CheckedFile(name=guest.vm.source.name, source=guest.vm.source, diagnostics=found)


def _say_error(error: VmioError) -> None:
    click.echo(f"vmio: error: {error.message}", err=True)
    if error.hint:
        click.echo(f"vmio: hint: {error.hint}", err=True)


def _choose_status(checked: list[CheckedFile]) -> int:
    if any(file.error is not None for file in checked):
        return InputError.exit_status
    return _FINDINGS if any(file.diagnostics for file in checked) else 0
