"""`vmio autopilot`: keeps the polling of running guests where it pays."""

from __future__ import annotations

import click

from vmio import app
from vmio.cli.completing import complete_running
from vmio.cli.terminal import say
from vmio.errors import UsageError

__all__ = ["command"]


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
    type=click.FloatRange(1, 60),
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
    type=click.FloatRange(1, 100),
    default=10.0,
    show_default="10",
    help="By which the mean latency may exceed that at the guest's own setting.",
)
@click.option(
    "--max-run-delay",
    "run_delay_percent",
    metavar="PERCENT",
    type=click.FloatRange(0, 100),
    default=5.0,
    show_default="5",
    help="Of time waited for processors, above which nothing is tried.",
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
) -> None:
    """Steer the polling of running guests until Ctrl-C or SIGTERM, which restores it.

    VM is a guest's number, id, name or config, pid:NUMBER, or qmp:SOCKET; guests that start
    meanwhile are steered, too. Each load is searched once: an interval at the guest's own setting,
    one at a preset, one at its own again, lower ones where the latency holds, higher ones only
    where that pays. The one with the least processor time is kept for the load. After an interval
    in which requests were slower, it is compared with the guest's own setting again. Nothing is
    set while a guest is idle. Each change is printed with its reason.

    A guest's own settings are in a file before the first change. They are restored in the end; if
    vmio is killed, by the next run, or by vmio autopilot restore.
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
    app.run_async(
        app.steer_guests(vms, goal, interval_s=interval_s, dry_run=dry_run, report=_tell)
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


def _tell(event: app.AutopilotEvent) -> None:
    from vmio.report.autopilot.words import describe_event

    say(describe_event(event))
