"""`vmio check`: what is wrong with configs."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click
from attrs import field, mutable

from vmio import api
from vmio.cli.check_options import (
    Fixing,
    check_options,
    choose_fixing,
    choose_output,
    validate_watch,
)
from vmio.cli.options import host_options, qemu_version_option, storage_option
from vmio.cli.progress import ProgressLine
from vmio.errors import UsageError, VmioError
from vmio.lint.diagnostic import CheckedFile, Severity
from vmio.lint.house import House, choose_rules
from vmio.report.findings import (
    Part,
    Report,
    Summary,
    assemble,
    make_part,
    render_summary,
)
from vmio.report.findings_forms import choose_report

if TYPE_CHECKING:
    from vmio.fleet.inventory import Found
    from vmio.fleet.places import Places
    from vmio.lint.baseline import Baseline

__all__ = ["Scene", "command", "print_report", "say", "say_error", "say_unknown"]

_CLUSTER = "/etc/pve"

_Result = TypeVar("_Result")


@mutable(kw_only=True)
class Scene:
    """What a call is about, and what its findings go by as that was last read."""

    paths: tuple[str, ...]
    config: str | None
    select: tuple[str, ...]
    ignore: tuple[str, ...]
    severity: Severity | None
    baseline: str | None
    host: str | None
    overrides: tuple[str, ...]
    qemu_version: str | None
    storage: str | None
    house: House = field(factory=House, init=False)
    known: Baseline | None = field(default=None, init=False)
    vms: tuple[Found, ...] = field(default=(), init=False)
    """The configs."""
    places: Places = field(init=False)

    def refresh(self) -> None:
        """Reads it all.

        Raises:
            UsageError: The call makes no sense.
            InputError: A file that the call or the house names cannot be read.
        """
        self.house = api.read_house(
            self.config, select=self.select, ignore=self.ignore, severity=self.severity
        )
        self.known = api.read_baseline(self.house, self.baseline)
        self.vms = self.find_vms()
        self.places = api.read_places(
            self.vms,
            host=self.host or self.house.host or None,
            overrides=self.overrides,
            qemu_version=self.qemu_version,
            storage=self.storage or self.house.storage or None,
        )

    def find_vms(self) -> tuple[Found, ...]:
        """Returns the configs that there are now."""
        return api.find_vms(self.paths)

    def list_files(self) -> tuple[str, ...]:
        """Returns the files that findings go by, besides the configs."""
        named = (
            self.config or api.find_house(),
            api.choose_baseline(self.house, self.baseline)[0],
            self.host or self.house.host,
            self.storage or self.house.storage,
        )
        return (*filter(None, named), *self.places.files)

    def check(
        self,
        vms: Sequence[Found],
        convert: Callable[[CheckedFile], _Result],
        *,
        fixing: Fixing | None = None,
        workers: int | None,
    ) -> Generator[_Result, None, None]:
        """Yields what comes of checking configs, in their order."""
        return api.check_all(
            vms,
            self.places,
            convert,
            house=self.house,
            baseline=self.known,
            fixing=fixing is not None,
            unsafe=fixing is not None and fixing.unsafe,
            write=fixing is not None and fixing.write,
            workers=workers,
        )


@click.command("check")
@click.argument("paths", metavar="[PATH]...", nargs=-1)
@check_options
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many processes check; one a processor if not said.",
)
@click.option(
    "--watch",
    is_flag=True,
    help="Stay, look at all files every second, which works on /etc/pve too where inotify does"
    " not, and print what changes.",
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
    watch: bool,
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
    if watch:
        validate_watch(paths, "statistics" if statistics else form, fixing)
    scene = Scene(
        paths=paths or _choose_cluster(),
        config=config,
        select=select,
        ignore=ignore,
        severity=severity,
        baseline=baseline,
        host=host,
        overrides=overrides,
        qemu_version=qemu_version,
        storage=storage,
    )
    scene.refresh()
    terminal = sys.stdout.isatty()
    report = choose_report(
        form,
        statistics=statistics,
        colour=terminal and not os.environ.get("NO_COLOR"),
        columns=_measure_terminal() if terminal else 0,
        rules=choose_rules(scene.house),
    )
    if watch:
        from vmio.cli.check_watch import follow

        follow(scene, report, workers=jobs)
    vms = (*scene.places.errors, *scene.vms)
    results = scene.check(vms, partial(_make_part, report), fixing=fixing, workers=jobs)
    summary = print_report(report, results, len(vms))
    say_unknown(vms, scene.places)
    for line in render_summary(summary, written=fixing is None or fixing.write):
        click.echo(line, err=True)
    if fixing is not None and not fixing.write and summary.fixed:
        return summary.status or 1
    return summary.status


def _measure_terminal() -> int:
    from shutil import get_terminal_size

    return get_terminal_size().columns


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


def print_report(
    report: Report,
    results: Generator[tuple[Part, VmioError | None], None, None],
    total: int,
) -> Summary:
    """Prints a report as its parts come, and what could not be read; returns the sums."""
    summary = Summary()
    # Bytes, since a config's may not be text; not click.echo, which flushes every time.
    stdout = sys.stdout.buffer
    is_terminal = sys.stdout.isatty()
    with closing(results), ProgressLine(total, "checking") as progress:

        def pass_on() -> Iterator[Part]:
            for part, error in results:
                if error is not None:
                    progress.hide()
                    say_error(error)
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


def say_unknown(vms: tuple[Found, ...], places: Places) -> None:
    """Tells of which nodes nothing is known: silence about them must not be taken for health."""
    unknown = {vm.node for vm in vms if vm.error is None and not places.by_folder[vm.folder].known}
    if unknown:
        say(
            f"nothing is known of the hosts of {', '.join(sorted(unknown))}, so that rules about"
            " hosts and versions are silent there"
        )
        say("hint: name a version with --qemu-version, or put there what vmio host --save writes")


def say_error(error: VmioError) -> None:
    """Says what went wrong with a file, where the rest goes on."""
    say(f"error: {error.message}")
    if error.hint:
        say(f"hint: {error.hint}")


def say(text: str) -> None:
    """Says a line on standard error."""
    click.echo(f"vmio: {text}", err=True)
