"""`vmio bench`: two layouts of a guest, measured against each other."""

from __future__ import annotations

from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from vmio import app
from vmio.cli.guest import ensure_image, show_progress
from vmio.cli.options import host_options, storage_option
from vmio.cli.terminal import say
from vmio.errors import PlanError, UsageError
from vmio.units import parse_size_bytes

if TYPE_CHECKING:
    from vmio.bench.compare import Layout
    from vmio.bench.result import Comparison
    from vmio.model.host import Host

__all__ = ["command"]

_MEMORY_MIB = 512
"""All that the benchmark guest needs; both sides have to fit beside each other."""
_MIN_SCRATCH_BYTES = 16 << 20


def _refuse_nan(
    context: click.Context, parameter: click.Parameter, value: float | None
) -> float | None:
    """Refuses the one number that is on neither side of a bound."""
    if value is not None and isnan(value):
        raise click.BadParameter("nan is no number of seconds", context, parameter)
    return value


@click.command("bench")
@click.argument("a")
@click.argument("b")
@click.option("--disk", metavar="ID", help="The disk to measure; else the first that both have.")
@click.option(
    "--pairs",
    type=click.IntRange(2, 1000),
    default=8,
    show_default=True,
    help="How often each job runs on each side.",
)
@click.option(
    "--job",
    "job_texts",
    metavar="JOB",
    multiple=True,
    help="Instead of the default jobs, as in rw=randread,bs=4k,iodepth=32; can be repeated.",
)
@click.option(
    "--runtime",
    "runtime_s",
    type=click.FloatRange(0.1, 3600),
    callback=_refuse_nan,
    metavar="SECONDS",
    help="How long each run counts.  [default: 0.5]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--html", metavar="FILE", help="Write a report that opens in any browser, offline.")
@click.option(
    "--scratch",
    metavar="SIZE",
    default="1G",
    show_default=True,
    help="Size of the empty temporary files that stand in for all disks.",
)
@click.option(
    "--accel",
    type=click.Choice(["auto", "kvm", "tcg"]),
    default="auto",
    show_default=True,
    help="auto tries KVM with a tiny guest and falls back to TCG, saying so.",
)
@click.option("--kernel", metavar="FILE", help="A benchmark guest of your own: its kernel,")
@click.option("--initrd", metavar="FILE", help="and its initramfs, with a guest agent and fio.")
@storage_option
@host_options
def command(
    a: str,
    b: str,
    *,
    disk: str | None,
    pairs: int,
    job_texts: tuple[str, ...],
    runtime_s: float | None,
    as_json: bool,
    html: str | None,
    scratch: str,
    accel: Literal["auto", "kvm", "tcg"],
    kernel: str | None,
    initrd: str | None,
    storage: str | None,
    host: str | None,
    overrides: tuple[str, ...],
) -> None:
    """Measure the layouts of the configs A and B against each other.

    Both are booted here with a small guest of vmio's own and empty disks, no volume of either is
    touched. fio runs in one while the other is stopped, in pairs and in alternating order, so that
    what else the host does hits both.
    """
    from vmio.bench.compare import compare, find_disk
    from vmio.bench.jobs import DEFAULT_JOBS, parse_job
    from vmio.qemu.signals import run_async, unwind_on_signals

    names = job_texts or tuple(job.name for job in DEFAULT_JOBS)
    jobs = tuple(parse_job(name, runtime_s=runtime_s) for name in names)
    scratch_bytes = parse_size_bytes(scratch)
    if scratch_bytes is None or scratch_bytes < _MIN_SCRATCH_BYTES:
        raise UsageError(f"--scratch {scratch}: 16M is the least", hint="write it as 512M or 1G")
    report_path = Path(html) if html is not None else None
    if report_path is not None:
        from vmio.report.page import check_report_path

        check_report_path(report_path)
    facts = app.read_host(host, overrides, binary=True)
    layouts = [_load_layout(path, facts, storage) for path in (a, b)]
    if disk is None:
        disk = _choose_disk(*layouts)
    for layout in layouts:
        find_disk(layout, disk)
    with unwind_on_signals():
        image = ensure_image(
            {each.model for layout in layouts for each in layout.topology.controllers},
            kernel=kernel,
            initrd=initrd,
        )
    how, reason = app.choose_boot(
        accelerator=accel,
        kernel=str(image.kernel),
        initrd=str(image.initrd),
        append=image.append,
        memory_mib=_MEMORY_MIB,
    )
    if reason:
        say(reason)
    with show_progress() as report:
        comparison = run_async(
            compare(
                *layouts,
                jobs=jobs,
                pairs=pairs,
                disk=disk,
                boot=how,
                scratch_bytes=scratch_bytes,
                accelerator_reason=reason,
                guest_description=image.description,
                report=report,
            )
        )
    _tell(comparison, as_json=as_json, report_path=report_path)


def _load_layout(path: str, host: Host, storage: str | None) -> Layout:
    from vmio.bench.compare import Layout
    from vmio.formats.proxmox.argv import render_argv

    guest = app.load_config(path, host=host, storage=storage)
    topology = app.plan(guest)
    try:
        arguments = render_argv(guest, topology, host)
    except PlanError:
        arguments = ()  # a config that Proxmox would refuse can be measured all the same
    return Layout(
        name=path,
        title=guest.vm.scsihw or "lsi, as scsihw is not set",
        machine=guest.vm.machine,
        topology=topology,
        config_argv=tuple(word for argument in arguments for word in argument),
    )


def _choose_disk(a: Layout, b: Layout) -> str:
    """Returns the first disk that both sides have."""
    for attached in a.topology.disks:
        other = b.topology.find_disk(attached.disk.id)
        if other is not None and {attached.disk.media, other.disk.media} == {"disk"}:
            return attached.disk.id
    raise UsageError(f"{a.name} and {b.name} have no disk in common")


def _tell(comparison: Comparison, *, as_json: bool, report_path: Path | None) -> None:
    if as_json:
        from vmio.report.comparison.json import render_comparison_json

        click.echo(render_comparison_json(comparison))
    else:
        from vmio.cli.console import make_console
        from vmio.report.comparison.text import print_comparison

        print_comparison(comparison, make_console())
    if report_path is not None:
        from vmio.report.comparison.html import write_comparison_html

        write_comparison_html(comparison, report_path)  # last: a full disk loses no figures
        say(f"the report is in {report_path}")
