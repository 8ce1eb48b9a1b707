"""`vmio bench`: two layouts of a guest, measured against each other."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from vmio import api
from vmio.cli.options import host_options, storage_option
from vmio.errors import PlanError, UsageError
from vmio.units import parse_size_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from vmio.bench.compare import Layout, Progress
    from vmio.bench.result import Comparison
    from vmio.guest.image import GuestImage
    from vmio.model.host import Host

__all__ = ["command"]

_MEMORY_MIB = 512
"""All that the benchmark guest needs; both sides have to fit beside each other."""
_MIN_SCRATCH_BYTES = 16 << 20
_CALM_S = 10.0
"""How often progress is told where no terminal shows a bar."""


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
    facts = api.read_host(host, overrides, binary=True)
    layouts = [_load_layout(path, facts, storage) for path in (a, b)]
    if disk is None:
        disk = _choose_disk(*layouts)
    for layout in layouts:
        find_disk(layout, disk)
    with unwind_on_signals():
        image = _ensure_image(kernel, initrd, layouts)
    how, reason = api.choose_boot(
        accelerator=accel,
        kernel=str(image.kernel),
        initrd=str(image.initrd),
        append=image.append,
        memory_mib=_MEMORY_MIB,
    )
    if reason:
        click.echo(f"vmio: {reason}", err=True)
    with _show_progress() as report:
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

    guest = api.load_config(path, host=host, storage=storage)
    topology = api.plan(guest)
    try:
        arguments = render_argv(guest, topology, host)
    except PlanError:
        arguments = ()  # a config that Proxmox would refuse can be measured all the same
    return Layout(
        name=path,
        title=guest.vm.scsihw or "lsi, as scsihw is not set",
        guest=guest,
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


def _ensure_image(kernel: str | None, initrd: str | None, layouts: Sequence[Layout]) -> GuestImage:
    """Returns the benchmark guest, telling each step of its making once."""
    from vmio.guest.image import ensure_image

    told: list[str] = []

    def tell(task: str, _share: float | None) -> None:
        if told[-1:] != [task]:
            told.append(task)
            click.echo(f"vmio: {task}", err=True)

    return ensure_image(
        kernel=Path(kernel) if kernel is not None else None,
        initrd=Path(initrd) if initrd is not None else None,
        controllers={
            controller.model for layout in layouts for controller in layout.topology.controllers
        },
        report=tell,
    )


@contextmanager
def _show_progress() -> Iterator[Callable[[Progress], None]]:
    """Yields what to tell progress to: a bar on a terminal, else a line now and then."""
    if not sys.stderr.isatty():
        last_s = [-_CALM_S]

        def tell(progress: Progress) -> None:
            if time.monotonic() - last_s[0] >= _CALM_S or progress.share in {0.0, 1.0}:
                last_s[0] = time.monotonic()
                left = _format_left(progress)
                click.echo(f"vmio: {progress.share:4.0%} {progress.words}{left}", err=True)

        yield tell
        return
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn
    from rich.progress import Progress as Bar

    from vmio.cli.console import make_console

    columns = (BarColumn(), TaskProgressColumn(), TextColumn("{task.description}", markup=False))
    with Bar(*columns, console=make_console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda progress: bar.update(
            task, completed=progress.share, description=progress.words + _format_left(progress)
        )


def _format_left(progress: Progress) -> str:
    if progress.left_s is None or progress.share in {0.0, 1.0}:
        return ""
    minutes, seconds = divmod(round(progress.left_s), 60)
    return f", {minutes}:{seconds:02d} left"


def _tell(comparison: Comparison, *, as_json: bool, report_path: Path | None) -> None:
    if as_json:
        from vmio.report.comparison_json import render_comparison_json

        click.echo(render_comparison_json(comparison))
    else:
        from vmio.cli.console import make_console
        from vmio.report.comparison_text import print_comparison

        print_comparison(comparison, make_console())
    if report_path is not None:
        from vmio.report.comparison_html import write_comparison_html

        write_comparison_html(comparison, report_path)  # last: a full disk loses no figures
        click.echo(f"vmio: the report is in {report_path}", err=True)
