"""What is said where a guest's host is not known, and what gives it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vmio import app

if TYPE_CHECKING:
    from vmio.model.host import Host
    from vmio.model.plan import Plan

__all__ = ["make_plan", "say_unknown_host"]


def say_unknown_host(vm: str, effect: str) -> None:
    """Says that nothing is known of a guest's host, and what follows."""
    click.echo(f"vmio: nothing is known of the host of {vm}: {effect}", err=True)
    click.echo(
        "vmio: hint: --host FILE names what vmio host -o wrote there, and --set cpu.count=32"
        " gives one fact",
        err=True,
    )


def make_plan(vm: str, guest: app.Guest, host: Host, policy: str) -> Plan:
    """Returns a plan, and says if processors of the host that nobody knows could change it."""
    plan = app.make_plan(guest, host, policy)
    if app.lacks_processors(guest, host, policy):
        say_unknown_host(
            vm, "each disk has its own IOThread, and on a few processors some would share one"
        )
    return plan
