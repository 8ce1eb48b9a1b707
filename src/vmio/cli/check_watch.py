"""`vmio check --watch`: checks configs again when they change; prints new and gone findings."""

from __future__ import annotations

import select
import sys
import time
from collections.abc import Callable, Sequence
from typing import NoReturn

import click

from vmio import app
from vmio.characters import printable
from vmio.cli.check_print import print_report, say_problem, say_unknown
from vmio.cli.terminal import say
from vmio.report.findings.summary import Report, count, render_summary

__all__ = ["follow"]


def follow(inputs: app.CheckInputs, report: Report, *, workers: int | None) -> NoReturn:
    """Checks everything, prints it, and then each change, until a signal or a closed pipe.

    Args:
        inputs: What is checked, and everything that findings depend on.
        report: How findings are printed.
        workers: How many processes check; None for one a processor.
    """

    def tell_new(fresh: app.CheckInputs, vms: Sequence[app.Found]) -> None:
        say_unknown(tuple(vms), fresh.places)

    with app.unwind_on_signals():
        watch = app.Watch(inputs, report, tell_new=tell_new, workers=workers)
        summary = print_report(report, watch.check_first(), len(watch.vms))
        say_unknown(watch.vms, inputs.places)
        for line in render_summary(summary):
            click.echo(line, err=True)
        say(f"watching {count(watch.files, 'file')}; Ctrl-C ends it")
        for change in watch.follow(_make_wait()):
            _print_change(change)
    raise AssertionError("it watches for ever")


def _line(event: str, *words: str) -> str:
    text = " ".join(word for word in words if word)
    return f"{event}: {printable(text)}\n"


def _print_change(change: app.WatchChange) -> None:
    pieces: list[str] = []
    lines: list[str] = []
    if change.error is not None:
        say_problem(change.error)
    for vm, verdict in change.verdicts:
        assert isinstance(verdict, app.Verdict)  # noqa: S101 - a watch makes no others
        if verdict.error is not None:
            say_problem(verdict.error)
            continue
        if verdict.part[0]:
            pieces.append(verdict.part[0])
        lines += verdict.settled
        if not verdict.changed:
            lines.append(_line("readable again", vm.path))
    lines += [_line("gone", path) for path in change.gone]
    if pieces or lines:
        if lines:
            pieces.append("".join(lines))
        text = f"{time.strftime('%Y-%m-%d %H:%M:%S')}\n" + "\n".join(pieces)
        sys.stdout.buffer.write(f"\n{text}".encode("utf-8", "surrogateescape"))
        sys.stdout.buffer.flush()


def _make_wait() -> Callable[[], None]:
    """Returns a function that waits for the next look and ends the watch if the reader is gone."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)

    def wait() -> None:
        if poll.poll(app.INTERVAL_S * 1000):
            raise BrokenPipeError

    return wait
