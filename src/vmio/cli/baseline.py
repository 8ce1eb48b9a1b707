"""`vmio baseline`: the findings of today, kept so that only new ones are told."""

from __future__ import annotations

from collections import Counter
from contextlib import closing

import click

from vmio import app
from vmio.cli.check_options import rule_options
from vmio.cli.options import host_options, qemu_version_option, storage_option
from vmio.cli.terminal import say, say_error
from vmio.errors import UsageError, VmioError
from vmio.lint.baseline import Baseline, Known, compare_baselines, identify, merge_baselines
from vmio.lint.diagnostic import CheckedFile, Severity
from vmio.lint.house import choose_rules
from vmio.report.findings.summary import count

__all__ = ["command"]

_CLUSTER = "/etc/pve"

_Identified = tuple[str, list[Known], VmioError | None]


@click.command("baseline")
@click.argument("paths", metavar="[PATH]...", nargs=-1)
@click.option(
    "-o",
    "output",
    metavar="FILE",
    help="The file to write; else vmio.toml's, or vmio-baseline.json beside that or here.",
)
@click.option("--update", is_flag=True, help="Bring a file that is there up to date.")
@rule_options
@qemu_version_option
@storage_option
@host_options
def command(
    *,
    paths: tuple[str, ...],
    output: str | None,
    update: bool,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    severity: Severity | None,
    config: str | None,
    qemu_version: str | None,
    storage: str | None,
    host: str | None,
    overrides: tuple[str, ...],
) -> int:
    """Accept the findings that configs have now, so that vmio check tells new ones only.

    PATH is as for vmio check. --update takes in what is new and forgets what is gone, of those
    VMs that PATH means and of those rules that run; the rest of the file stays.

    Exits with 3 if a config could not be read; what is known of it stays.
    """
    house = app.read_house(config, select=select, ignore=ignore, severity=severity)
    path, _ = app.choose_baseline(house, output)
    old = Baseline()
    if update:
        old = app.read_baseline(house, path) or old
    vms = app.find_vms(paths or (_CLUSTER,))
    places = app.read_places(
        vms,
        host=host or house.host or None,
        overrides=overrides,
        qemu_version=qemu_version,
        storage=storage or house.storage or None,
    )
    found: dict[str, Counter[Known]] = {}
    status = 0
    with closing(app.check_all((*places.errors, *vms), places, _identify, house=house)) as results:
        for vm, known, error in results:
            if error is None:
                found.setdefault(vm, Counter()).update(known)
            else:
                status = max(status, error.exit_status)
                say_error(error)
    codes = {entry.code for entry in choose_rules(house)}
    new = merge_baselines(old, found, codes=codes)
    try:
        app.write_baseline(new, path, force=update)
    except UsageError as error:
        raise UsageError(error.message, hint="--update brings it up to date") from error
    text = f"wrote {path}: {count(len(new), 'finding')} of {count(len(new.vms), 'VM')}"
    if update:
        came, gone = compare_baselines(old, new)
        text += f", {came:,} new, {gone:,} gone"
    say(text)
    return status


def _identify(checked: CheckedFile) -> _Identified:
    known = [identify(diagnostic, checked.source) for diagnostic in checked.diagnostics]
    return checked.vm, known, checked.error
