"""`vmio bench`: two layouts of a guest, measured against each other."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Literal

import click

from vmio import app
from vmio.cli.completing import complete_disk, complete_vm
from vmio.cli.guest import choose_image_boot, ensure_image, show_progress
from vmio.cli.options import (
    NumberRange,
    RenamedOption,
    benchmark_options,
    host_options,
    storage_option,
)
from vmio.cli.terminal import say
from vmio.errors import UsageError

__all__ = ["command"]


@click.command("bench")
@click.argument("a", required=False, shell_complete=complete_vm)
@click.argument("b", required=False, shell_complete=complete_vm)
@click.option(
    "--disk",
    metavar="ID",
    shell_complete=complete_disk,
    help="The disk to measure; by default the first one that both have.",
)
@click.option(
    "--pairs",
    type=click.IntRange(2, 1000),
    help="How often each job runs on each side; with --until, at most.  [default: 8, or 200]",
)
@click.option(
    "--margin",
    metavar="SHARE",
    help="The difference that does not matter: an interval within it is the same.  [default: 5%]",
)
@click.option(
    "--until",
    metavar="MARGIN",
    help="Measure each job until it is faster, slower, or the same within this margin.",
)
@click.option(
    "--time",
    metavar="DURATION",
    help="How long it may take, such as 5m: decides the number of pairs, or ends --until.",
)
@click.option(
    "--fio-job",
    "job_texts",
    cls=RenamedOption,
    old="--job",
    metavar="JOB",
    multiple=True,
    help="Replaces the default jobs, for example rw=randread,bs=4k,iodepth=32; repeatable.",
)
@click.option(
    "--load",
    "loads",
    metavar="[DISK=]LOAD",
    multiple=True,
    help="A named load or a fio job file; those with a disk run at once. Repeatable. Loads: "
    "database, boot-storm, streaming, mixed-70-30, log, metadata.",
)
@click.option(
    "--from-live",
    "recording",
    metavar="RECORDING",
    help="Repeats the load of a guest that vmio record recorded.",
)
@click.option(
    "--live-guest", metavar="NAME", help="The guest in the recording, if it has several."
)
@click.option(
    "--neighbour",
    metavar="KIND",
    help="Keeps QEMU's main loop busy meanwhile: monitor, backup, mirror, screen or network; "
    "monitor=10 asks ten times a second.",
)
@click.option(
    "--on-host",
    is_flag=True,
    help="Run each job also right on this host, on the same file, after each pair.",
)
@click.option(
    "--in-guest",
    metavar="GUEST",
    help="Measure a running guest, instead of A and B, with its own fio through its agent.",
)
@click.option(
    "--live",
    "settings",
    metavar="PARAMETER=NUMBER",
    multiple=True,
    help="With --in-guest: what B has, such as poll-max-ns=0, for each run alone. Repeatable.",
)
@click.option(
    "--allow-write",
    metavar="FILE",
    help="With --in-guest: a file in the guest that may be overwritten; else it only reads.",
)
@click.option(
    "--runtime",
    "runtime_s",
    type=NumberRange(0.1, 3600),
    metavar="SECONDS",
    help="How long each run is measured.  [default: 0.5]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Print a table in Markdown.")
@click.option("--html", metavar="FILE", help="Write a report that opens in any browser, offline.")
@click.option(
    "--compare",
    "is_comparing",
    is_flag=True,
    help="Compare two results, saved with --json: A is the old one, B the new one.",
)
@benchmark_options
@storage_option
@host_options
def command(
    a: str | None,
    b: str | None,
    *,
    disk: str | None,
    pairs: int | None,
    margin: str | None,
    until: str | None,
    time: str | None,
    job_texts: tuple[str, ...],
    loads: tuple[str, ...],
    recording: str | None,
    live_guest: str | None,
    neighbour: str | None,
    on_host: bool,
    in_guest: str | None,
    settings: tuple[str, ...],
    allow_write: str | None,
    runtime_s: float | None,
    as_json: bool,
    as_markdown: bool,
    html: str | None,
    is_comparing: bool,
    scratch: str,
    accel: Literal["auto", "kvm", "tcg"],
    kernel: str | None,
    initrd: str | None,
    storage: str | None,
    host: str | None,
    overrides: tuple[str, ...],
) -> int:
    """Measure the layouts of the guests A and B against each other.

    Each is a config or a QEMU command line, a VM's number or name, pid:NUMBER or qmp:SOCKET.

    Both are booted here with vmio's own small guest and empty disks; no volume of either is
    opened. fio runs in one while the other is stopped, in pairs and in alternating order, so that
    other load on the host affects both.

    With --in-guest a guest that runs already is measured instead: A is as it is, B has the
    parameters given with --live, which are set and set back around each run.

    With --compare OLD.json NEW.json nothing is measured: it exits with 1 if B got worse against A
    in the new result, beyond chance and the margin.
    """
    _check_form(as_json=as_json, as_markdown=as_markdown)
    if is_comparing:
        from vmio.cli.bench_compare import print_changes

        return print_changes(
            *_take_two(a, b, is_comparing=True),
            margin=margin,
            as_json=as_json,
            as_markdown=as_markdown,
        )
    report_path = Path(html) if html is not None else None
    if report_path is not None:
        from vmio.report.page import check_report_path

        check_report_path(report_path)
    from vmio.report.comparison.words import describe_extent

    if in_guest is not None:
        if a is not None or neighbour is not None or on_host or recording is not None:
            raise UsageError(
                "--in-guest takes no A and B, and no --neighbour, --on-host or --from-live",
                hint="as in vmio bench --in-guest 701 --live poll-max-ns=0",
            )
        live = app.prepare_live_bench(
            in_guest,
            settings=settings,
            disk=disk,
            jobs=job_texts,
            loads=loads,
            runtime_s=runtime_s,
            writable_file=allow_write,
        )
        extent = app.plan_extent(live.jobs, pairs=pairs, margin=margin, until=until, time=time)
        say(describe_extent(extent, live.jobs))
        if live.note:
            say(live.note)
        with show_progress() as report:
            comparison = app.run_async(app.run_live_bench(live, extent=extent, report=report))
        _print_result(
            comparison, as_json=as_json, as_markdown=as_markdown, report_path=report_path
        )
        return 0
    a, b = _take_two(a, b, is_comparing=False)
    if settings or allow_write is not None:
        raise UsageError("--live and --allow-write belong to --in-guest")
    inputs = app.prepare_bench(
        app.find_guest(a),
        app.find_guest(b),
        host=app.read_host(host, overrides, binary=True),
        storage=storage,
        disk=disk,
        jobs=job_texts,
        loads=loads,
        recording=recording,
        recorded_guest=live_guest,
        neighbour=neighbour,
        on_host=on_host,
        runtime_s=runtime_s,
        scratch=scratch,
    )
    if inputs.are_alike:
        say("A and B are the same layout: it shows how much this host's figures differ by chance")
    extent = app.plan_extent(
        inputs.jobs, pairs=pairs, margin=margin, until=until, time=time, on_host=on_host
    )
    say(describe_extent(extent, inputs.jobs))
    image = ensure_image(inputs.controllers, kernel=kernel, initrd=initrd)
    how, reason = choose_image_boot(image, accel)
    with show_progress() as report:
        comparison = app.run_async(
            app.run_bench(
                inputs, how, image, extent=extent, accelerator_reason=reason, report=report
            )
        )
    _print_result(comparison, as_json=as_json, as_markdown=as_markdown, report_path=report_path)
    return 0


def _take_two(a: str | None, b: str | None, *, is_comparing: bool) -> tuple[str, str]:
    if a is not None and b is not None:
        return a, b
    if is_comparing:
        raise UsageError("two results are needed, an old and a new one")
    raise UsageError(
        "two guests are needed, A and B", hint="or --in-guest GUEST, or --compare and two files"
    )


def _check_form(*, as_json: bool, as_markdown: bool) -> None:
    if as_json and as_markdown:
        raise UsageError("--json and --markdown exclude each other")


def _print_result(
    comparison: app.Comparison, *, as_json: bool, as_markdown: bool, report_path: Path | None
) -> None:
    """Prints the result and writes its page, each even if the other cannot be written."""
    with ExitStack() as last:
        if report_path is not None:
            last.callback(_write_page, comparison, report_path)
        _print(comparison, as_json=as_json, as_markdown=as_markdown)


def _print(comparison: app.Comparison, *, as_json: bool, as_markdown: bool) -> None:
    if as_markdown:
        from vmio.report.comparison.markdown import render_comparison_markdown

        click.echo(render_comparison_markdown(comparison))
    elif as_json:
        from vmio.report.comparison.json import render_comparison_json

        click.echo(render_comparison_json(comparison))
    else:
        from vmio.cli.console import make_console
        from vmio.report.comparison.text import print_comparison

        print_comparison(comparison, make_console())


def _write_page(comparison: app.Comparison, report_path: Path) -> None:
    from vmio.report.comparison.html import write_comparison_html

    write_comparison_html(comparison, report_path)
    say(f"wrote {report_path}")
