"""`vmio top`: watches what each thread and disk of running guests does."""

from __future__ import annotations

import asyncio
import sys
from typing import Final, get_args

import click

from vmio import app
from vmio.cli.completing import complete_running
from vmio.cli.terminal import say, say_errors
from vmio.errors import MissingExtraError, UsageError
from vmio.report.live.columns import View
from vmio.report.live.rows import HostRows

__all__ = ["command"]

_LEAST_S: Final = 0.5
_MOST_S: Final = 3600.0
_WINDOW_S: Final = 2.0


def _check_interval(_ctx: click.Context, _param: click.Parameter, value: float) -> float:
    if not _LEAST_S <= value <= _MOST_S:
        raise click.BadParameter(f"it is {_LEAST_S:g} to {_MOST_S:g}")
    return value


@click.command("top")
@click.argument("vms", metavar="[VM]...", nargs=-1, shell_complete=complete_running)
@click.option("--once", is_flag=True, help="Print one look, of one interval, and end.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print JSON: a line for each look, or with --once one."
)
@click.option(
    "--view",
    type=click.Choice(get_args(View)),
    default="guests",
    show_default=True,
    help="The table to begin with, or to print.",
)
@click.option(
    "--interval",
    "interval_s",
    metavar="SECONDS",
    type=float,
    default=_WINDOW_S,
    show_default=True,
    callback=_check_interval,
    help="Between two looks.",
)
@click.option(
    "--latencies",
    is_flag=True,
    help="Have QEMU count requests by latency meanwhile, which gives the 99th percentile.",
)
@click.option("--replay", metavar="FILE", help="Show a recording of vmio record instead.")
def command(
    vms: tuple[str, ...],
    *,
    once: bool,
    as_json: bool,
    view: View,
    interval_s: float,
    latencies: bool,
    replay: str | None,
) -> int:
    """Watch what each thread and disk of the QEMU guests of this host does, as top(1) does.

    It says in words what limits a guest: its main loop, an IOThread, the vCPUs, the storage, a
    limit. The screen requires the extra tui; ? on it lists its keys. --once and --json need no
    extra: --once prints a table, and --json without --once one document a line until Ctrl-C.

    Figures are those of the last interval. Monitors are asked in short visits, only while nobody
    else is connected to them, and those that are their manager's alone are not asked at all.

    VM is a guest's number, id, name or config, pid:NUMBER, or qmp:SOCKET; without it all guests
    are watched. Those that come later are watched as well. With --once, if one does not run
    here, the others are printed, and the exit status is 3.
    """
    if replay is not None and (vms or latencies or once):
        raise click.UsageError("--replay excludes --once, --latencies and VM")
    if once and interval_s < _WINDOW_S:
        raise click.UsageError(f"--once requires an interval of {_WINDOW_S:g} s or more")
    if once or as_json:
        return app.run_async(
            _print_looks(
                vms,
                once=once,
                as_json=as_json,
                view=view,
                interval_s=interval_s,
                latencies=latencies,
                replay=replay,
            )
        )
    return _show_screen(vms, view, interval_s, latencies=latencies, replay=replay)


async def _print_looks(
    vms: tuple[str, ...],
    *,
    once: bool,
    as_json: bool,
    view: View,
    interval_s: float,
    latencies: bool,
    replay: str | None,
) -> int:
    if replay is not None:
        with app.open_recorded(replay) as recorded:
            while (rows := await recorded.look()) is not None:
                _print_line(rows)
        return 0
    errors = app.list_running(vms).errors
    for error in () if once else errors:
        say(error.message)
    async with app.open_top(vms, latencies=latencies, confirm=not once) as live:
        await live.look()
        while True:
            await asyncio.sleep(interval_s)
            found = await live.look()
            if once:
                if not (found.guests or errors):
                    say("no QEMU is seen to run on this host")
                _print_once(found, view, as_json=as_json)
                return say_errors(errors)
            _print_line(found)


def _print_line(rows: HostRows) -> None:
    from vmio.report.live.json import render_top_json

    click.echo(render_top_json(rows, in_a_line=True))


def _print_once(rows: HostRows, view: View, *, as_json: bool) -> None:
    if as_json:
        from vmio.report.live.json import render_top_json

        click.echo(render_top_json(rows))
    elif rows.guests:
        from vmio.cli.console import make_console
        from vmio.report.live.text import print_rows

        print_rows(rows, view, make_console())
    from vmio.report.live.words import list_notes

    for line in (*list_notes(rows), *rows.unseen):
        say(line)


def _show_screen(
    vms: tuple[str, ...], view: View, interval_s: float, *, latencies: bool, replay: str | None
) -> int:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "vmio top requires a terminal", hint="vmio top --once prints a table, --json a stream"
        )
    try:
        from vmio.tui.app import show_recorded, show_top
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "textual":
            raise
        raise MissingExtraError(
            "the screen of vmio top requires textual, which is not installed",
            hint="pip install 'vmio[tui]', or vmio top --once without it",
        ) from error
    app.run_async(
        show_top(vms, view=view, interval_s=interval_s, latencies=latencies, tell=say)
        if replay is None
        else show_recorded(replay, view=view, interval_s=interval_s)
    )
    return 0
