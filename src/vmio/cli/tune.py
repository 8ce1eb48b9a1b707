"""`vmio tune`: finds a better layout and better parameters of a guest by measuring."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Literal

import click

from vmio import app
from vmio.cli.completing import complete_disk, complete_vm
from vmio.cli.guest import choose_image_boot, ensure_image, show_progress
from vmio.cli.options import NumberRange, benchmark_options, host_options, storage_option
from vmio.cli.plan import say_written
from vmio.cli.terminal import say, say_error
from vmio.errors import UsageError, VmioError

__all__ = ["command"]

_PARTS = ("threads", "queues", "aio", "cache", "polling", "batch", "pinning")
_NOT_BETTER = 1


@click.command("tune")
@click.argument("vm", required=False, shell_complete=complete_vm)
@click.option(
    "--objective",
    metavar="METRIC",
    default="iops",
    show_default=True,
    help="What is to be better: iops, p99, cpu (of a request), or two: iops:2,cpu:1.",
)
@click.option(
    "--vary",
    type=click.Choice(_PARTS),
    multiple=True,
    help="What is varied; repeatable.  [default: threads, queues, polling, batch]",
)
@click.option(
    "--disk",
    metavar="ID",
    shell_complete=complete_disk,
    help="The disk to measure; by default the first one.",
)
@click.option(
    "--fio-job",
    "job_texts",
    metavar="JOB",
    multiple=True,
    help="Replaces the default jobs, for example rw=randread,bs=4k,iodepth=32; repeatable.",
)
@click.option(
    "--runtime",
    "runtime_s",
    type=NumberRange(0.1, 3600),
    metavar="SECONDS",
    help="How long each run is measured.  [default: 0.5]",
)
@click.option(
    "--in-guest",
    metavar="GUEST",
    help="Try live settings in a running guest, instead of VM, with its own fio by its agent.",
)
@click.option(
    "--allow-write",
    metavar="FILE",
    help="With --in-guest: a file in the guest that may be overwritten; else it only reads.",
)
@click.option("--time", metavar="DURATION", help="How long it may take, such as 30m.")
@click.option("--dry-run", is_flag=True, help="List the layouts, settings and trials.")
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    show_default=True,
    help="Decides the order of trials.",
)
@click.option(
    "--journal",
    metavar="FILE",
    help="Keep results in FILE; the same call goes on from there if it was ended.",
)
@click.option("-o", "--output", metavar="FILE", help="Write the plan, for vmio apply.")
@click.option("--force", is_flag=True, help="Replace the plan's FILE if it exists.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--html", metavar="FILE", help="Write a report that opens in any browser, offline.")
@benchmark_options
@storage_option
@host_options
def command(
    vm: str | None,
    *,
    objective: str,
    vary: tuple[app.TunePart, ...],
    disk: str | None,
    job_texts: tuple[str, ...],
    runtime_s: float | None,
    in_guest: str | None,
    allow_write: str | None,
    time: str | None,
    dry_run: bool,
    seed: int,
    journal: str | None,
    output: str | None,
    force: bool,
    as_json: bool,
    html: str | None,
    scratch: str,
    accel: Literal["auto", "kvm", "tcg"],
    kernel: str | None,
    initrd: str | None,
    storage: str | None,
    host: str | None,
    overrides: tuple[str, ...],
) -> int:
    """Find the best layout and parameters of VM by measuring.

    VM is a config, a VM's number or name, or a QEMU command line. Layouts are booted here with
    vmio's own small guest and empty disks, beside the guest as it is; no volume of it is opened,
    and nothing of it is changed. Layouts race first, then the live settings of the best of them;
    the winner is measured again. The exit status is 1 if nothing is confirmed to be better.

    cache=unsafe is never tried. aio and cache depend on the storage, which a scratch file is not:
    vary them if TMPDIR is on the storage of the guest.

    With --in-guest only what can be set while a guest runs is tried, polling and batch of the
    IOThreads that serve the disk, and the guest has its own values again at the end.
    """
    _check_form(dry_run=dry_run, as_json=as_json, html=html, output=output, force=force)
    if in_guest is not None:
        given = (vm, output, storage, kernel, initrd, host, *overrides)
        if any(each is not None for each in given):
            raise UsageError(
                "--in-guest takes no VM, and nothing about a plan, a boot or another host",
                hint="as in vmio tune --in-guest 701 --time 5m",
            )
        live = app.prepare_live_tune(
            in_guest,
            vary=vary,
            disk=disk,
            jobs=job_texts,
            runtime_s=runtime_s,
            objective=objective,
            time=time,
            seed=seed,
            writable_file=allow_write,
            journal=journal,
        )
        if dry_run:
            return _list_trials(live)
        _announce(live)
        if live.note:
            say(live.note)
        return _search(live, app.make_live_tuner(live), as_json=as_json, html=html)
    if allow_write is not None:
        raise UsageError("--allow-write belongs to --in-guest")
    if vm is None:
        raise UsageError("a VM is needed", hint="or --in-guest GUEST")
    guest = app.open_guest(app.find_guest(vm), host=host, overrides=overrides, storage=storage)
    task = app.prepare_tune(
        guest,
        guest.context.host,
        vary=vary,
        disk=disk,
        jobs=job_texts,
        runtime_s=runtime_s,
        objective=objective,
        time=time,
        seed=seed,
        scratch=scratch,
        journal=journal,
        output=None if dry_run else output,
        force=force,
    )
    if dry_run:
        return _list_trials(task)
    _announce(task)
    image = ensure_image(task.controllers, kernel=kernel, initrd=initrd)
    how, reason = choose_image_boot(image, accel)
    tuner = app.make_tuner(task, how, accelerator_reason=reason)
    return _search(task, tuner, as_json=as_json, html=html, output=output, force=force)


def _check_form(
    *, dry_run: bool, as_json: bool, html: str | None, output: str | None, force: bool
) -> None:
    """Refuses options that contradict each other, and a page that cannot be written."""
    if force and output is None:
        raise UsageError("--force requires --output FILE")
    if dry_run and as_json:
        raise UsageError("--dry-run and --json exclude each other", hint="it prints no result")
    if html is not None:
        from vmio.report.page import check_report_path

        check_report_path(Path(html))


def _list_trials(task: app.SearchTask) -> int:
    from vmio.cli.console import make_console
    from vmio.report.tuning.text import print_task

    print_task(task, make_console())
    return 0


def _announce(task: app.SearchTask) -> None:
    from vmio.report.tuning.words import describe_task

    say(describe_task(task))


def _search(
    task: app.SearchTask,
    tuner: app.Tuner,
    *,
    as_json: bool,
    html: str | None,
    output: str | None = None,
    force: bool = False,
) -> int:
    """Searches, and reports the result; if that is ended, what there is by then."""
    try:
        with show_progress() as report:
            tuning = app.run_async(tuner.run(report))
    except (KeyboardInterrupt, SystemExit, VmioError):
        tuning = tuner.summarise()
        if tuning.trials:
            if task.journal is not None:
                say(f"{task.journal} has the results: the same call goes on from there")
            try:
                _report(tuning, as_json=as_json, html=html)
            except VmioError as error:
                say_error(error)  # why the search ended is told too
        raise
    _report(tuning, as_json=as_json, html=html, output=output, force=force)
    return 0 if tuning.better else _NOT_BETTER


def _report(
    tuning: app.Tuning,
    *,
    as_json: bool,
    html: str | None,
    output: str | None = None,
    force: bool = False,
) -> None:
    """Prints the result and writes its files, each even if another one cannot be written."""
    with ExitStack() as last:
        if output is not None:
            last.callback(_write_plan, tuning, output, force=force)
        if html is not None:
            last.callback(_write_page, tuning, html)
        _print(tuning, as_json=as_json)


def _print(tuning: app.Tuning, *, as_json: bool) -> None:
    if as_json:
        from vmio.report.tuning.json import render_tuning_json

        click.echo(render_tuning_json(tuning))
    else:
        from vmio.cli.console import make_console
        from vmio.report.tuning.text import print_tuning

        print_tuning(tuning, make_console())


def _write_page(tuning: app.Tuning, html: str) -> None:
    from vmio.report.tuning.html import write_tuning_html

    write_tuning_html(tuning, Path(html))
    say(f"wrote {html}")


def _write_plan(tuning: app.Tuning, output: str, *, force: bool) -> None:
    if tuning.plan is None:
        say(f"{output} is not written: there is no plan")
    else:
        app.save_plan(tuning.plan, output, force=force)
        say_written(tuning.plan, output)
