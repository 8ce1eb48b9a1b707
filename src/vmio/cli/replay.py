"""`vmio replay`: the polling in a trace, told, or of a recorded loop, computed again."""

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
@click.argument("trace", metavar="[TRACE]", required=False)
@click.option(
    "--check",
    "recording",
    metavar="RECORDING",
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
@click.option(
    "--zeros",
    type=click.IntRange(0, 65536),
    default=0,
    help="Handlers, all at 0, that each loop of TRACE had before it (10.0 to 10.2).",
)
def command(
    *,
    trace: str | None,
    recording: str | None,
    version: QemuVersion,
    poll_max_ns: int | None,
    poll_grow: int,
    poll_shrink: int,
    poll_weight: int,
    zeros: int,
) -> int:
    """Tell the polling in TRACE, or compute that of a recorded event loop again.

    TRACE is what QEMU's log backend wrote; `-` is standard input, and xz is read too. Each event
    loop in it is told, with how much of it is as the algorithm would have it.

    With --check every decision of a recording is computed, from its inputs only: the clock and
    what was ready. Prints how many changes of a polling time (events) and how many polling times
    (budgets) came out as QEMU's own, and exits with 0 only if all did, else with 1. Parameters
    that are not given are QEMU's defaults.
    """
    from vmio.sim.polling import DEFAULT_MAX_NS, PollSettings

    settings = PollSettings(
        max_ns=DEFAULT_MAX_NS if poll_max_ns is None else poll_max_ns,
        grow=poll_grow,
        shrink=poll_shrink,
        weight=poll_weight,
    )
    if (trace is None) == (recording is None):
        raise UsageError("one of TRACE and --check RECORDING is needed")
    if trace is not None:
        from vmio.report.trace_text import render_trace

        loops = api.read_trace(trace, version, settings, zeros=zeros)
        click.echo(render_trace(loops), nl=False)
        return 0
    assert recording is not None  # noqa: S101 - one of them is given
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
