"""`vmio bench --compare`: what changed from one saved result to a later one."""

from __future__ import annotations

import click
from click.core import ParameterSource

from vmio import app
from vmio.errors import UsageError

__all__ = ["print_changes"]

_ACCEPTED = {"a", "b", "is_comparing", "margin", "as_json", "as_markdown"}
"""The parameters of `vmio bench` that mean something here."""


def print_changes(
    old: str | None, new: str | None, *, margin: str | None, as_json: bool, as_markdown: bool
) -> int:
    """Prints what changed, and returns the exit status: 1 if anything got worse."""
    _refuse_others(click.get_current_context())
    if old is None or new is None:
        raise UsageError("two results are needed", hint="vmio bench --compare OLD.json NEW.json")
    found = app.compare_results(old, new, margin=margin)
    if as_json:
        from vmio.report.regressions.json import render_regressions_json

        click.echo(render_regressions_json(found))
    elif as_markdown:
        from vmio.report.regressions.markdown import render_regressions_markdown

        click.echo(render_regressions_markdown(found))
    else:
        from vmio.cli.console import make_console
        from vmio.report.regressions.text import print_regressions

        print_regressions(found, make_console())
    return int(found.is_worse)


def _refuse_others(context: click.Context) -> None:
    """Refuses options about a measurement, because nothing is measured.

    Raises:
        UsageError: One is given.
    """
    for parameter in context.command.params:
        name = str(parameter.name)
        source = context.get_parameter_source(name)
        if name not in _ACCEPTED and source is ParameterSource.COMMANDLINE:
            raise UsageError(
                f"{parameter.opts[0]} and --compare exclude each other",
                hint="it compares two saved results, and measures nothing",
            )
