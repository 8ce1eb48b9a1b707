"""`vmio rule`: what a rule looks for, and why."""

from __future__ import annotations

from typing import Any

import click

from vmio import app
from vmio.cli.completing import complete_rule

__all__ = ["command"]


@click.command("rule")
@click.argument("code", required=False, shell_complete=complete_rule)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(code: str | None, *, as_json: bool) -> None:
    """Explain the rule CODE, which may be its name too; without one, list all rules."""
    pages = app.list_rules() if code is None else (app.read_rule(code),)
    if as_json:
        import json

        described = [_describe(page) for page in pages]
        click.echo(json.dumps(described if code is None else described[0], indent=2))
    elif code is None:
        width = max(len(page.name) for page in pages)
        for page in pages:
            click.echo(f"{page.code}  {page.severity:7}  {page.name:{width}}  {page.summary}")
    else:
        click.echo(app.render_page(pages[0]), nl=False)


def _describe(page: app.Page) -> dict[str, Any]:
    return {
        "code": page.code,
        "name": page.name,
        "severity": page.severity,
        "family": page.family,
        "summary": page.summary,
        "sections": dict(page.sections),
    }
