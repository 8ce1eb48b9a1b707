"""`vmio autopilot`: keeps the polling of running guests where it pays."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import click

from vmio import app
from vmio.cli.completing import complete_running
from vmio.cli.options import NumberRange
from vmio.cli.terminal import say
from vmio.errors import UsageError
from vmio.units import KIB, format_bytes, parse_size_bytes

__all__ = ["command"]


_LEAST_LOG_BYTES = 64 * KIB


def _parse_size(_ctx: click.Context, _param: click.Parameter, value: str) -> int:
    size_bytes = parse_size_bytes(value)
    if size_bytes is None or size_bytes < _LEAST_LOG_BYTES:
        least = format_bytes(_LEAST_LOG_BYTES)
        raise UsageError(f"'{value[:40]}' is not a size, such as 64M, of at least {least}")
    return size_bytes


@click.group("autopilot")
def command() -> None:
    """Keep guests' polling at the least processor time that holds their latency.

    A QEMU with IOThreads polls before it sleeps, for at most poll-max-ns. Too much takes a
    processor for nothing, too little makes requests wait. The best depends on the load.
    """


@command.command("run")
@click.argument("vms", metavar="[VM]...", nargs=-1, shell_complete=complete_running)
@click.option("--all", "all_guests", is_flag=True, help="Steer every guest of this host.")
@click.option("--dry-run", is_flag=True, help="Set nothing; say what would be tried.")
@click.option(
    "--interval",
    "interval_s",
    metavar="SECONDS",
    type=NumberRange(1, 60),
    default=5.0,
    show_default="5",
    help="From look to look; a trial takes two.",
)
@click.option(
    "--floor",
    "floor_ns",
    metavar="NS",
    type=click.IntRange(0, 2**63 - 1),
    default=0,
    show_default=True,
    help="The least poll-max-ns that is set.",
)
@click.option(
    "--ceiling",
    "ceiling_ns",
    metavar="NS",
    type=click.IntRange(0, 2**63 - 1),
    default=1_000_000,
    show_default=True,
    help="The largest one that is set.",
)
@click.option(
    "--tolerance",
    "tolerance_percent",
    metavar="PERCENT",
    type=NumberRange(1, 100),
    default=10.0,
    show_default="10",
    help="By which the mean latency may exceed that at the guest's own setting.",
)
@click.option(
    "--max-run-delay",
    "run_delay_percent",
    metavar="PERCENT",
    type=NumberRange(0, 100),
    default=5.0,
    show_default="5",
    help="Of time waited for processors, above which nothing is tried.",
)
@click.option(
    "--log",
    "log",
    metavar="FILE",
    help="Write what is seen and decided, for vmio autopilot report.",
)
@click.option("--force", is_flag=True, help="Replace the log FILE if it exists.")
@click.option(
    "--max-log-size",
    "max_log_bytes",
    metavar="SIZE",
    default="64M",
    show_default=True,
    callback=_parse_size,
    help="End the log when FILE would become larger.",
)
def run(
    vms: tuple[str, ...],
    *,
    all_guests: bool,
    dry_run: bool,
    interval_s: float,
    floor_ns: int,
    ceiling_ns: int,
    tolerance_percent: float,
    run_delay_percent: float,
    log: str | None,
    force: bool,
    max_log_bytes: int,
) -> None:
    """Steer the polling of running guests until Ctrl-C or SIGTERM, which restores it.

    VM is a guest's number, id, name or config, pid:NUMBER, or qmp:SOCKET; guests that start
    meanwhile are steered, too. Each load is searched once: an interval at the guest's own setting,
    one at a preset, one at its own again, lower ones where the latency holds, higher ones only
    where that pays. The one with the least processor time is kept for the load. After an interval
    in which requests were slower, it is compared with the guest's own setting again. Nothing is
    set while a guest is idle. Each change is printed with its reason.

    A guest's own settings are in a file before the first change. They are restored in the end; if
    vmio is killed, by the next run, or by vmio autopilot restore. A log that cannot be written any
    more, as on a full disk, ends, and guests are steered further.
    """
    if not vms and not all_guests:
        raise UsageError("name the guests to steer, or use --all")
    if vms and all_guests:
        raise UsageError("VM and --all exclude each other")
    if ceiling_ns < floor_ns:
        raise UsageError(f"--ceiling {ceiling_ns} is below --floor {floor_ns}")
    goal = app.PollingGoal(
        floor_ns=floor_ns,
        ceiling_ns=ceiling_ns,
        tolerance=tolerance_percent / 100,
        most_run_delay=run_delay_percent / 100,
    )
    if force and log is None:
        raise UsageError("--force is for --log")
    with ExitStack() as stack:
        tell = _tell
        if log is not None:
            writer = app.log_steering(Path(log), max_bytes=max_log_bytes, force=force)
            tell = partial(_tell_and_log, stack.enter_context(writer))
        app.run_async(
            app.steer_guests(vms, goal, interval_s=interval_s, dry_run=dry_run, report=tell)
        )


@command.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(*, as_json: bool) -> None:
    """List the guests that an autopilot of this user steers, or steered until it was killed."""
    found = app.list_steered()
    if as_json:
        from vmio.report.autopilot.json import render_steered_json

        click.echo(render_steered_json(found))
    elif found:
        from vmio.cli.console import make_console
        from vmio.report.autopilot.text import print_steered

        print_steered(found, make_console())
    else:
        say("no autopilot of this user steers a guest")


@command.command("restore")
@click.argument("vms", metavar="[VM]...", nargs=-1, shell_complete=complete_running)
def restore(vms: tuple[str, ...]) -> int:
    """Restore the polling of guests whose autopilot was killed; all of them without VM.

    What somebody else has set since is left as it is. Exits with 1 if something could not be
    restored, as where an autopilot is at work, which restores it when it ends.
    """
    return 0 if app.run_async(app.restore_polling(vms, report=_tell)) else 1


@command.command("report")
@click.argument("log", metavar="FILE")
@click.option(
    "-o",
    "--output",
    metavar="PAGE",
    help="Write a page with charts that opens in any browser, offline.",
)
def report(log: str, *, output: str | None) -> None:
    """Report what the autopilot did over time, by the log of vmio autopilot run --log FILE.

    Printed is a line for IOThreads that share disks. The page has charts of their settings with
    the decisions, latency, processor time and requests. An existing page is replaced.
    """
    from vmio.cli.console import make_console
    from vmio.report.autopilot.timeline import print_time_line

    if output is not None:
        from vmio.report.page import check_report_path

        if Path(output).resolve() == Path(log).resolve():
            raise UsageError("the page would replace the log")
        check_report_path(Path(output), option="--output")
    line, incomplete = app.read_steering(log)
    if output is not None:
        from vmio.report.autopilot.html import render_time_line_html
        from vmio.report.page import write_page

        page = render_time_line_html(line, name=Path(log).name, incomplete=incomplete)
        write_page(page, Path(output), option="--output")
        say(f"wrote {output}")
    print_time_line(line, make_console())
    if incomplete:
        say(incomplete)


def _tell(event: app.AutopilotEvent) -> None:
    if event.step is None:
        say(_describe(event))


def _tell_and_log(
    log: Callable[[app.AutopilotEvent, str], str], event: app.AutopilotEvent
) -> None:
    text = _describe(event) if event.step is None else ""
    _tell(event)
    ended = log(event, text)
    if ended:
        say(ended)


def _describe(event: app.AutopilotEvent) -> str:
    from vmio.report.autopilot.words import describe_event

    return describe_event(event)
