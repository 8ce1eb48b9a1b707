"""`vmio record`: records what running guests do, for a report."""

from __future__ import annotations

from pathlib import Path

import click

from vmio import app
from vmio.cli.completing import complete_running
from vmio.cli.options import NumberRange
from vmio.cli.progress import ProgressLine
from vmio.cli.terminal import say, say_errors
from vmio.errors import UsageError
from vmio.units import KIB, format_bytes, format_time_s, parse_size_bytes, parse_time_s

__all__ = ["command"]

_LEAST_SIZE_BYTES = 64 * KIB
_MOST_NOTES = 20


def _parse_time(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    time_s = parse_time_s(value)
    if time_s is None or time_s <= 0:
        raise UsageError(f"'{value[:40]}' is not a time, such as 30s, 10m or 2h")
    return time_s


def _parse_size(_ctx: click.Context, _param: click.Parameter, value: str) -> int:
    size_bytes = parse_size_bytes(value)
    if size_bytes is None or size_bytes < _LEAST_SIZE_BYTES:
        least = format_bytes(_LEAST_SIZE_BYTES)
        raise UsageError(f"'{value[:40]}' is not a size, such as 256M, of at least {least}")
    return size_bytes


@click.command("record")
@click.argument("vms", metavar="[VM]...", nargs=-1, shell_complete=complete_running)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    required=True,
    help="The recording; it is compressed if the name ends in .gz.",
)
@click.option("--force", is_flag=True, help="Replace FILE if it exists.")
@click.option(
    "--interval",
    "interval_s",
    metavar="SECONDS",
    type=NumberRange(0.1, 600),
    default=1.0,
    show_default=True,
    help="Between two looks.",
)
@click.option(
    "--time",
    "time_s",
    metavar="TIME",
    callback=_parse_time,
    help="How long, such as 30s, 10m or 2h; without it until Ctrl-C.",
)
@click.option(
    "--max-size",
    "max_bytes",
    metavar="SIZE",
    default="256M",
    show_default=True,
    callback=_parse_size,
    help="End when FILE would become larger.",
)
@click.option(
    "--latencies",
    is_flag=True,
    help="Have QEMU count requests by latency meanwhile, for percentiles.",
)
@click.option(
    "--trace",
    "traces",
    is_flag=True,
    help="Have the kernel trace event loops meanwhile, for exact polling times; needs root.",
)
def command(
    vms: tuple[str, ...],
    *,
    output: str,
    force: bool,
    interval_s: float,
    time_s: float | None,
    max_bytes: int,
    latencies: bool,
    traces: bool,
) -> int:
    """Record what the QEMU guests of this host do, for vmio report.

    VM is a guest's number, id, name or config, pid:NUMBER, or qmp:SOCKET; all guests without any,
    also those that start meanwhile. Processor time, run delay and polling of each thread, and the
    requests, bytes and latencies of each disk are looked at once an interval, as vmio top does.

    FILE is text, a line for each look. It has the layout and the names of guests and disks, and
    no command lines. It can be read up to its last line whatever ended vmio; Ctrl-C is the usual
    way. vmio report FILE makes a page of it.
    """
    errors = app.list_running(vms).errors
    if errors:
        return say_errors(errors)
    looks = int(time_s / interval_s) + 1 if time_s is not None else 0
    told: dict[str, None] = {}
    last: app.RecordProgress | None = None
    with ProgressLine(looks, "recording") as line:

        def tell(progress: app.RecordProgress) -> None:
            nonlocal last
            last, is_first = progress, last is None
            if is_first:
                line.hide()
                _say_start(progress, output, time_s)
            new = [each for each in progress.notes if each not in told]
            told.update(dict.fromkeys(new[: _MOST_NOTES - len(told)]))
            for note in new:
                if note in told:
                    line.hide()
                    say(note)
            if looks:
                line.advance()

        try:
            app.run_async(
                app.record_guests(
                    vms,
                    Path(output),
                    interval_s=interval_s,
                    time_s=time_s,
                    max_bytes=max_bytes,
                    latencies=latencies,
                    traces=traces,
                    force=force,
                    report=tell,
                )
            )
        finally:
            line.hide()
            if last is not None:
                _say_end(last, output, max_bytes)
    return 0


def _say_start(progress: app.RecordProgress, output: str, time_s: float | None) -> None:
    until = f"for {format_time_s(time_s)}" if time_s is not None else "until Ctrl-C"
    guests = _count(progress.guest_count, "guest")
    say(f"recording {guests} to {output} {until}")
    if not progress.guest_count:
        say("no QEMU is seen to run on this host; those that start are recorded")


def _say_end(progress: app.RecordProgress, output: str, max_bytes: int) -> None:
    if progress.is_full:
        say(f"{output} has reached {format_bytes(max_bytes)}; --max-size sets another limit")
    looks = _count(progress.look_count, "look")
    time, size = format_time_s(progress.time_s), format_bytes(progress.size_bytes)
    say(f"wrote {output}: {looks} in {time}, {size}")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + "s" * (number != 1)
