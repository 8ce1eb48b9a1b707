"""`vmio check`: what is wrong with configs."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Generator, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vmio import api
from vmio.cli.check_options import check_options, choose_fixing, choose_output
from vmio.cli.options import host_options, qemu_version_option, storage_option
from vmio.cli.progress import ProgressLine
from vmio.errors import UsageError, VmioError
from vmio.lint.diagnostic import CheckedFile, Severity
from vmio.lint.house import choose_rules
from vmio.report.findings import (
    Part,
    Report,
    Summary,
    assemble,
    choose_report,
    make_part,
    render_summary,
)

if TYPE_CHECKING:
    from vmio.fleet.inventory import Found
    from vmio.fleet.places import Places

__all__ = ["command"]

_CLUSTER = "/etc/pve"


@click.command("check")
@click.argument("paths", metavar="[PATH]...", nargs=-1)
@check_options
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many processes check; one a processor if not said.",
)
@qemu_version_option
@storage_option
@host_options
def command(
    *,
    paths: tuple[str, ...],
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    severity: Severity | None,
    config: str | None,
    output: str | None,
    as_json: bool,
    statistics: bool,
    baseline: str | None,
    fix: bool,
    unsafe_fixes: bool,
    diff: bool,
    dry_run: bool,
    jobs: int | None,
    qemu_version: str | None,
    storage: str | None,
    host: str | None,
    overrides: tuple[str, ...],
) -> int:
    """Find settings in VM configs that are ignored, slow or unsafe.

    PATH is a config, a folder of them, a whole /etc/pve or a copy of one, or - for standard
    input; without any it is /etc/pve.

    Exits with 0 if nothing was found, 1 if something was, 3 if a file could not be read. `vmio
    rule CODE` explains a finding.
    """
    form = choose_output(output, as_json=as_json, diff=diff)
    fixing = choose_fixing(fix=fix, unsafe_fixes=unsafe_fixes, diff=diff, dry_run=dry_run)
    house = api.read_house(config, select=select, ignore=ignore, severity=severity)
    known = api.read_baseline(house, baseline)
    vms = api.find_vms(paths or _choose_cluster())
    places = api.read_places(
        vms,
        host=host or house.host or None,
        overrides=overrides,
        qemu_version=qemu_version,
        storage=storage or house.storage or None,
    )
    vms = (*places.errors, *vms)
    terminal = sys.stdout.isatty()
    report = choose_report(
        form,
        statistics=statistics,
        colour=terminal and not os.environ.get("NO_COLOR"),
        columns=shutil.get_terminal_size().columns if terminal else 0,
        rules=choose_rules(house),
    )
    results = api.check_all(
        vms,
        places,
        partial(_make_part, report),
        house=house,
        baseline=known,
        fixing=fixing is not None,
        unsafe=fixing is not None and fixing.unsafe,
        write=fixing is not None and fixing.write,
        workers=jobs,
    )
    summary = _print_report(report, results, len(vms))
    _say_unknown(vms, places)
    for line in render_summary(summary, written=fixing is None or fixing.write):
        click.echo(line, err=True)
    if fixing is not None and not fixing.write and summary.fixed:
        return summary.status or 1
    return summary.status


def _choose_cluster() -> tuple[str, ...]:
    if not Path(_CLUSTER).is_dir():
        raise UsageError(
            f"there is no {_CLUSTER} here, so name what to check",
            hint="a config, a folder of them, or a copy of a cluster's /etc/pve",
        )
    return (_CLUSTER,)


def _make_part(report: Report, checked: CheckedFile) -> tuple[Part, VmioError | None]:
    """Returns what is printed of a file; that is less to send between processes than findings."""
    return make_part(report, checked), checked.error


def _print_report(
    report: Report,
    results: Generator[tuple[Part, VmioError | None], None, None],
    total: int,
) -> Summary:
    summary = Summary()
    # Bytes, since a config's may not be text; not click.echo, which flushes every time.
    stdout = sys.stdout.buffer
    is_terminal = sys.stdout.isatty()
    with closing(results), ProgressLine(total, "checking") as progress:

        def pass_on() -> Iterator[Part]:
            for part, error in results:
                if error is not None:
                    progress.hide()
                    _say_error(error)
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


def _say_unknown(vms: tuple[Found, ...], places: Places) -> None:
    """Tells of which nodes nothing is known: silence about them must not be taken for health."""
    unknown = {vm.node for vm in vms if vm.error is None and not places.by_folder[vm.folder].known}
    if unknown:
        _say(
            f"nothing is known of the hosts of {', '.join(sorted(unknown))}, so that rules about"
            " hosts and versions are silent there"
        )
        _say("hint: name a version with --qemu-version, or put there what vmio host --save writes")


def _say_error(error: VmioError) -> None:
    _say(f"error: {error.message}")
    if error.hint:
        _say(f"hint: {error.hint}")


def _say(text: str) -> None:
    click.echo(f"vmio: {text}", err=True)
