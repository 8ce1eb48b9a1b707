"""`vmio ps`: lists the guests that run on this host, and what limits each."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import click

from vmio import app
from vmio.cli.completing import complete_running
from vmio.cli.terminal import say, say_errors

__all__ = ["command"]

_WINDOW_S: Final = 2.0
_MOST_S: Final = 3600.0


def _check_time(_ctx: click.Context, _param: click.Parameter, value: float) -> float:
    if value and not _WINDOW_S <= value <= _MOST_S:
        raise click.BadParameter(f"it is {_WINDOW_S:g} to {_MOST_S:g}, or 0 for no verdicts")
    return value


@click.command("ps")
@click.argument("vms", metavar="[VM]...", nargs=-1, shell_complete=complete_running)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--time",
    "window_s",
    metavar="SECONDS",
    type=float,
    default=_WINDOW_S,
    show_default=True,
    callback=_check_time,
    help="Look at the guests for so long; 0 to list them at once, without verdicts.",
)
def command(vms: tuple[str, ...], *, as_json: bool, window_s: float) -> int:
    """List the QEMU guests that run on this host, whoever started them, and what limits each.

    For each there is its manager (Proxmox, libvirt, KubeVirt, or none), what that calls it, how
    long it runs, its disks, those of them that the main loop serves, its IOThreads, whether
    its monitor is free, and what limits it at the moment. The worst limited comes first.

    All of it is read from /proc, but the figures of disks: for those a monitor that is free is
    asked in two short visits. With --time 0 no monitor is connected to.

    VM is a guest's number, id, name or config, pid:NUMBER, or qmp:SOCKET. If one does not run
    here, the others are listed, and the exit status is 3.
    """
    listed = app.list_running(vms)
    guests, verdicts = listed.guests, None
    if guests and window_s:
        with _show_waiting(len(guests), window_s):
            verdicts = app.run_async(app.judge_guests(guests, window_s))
        guests = app.put_worst_first(guests, verdicts)
    if as_json:
        from vmio.report.guests.json import render_guests_json

        click.echo(render_guests_json(guests, listed.unseen, verdicts))
    elif guests:
        from vmio.cli.console import make_console
        from vmio.report.guests.text import print_guests

        print_guests(guests, make_console(), verdicts)
    elif not listed.errors:
        say("no QEMU is seen to run on this host")
    for guest in listed.guests:
        if guest.problem:
            say(guest.problem)
    for line in listed.unseen:
        say(line)
    return say_errors(listed.errors)


@contextmanager
def _show_waiting(guests: int, window_s: float) -> Iterator[None]:
    """Shows on a terminal that this takes a while."""
    if not sys.stderr.isatty():
        yield
        return
    from vmio.cli.console import make_console

    many = "a guest" if guests == 1 else f"{guests} guests"
    with make_console(stderr=True).status(f"looking at {many} for {window_s:g} s"):
        yield
