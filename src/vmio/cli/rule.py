"""`vmio rule`: explains what a rule looks for, and why."""

from __future__ import annotations

import click

from vmio import app
from vmio.cli.completing import complete_rule
from vmio.cli.terminal import measure_terminal

__all__ = ["command"]


@click.command("rule")
@click.argument("code", required=False, shell_complete=complete_rule)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(code: str | None, *, as_json: bool) -> None:
    """Explain the rule CODE, given by its code or name; without CODE, list all rules."""
    pages = app.list_rules() if code is None else (app.read_rule(code),)
    if as_json:
        from vmio.report.rules.json import render_rules_json

        click.echo(render_rules_json(pages))
    elif code is None:
        from vmio.report.rules.text import render_rules

        click.echo(render_rules(pages, width=measure_terminal()), nl=False)
    else:
        from vmio.report.rules.text import wrap_page

        click.echo(wrap_page(app.render_page(pages[0]), width=measure_terminal()), nl=False)
