"""`vmio replay`: analyses the polling in a trace, or checks a recorded loop."""

from __future__ import annotations

import click

from vmio import app
from vmio.cli.options import RenamedOption
from vmio.cli.terminal import say
from vmio.errors import UsageError
from vmio.model.iothread import MAX_POLL_WEIGHT
from vmio.model.version import QemuVersion, parse_version

__all__ = ["command"]

_DIFFERS = 1
_MAX_INT64 = 2**63 - 1
_DOUBTFUL = 0.9
"""If less of a trace matches the computation, one of the options is probably wrong."""


def _parse_version(_ctx: click.Context, _param: click.Parameter, value: str) -> QemuVersion:
    try:
        return parse_version(value).release
    except ValueError as error:
        raise UsageError(f"'{value[:40]}' is not a version of QEMU, such as 10.0") from error


@click.command("replay")
@click.argument("trace", metavar="[TRACE]", required=False)
@click.option(
    "--check",
    "recording",
    metavar="RECORDING",
    help="Recompute every decision of a recorded loop, and compare.",
)
@click.option(
    "--qemu-version",
    "version",
    cls=RenamedOption,
    old="--qemu",
    metavar="VERSION",
    required=True,
    callback=_parse_version,
    help="The QEMU that was recorded.",
)
@click.option("--poll-max-ns", type=click.IntRange(0, _MAX_INT64), help="As the IOThread had it.")
@click.option("--poll-grow", type=click.IntRange(0, _MAX_INT64), default=0)
@click.option("--poll-shrink", type=click.IntRange(0, _MAX_INT64), default=0)
@click.option("--poll-weight", type=click.IntRange(0, MAX_POLL_WEIGHT), default=0)
@click.option(
    "--zeros",
    type=click.IntRange(0, 65536),
    default=0,
    help="Handlers of each loop of TRACE before it began, all at 0 (10.0 to 10.2).",
)
@click.option(
    "--try",
    "tries",
    metavar="KEY=VALUE[,...]",
    multiple=True,
    help="Try another setting on the waits of TRACE, such as poll_max_ns=65536.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--html", metavar="FILE", help="Write a page that opens in any browser, offline.")
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
    tries: tuple[str, ...],
    as_json: bool,
    html: str | None,
) -> int:
    """Analyse the polling in TRACE, or verify a recording of an event loop.

    TRACE is the output of QEMU's log backend; `-` is standard input, and xz is accepted. For each
    event loop it prints how long the loop polled and how often in vain, how its polling time
    changed and by which rule, and how much of that agrees with QEMU's algorithm.

    With --check it recomputes every decision of a recording from the clock and the events in it.
    It prints how many changes of a polling time (events) and how many polling times (budgets)
    equal QEMU's own, and exits with 0 if all do, else with 1. Parameters that are not given have
    QEMU's defaults.
    """
    settings = app.choose_settings(
        max_ns=poll_max_ns, grow=poll_grow, shrink=poll_shrink, weight=poll_weight
    )
    if (trace is None) == (recording is None):
        raise UsageError("name either TRACE or --check RECORDING")
    if recording is not None and (tries or html is not None):
        raise UsageError("--try and --html require TRACE")
    if trace is not None:
        return _print_result(
            trace, version, settings, zeros=zeros, tries=tries, as_json=as_json, html=html
        )
    assert recording is not None  # noqa: S101 - one of them is given
    found = app.check_recording(recording, version, settings)
    if as_json:
        from vmio.report.replay.json import render_recording_json

        click.echo(render_recording_json(found))
    else:
        click.echo(
            f"events {found.events_agreed}/{found.events},"
            f" budgets {found.budgets_agreed}/{found.budgets}"
        )
    if found.events_missing:
        say(f"{found.events_missing} computed events are not in the recording")
    if found.events + found.budgets == 0:
        say("the recording has no polling")
    return 0 if found.is_complete else _DIFFERS


def _print_result(
    trace: str,
    version: QemuVersion,
    settings: app.PollSettings,
    *,
    zeros: int,
    tries: tuple[str, ...],
    as_json: bool,
    html: str | None,
) -> int:
    from pathlib import Path

    if html is not None:
        from vmio.report.page import check_report_path

        check_report_path(Path(html))
    generation, complete = app.complete_settings(version, settings)
    loops = app.read_trace(
        trace, version, settings, zeros=zeros, tries=tries, suggests=html is not None
    )
    if as_json:
        from vmio.report.replay.json import render_trace_json

        click.echo(render_trace_json(loops, qemu_version=str(version)))
    else:
        from vmio.report.replay.text import render_trace

        click.echo(render_trace(loops, generation, complete), nl=False)
    first = loops[0]
    seen = first.grows + first.shrinks + first.phases
    if first.events_agreed + first.budgets_agreed < seen * _DOUBTFUL:
        say(
            "much of the trace does not match this QEMU: it may be another --qemu-version, have"
            " other parameters, or have handlers older than the trace (--zeros)"
        )
    if html is not None:
        from vmio.report.page import write_page
        from vmio.report.replay.html import render_trace_html

        name = Path(trace).name if trace != "-" else "standard input"
        page = render_trace_html(loops, generation, complete, name=name, qemu_version=str(version))
        write_page(page, Path(html))
        say(f"wrote {html}")
    return 0
