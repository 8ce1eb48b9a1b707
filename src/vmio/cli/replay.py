"""`vmio replay`: a recorded event loop, computed again."""

from __future__ import annotations

import click

from vmio import api
from vmio.errors import UsageError
from vmio.model.capabilities import QemuVersion

__all__ = ["command"]

_DIFFERS = 1
_MAX_INT64 = 2**63 - 1
_MAX_SHIFT = 63


def _parse_version(_ctx: click.Context, _param: click.Parameter, value: str) -> QemuVersion:
    numbers = value.split(".")
    if not 2 <= len(numbers) <= 3 or not all(n.isdecimal() and len(n) < 5 for n in numbers):  # noqa: PLR2004 - as versions are written
        raise UsageError(f"'{value[:40]}' is not a version of QEMU, such as 10.0")
    return QemuVersion(*map(int, numbers))


@click.command("replay")
@click.option(
    "--check",
    "recording",
    metavar="RECORDING",
    required=True,
    help="Compute every decision of a recorded loop again, and compare.",
)
@click.option(
    "--qemu",
    "version",
    metavar="VERSION",
    required=True,
    callback=_parse_version,
    help="The QEMU that was recorded.",
)
@click.option("--poll-max-ns", type=click.IntRange(0, _MAX_INT64), help="As the IOThread had it.")
@click.option("--poll-grow", type=click.IntRange(0, _MAX_INT64), default=0)
@click.option("--poll-shrink", type=click.IntRange(0, _MAX_INT64), default=0)
@click.option("--poll-weight", type=click.IntRange(0, _MAX_SHIFT), default=0)
def command(
    *,
    recording: str,
    version: QemuVersion,
    poll_max_ns: int | None,
    poll_grow: int,
    poll_shrink: int,
    poll_weight: int,
) -> int:
    """Compute the polling of a recorded event loop again, decision by decision.

    Of the recording only the inputs are taken: the clock and what was ready. Prints how many
    changes of a polling time (events) and how many polling times (budgets) came out as QEMU's own,
    and exits with 0 only if all did, else with 1. Parameters that are not given are QEMU's
    defaults.
    """
    from vmio.sim.polling import DEFAULT_MAX_NS, PollSettings

    settings = PollSettings(
        max_ns=DEFAULT_MAX_NS if poll_max_ns is None else poll_max_ns,
        grow=poll_grow,
        shrink=poll_shrink,
        weight=poll_weight,
    )
    found = api.check_recording(recording, version, settings)
    click.echo(
        f"events {found.events_agreed}/{found.events},"
        f" budgets {found.budgets_agreed}/{found.budgets}"
    )
    if found.events_missing:
        click.echo(
            f"vmio: {found.events_missing} events were computed that QEMU did not have", err=True
        )
    if found.events + found.budgets == 0:
        click.echo("vmio: there is no polling in the recording", err=True)
    return 0 if found.is_complete else _DIFFERS
