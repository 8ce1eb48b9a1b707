"""`vmio simulate`: predicts what a guest's layout does under a load."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vmio import app
from vmio.cli.completing import complete_policy, complete_vm
from vmio.cli.options import host_options, qemu_version_option, storage_option
from vmio.cli.terminal import say
from vmio.errors import UsageError

if TYPE_CHECKING:
    from vmio.report.prediction.chart import ChartPoint

__all__ = ["command"]


@click.command("simulate")
@click.argument("vm", shell_complete=complete_vm)
@click.option(
    "--workload",
    metavar="LOAD",
    default="4k-randread-qd1",
    show_default=True,
    help="qd=16,jobs=2,think=100us or rate=5000, on every disk; random reads of 4 KiB.",
)
@click.option(
    "--parameter",
    "parameters",
    metavar="[ID.]KEY=VALUE",
    multiple=True,
    help="Replace a parameter of an IOThread, or of all, such as poll_max_ns=0.",
)
@click.option(
    "--policy",
    metavar="NAME",
    shell_complete=complete_policy,
    help="Simulate the layout that vmio plan proposes for VM.",
)
@click.option(
    "--profile",
    metavar="FILE",
    help="A file of costs, or 'default'; otherwise what vmio calibrate measured here.",
)
@click.option(
    "--sweep",
    "sweeps",
    metavar="[ID.]KEY=LOW:HIGH[:STEP]",
    multiple=True,
    help="Simulate a range of a parameter, or of the load: qd, batch, jobs, work_ns, think_ns,"
    " rate_per_s."
    " Several are combined.",
)
@click.option("--jobs", type=click.IntRange(1, 1024), help="Processes of a sweep.")
@click.option("--scheduler", metavar="ADDRESS", help="Run a sweep on this Dask cluster.")
@click.option("--parquet", metavar="FILE", help="Write a sweep's points to a file, one row each.")
@click.option("--force", is_flag=True, help="Replace FILE if it exists.")
@click.option("--seeds", type=int, default=5, show_default=True, help="Runs to average over.")
@click.option("--requests", type=int, default=5000, show_default=True, help="Requests of a run.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--html", metavar="FILE", help="Write a page that opens in any browser, offline.")
@storage_option
@qemu_version_option
@host_options
def command(
    *,
    vm: str,
    workload: str,
    parameters: tuple[str, ...],
    host: str | None,
    policy: str | None,
    profile: str | None,
    sweeps: tuple[str, ...],
    jobs: int | None,
    scheduler: str | None,
    parquet: str | None,
    force: bool,
    seeds: int,
    requests: int,
    as_json: bool,
    html: str | None,
    storage: str | None,
    qemu_version: str | None,
    overrides: tuple[str, ...],
) -> int:
    """Predict what the event loops of VM do under a load, without running it.

    VM is a config or a QEMU command line, a VM's number or name, pid:NUMBER or qmp:SOCKET.

    It uses the costs that `vmio calibrate` measured on this host, or, if there are none, a default
    profile with a warning. Processors and QEMU are those of the guest's host, if known. Use it to
    compare layouts and parameters, and measure what matters with `vmio bench`.
    """
    _check_options(sweeps, jobs, scheduler, parquet, html, force=force)
    if html is not None:
        from vmio.report.page import check_report_path

        check_report_path(Path(html))
    # Before --parameter existed, parameters were given with --set.
    facts, older = app.split_settings(overrides)
    parameters = (*parameters, *older)
    guest = app.open_guest(
        vm, host=host, overrides=facts, qemu_version=qemu_version, storage=storage
    )
    if sweeps:
        with ExitStack() as stack:
            cluster = stack.enter_context(app.connect_cluster(scheduler)) if scheduler else None
            grid, results = app.simulate_sweep(
                guest,
                guest.context.host,
                workload,
                sweeps,
                parameters=parameters,
                policy=policy,
                profile=profile,
                seeds=seeds,
                requests=requests,
                workers=jobs if cluster is None else cluster.workers,
                executor=None if cluster is None else cluster.executor,
            )
            if parquet is not None:
                from vmio.report.prediction.parquet import save_points

                results = save_points(grid, results, Path(parquet), force=force)
            points = _print_sweep(grid, results, as_json=as_json)
            if parquet is not None:
                say(f"{grid.size} points written to {parquet}")
            if html is not None:
                from vmio.report.prediction.chart import list_chart_points

                shown = list_chart_points(points)
                _write_page(html, guest, shown, parameter=grid.sweeps[0].parameter)
        return 0
    found = app.simulate(
        guest,
        guest.context.host,
        workload,
        parameters=parameters,
        policy=policy,
        profile=profile,
        seeds=seeds,
        requests=requests,
    )
    if as_json:
        from vmio.report.prediction.json import render_prediction_json

        click.echo(render_prediction_json(found))
    else:
        from vmio.cli.console import make_console
        from vmio.report.prediction.text import print_prediction

        print_prediction(found, make_console())
    if html is not None:
        from vmio.report.prediction.chart import ChartPoint

        changes = (policy or "as it is", *parameters)
        point = ChartPoint(
            label=", ".join(changes), prediction=found, is_today=changes == ("as it is",)
        )
        _write_page(html, guest, [point], parameter="")
    return 0


def _check_options(
    sweeps: tuple[str, ...],
    jobs: int | None,
    scheduler: str | None,
    parquet: str | None,
    html: str | None,
    *,
    force: bool,
) -> None:
    for option, value in (("--scheduler ADDRESS", scheduler), ("--parquet FILE", parquet)):
        if value is not None and not sweeps:
            raise UsageError(f"{option} requires --sweep")
    if jobs is not None and scheduler is not None:
        raise UsageError("--jobs and --scheduler exclude each other: a cluster has workers")
    if force and parquet is None:
        raise UsageError("--force requires --parquet FILE")
    if html is not None and len(sweeps) > 1:
        raise UsageError(
            "--html shows a sweep of one parameter", hint="--parquet and --json support several"
        )


def _print_sweep(
    grid: app.Grid, results: Generator[app.SweepPoint, None, None], *, as_json: bool
) -> list[app.SweepPoint]:
    """Prints the points, and returns them if they are kept."""
    from vmio.cli.console import make_console
    from vmio.cli.progress import ProgressLine
    from vmio.report.prediction.grid import GridTable
    from vmio.report.prediction.json import render_sweep_json
    from vmio.report.prediction.sweep import print_sweep

    points, table = [], GridTable(grid)
    is_grid = len(grid.sweeps) > 1
    with ProgressLine(grid.size, "simulating") as line, closing(results):
        for point in results:
            # A large grid's points are in memory only if all of them are printed.
            if as_json or not is_grid:
                points.append(point)
            else:
                table.add(point)
            line.advance()
    match is_grid, as_json:
        case _, True:
            click.echo(render_sweep_json(grid, points))
        case True, False:
            table.print(make_console())
        case _:
            print_sweep(grid.sweeps[0], points, make_console())
    return points


def _write_page(
    path: str, guest: app.Guest, points: Sequence[ChartPoint], *, parameter: str
) -> None:
    from vmio.report.page import write_page
    from vmio.report.prediction.html import render_simulation_html

    name = f"{guest.vm.id} {guest.vm.name}".strip() or guest.vm.source.name
    write_page(render_simulation_html(points, guest=name, parameter=parameter), Path(path))
    say(f"wrote {path}")
