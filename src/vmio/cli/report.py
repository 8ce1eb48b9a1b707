"""`vmio report`: what the guests of a recording did over time."""

from __future__ import annotations

from pathlib import Path

import click

from vmio import app
from vmio.cli.progress import ProgressLine
from vmio.cli.terminal import say

__all__ = ["command"]

_OPTION = "--output"


@click.command("report")
@click.argument("recording", metavar="FILE")
@click.option(
    "-o",
    "--output",
    metavar="PAGE",
    help="Write a page with charts that opens in any browser, offline.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(recording: str, *, output: str | None, as_json: bool) -> None:
    """Report what the guests of a recording did over time, and what limited them.

    FILE is what vmio record wrote; `-` is standard input. Printed is what limited each guest and
    for how long, the worst first, and of a single guest its threads and disks. The page has
    charts of each guest, the verdicts on the time line, and the layout. An existing page is
    replaced.
    """
    if output is not None:
        from vmio.report.page import check_report_path

        check_report_path(Path(output), option=_OPTION)
    with ProgressLine(None, "reading") as progress:
        history, incomplete = app.read_history(recording, report=progress.tell_share)
    # Before anything is printed: a pipe may be closed after its first lines.
    if output is not None:
        from vmio.report.history.html import render_history_html
        from vmio.report.page import write_page

        name = Path(recording).name if recording != "-" else "standard input"
        page = render_history_html(history, name=name, incomplete=incomplete)
        write_page(page, Path(output), option=_OPTION)
        say(f"wrote {output}")
    if as_json:
        from vmio.report.history.json import render_history_json

        click.echo(render_history_json(history, incomplete=incomplete))
    else:
        from vmio.cli.console import make_console
        from vmio.report.history.text import print_history

        print_history(history, make_console())
    for line in (incomplete, *history.unseen):
        if line:
            say(line)
