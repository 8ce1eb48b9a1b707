"""Messages for guests whose host is not known, with the options that supply its facts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmio import app
from vmio.cli.terminal import say, say_hint

if TYPE_CHECKING:
    from vmio.model.host import Host
    from vmio.model.plan import Plan

__all__ = ["make_plan", "say_unknown_host"]


def say_unknown_host(vm: str, effect: str) -> None:
    """Reports that nothing is known about a guest's host, and the effect."""
    say(f"nothing is known about the host of {vm}: {effect}")
    say_hint(
        "--host FILE reads the output of vmio host -o there, and --set cpu.count=32 gives one fact"
    )


def make_plan(vm: str, guest: app.Guest, host: Host, policy: str) -> Plan:
    """Returns a plan, and reports if it could depend on the host's unknown processors."""
    plan = app.make_plan(guest, host, policy)
    if app.lacks_processors(guest, host, policy):
        say_unknown_host(
            vm, "each disk gets its own IOThread; with few processors some disks would share one"
        )
    return plan
