"""Prints the results of `vmio check`, once or while watching."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator
from contextlib import closing

from vmio import app
from vmio.cli.progress import ProgressLine
from vmio.cli.terminal import say, say_error, say_hint
from vmio.errors import VmioError
from vmio.report.findings.summary import Part, Report, Summary, assemble

__all__ = ["print_report", "say_problem", "say_unknown"]


def print_report(
    report: Report,
    results: Generator[tuple[Part, VmioError | None], None, None],
    total: int,
) -> Summary:
    """Prints a report piece by piece, and the errors; returns the totals."""
    summary = Summary()
    # Bytes, since a config may not be text; not click.echo, which flushes every time.
    stdout = sys.stdout.buffer
    is_terminal = sys.stdout.isatty()
    with closing(results), ProgressLine(total, "checking") as progress:

        def pass_on() -> Iterator[Part]:
            for part, error in results:
                if error is not None:
                    progress.hide()
                    say_problem(error)
                yield part
                progress.advance()

        for piece in assemble(report, pass_on(), summary):
            if piece:
                if is_terminal:
                    progress.hide()
                stdout.write(piece.encode("utf-8", "surrogateescape"))
                if is_terminal:
                    stdout.flush()
        stdout.flush()
    return summary


def say_unknown(vms: tuple[app.Found, ...], places: app.Places) -> None:
    """Reports hosts about which nothing is known, so that silence is not mistaken for health.

    For files outside any node's folder it reports this on a terminal only, not to a program that
    calls it again and again.
    """
    unknown = {vm.node for vm in vms if vm.error is None and not places.by_folder[vm.folder].known}
    nodes = ", ".join(sorted(unknown - {""}))
    hosts = [f"the hosts of {nodes}"] if nodes else []
    if "" in unknown and sys.stderr.isatty():
        hosts.append("the host of files from elsewhere")
    if hosts:
        say(
            f"nothing is known about {' and '.join(hosts)}, so rules about hosts and versions"
            " report nothing there"
        )
        say_hint(
            "--host FILE reads the output of vmio host -o there, --qemu-version and --set give"
            " single facts"
        )


def say_problem(error: VmioError) -> None:
    """Reports an error of one file, while the others are checked."""
    say_error(error)
    if error.hint:
        say_hint(error.hint)
