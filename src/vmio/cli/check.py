"""`vmio check`: finds problems in configs."""

from __future__ import annotations

from functools import partial

import click

from vmio import app
from vmio.cli.check_options import check_options, choose_fixing, choose_output, validate_watch
from vmio.cli.check_print import print_report, say_unknown
from vmio.cli.completing import complete_vm
from vmio.cli.guests import find_guests
from vmio.cli.options import host_options, qemu_version_option, storage_option
from vmio.cli.terminal import has_colour, measure_terminal
from vmio.errors import VmioError
from vmio.report.findings.forms import choose_report
from vmio.report.findings.summary import Part, Report, make_part, render_summary

__all__ = ["command"]


@click.command("check")
@click.argument("paths", metavar="[GUEST]...", nargs=-1, shell_complete=complete_vm)
@check_options
@click.option(
    "--jobs",
    type=click.IntRange(1, 1024),
    metavar="N",
    help="The number of processes; one for each processor by default.",
)
@click.option(
    "--watch",
    is_flag=True,
    help="Keep running, check all files every second and print what changes. This works on"
    " /etc/pve, where inotify does not.",
)
@qemu_version_option
@storage_option
@host_options
def command(
    *,
    paths: tuple[str, ...],
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    severity: app.Severity | None,
    config: str | None,
    output: str | None,
    as_json: bool,
    statistics: bool,
    baseline: str | None,
    fail_on: app.Severity,
    quiet: bool,
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

    GUEST is a config, a folder of them or a whole /etc/pve, a VM's number or name, pid:NUMBER or
    qmp:SOCKET for a running QEMU, or - for standard input. Without GUEST it checks all guests of
    this host: those in /etc/pve, or the QEMU processes where there is none.

    Exits with 0 if nothing was found, 1 if something was (at least of the severity --fail-on) or a
    fix is left, 3 if a file could not be read. `vmio rule CODE` explains a finding.
    """
    form = choose_output(output, as_json=as_json, diff=diff)
    fixing = choose_fixing(paths, fix=fix, unsafe_fixes=unsafe_fixes, diff=diff, dry_run=dry_run)
    if watch:
        validate_watch(paths, "statistics" if statistics else form, fixing, quiet=quiet)
    found = find_guests(paths, writes=fixing is not None and fixing.write)
    # Without addresses it is about all guests, also about those that start later.
    come_and_go = not paths and found[0].startswith("pid:")
    inputs = app.CheckInputs(
        paths=found,
        find_paths=app.find_processes if come_and_go else None,
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
    inputs.refresh()
    report = choose_report(
        form,
        statistics=statistics,
        colour=has_colour(),
        columns=measure_terminal(),
        rules=inputs.list_rules(),
    )
    if watch:
        from vmio.cli.check_watch import follow

        follow(inputs, report, workers=jobs)
    vms = (*inputs.places.errors, *inputs.vms)
    results = inputs.check(vms, partial(_make_part, report), fixing=fixing, workers=jobs)
    summary = print_report(report, results, len(vms))
    if not quiet:
        say_unknown(vms, inputs.places)
        for line in render_summary(summary, written=fixing is None or fixing.write):
            click.echo(line, err=True)
    status = summary.find_status(fail_on)
    return status or int(fixing is not None and not fixing.write and summary.fixed > 0)


def _make_part(report: Report, checked: app.CheckedFile) -> tuple[Part, VmioError | None]:
    """Returns a file's piece of the report, which is smaller to send than its findings."""
    return make_part(report, checked), checked.error or _explain_unfixed(checked)


def _explain_unfixed(checked: app.CheckedFile) -> VmioError | None:
    if checked.refusal is None:
        return None
    codes = ", ".join(dict.fromkeys(finding.code for finding in checked.unfixed))
    message = f"{codes} of {checked.name} not fixed: {checked.refusal.message}"
    return VmioError(message, hint=checked.refusal.hint)
