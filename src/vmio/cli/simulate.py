"""`vmio simulate`: what a guest's layout would do under a load."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

import click

from vmio import api
from vmio.cli.options import qemu_version_option, storage_option

if TYPE_CHECKING:
    from vmio.sim.sweep import Grid, SweepPoint

__all__ = ["command"]


@click.command("simulate")
@click.argument("vm")
@click.option(
    "--workload",
    metavar="LOAD",
    default="4k-randread-qd1",
    show_default=True,
    help="qd=16,jobs=2,think=100us or rate=5000, on every disk; random reads of 4 KiB.",
)
@click.option(
    "--set",
    "parameters",
    metavar="[ID.]KEY=VALUE",
    multiple=True,
    help="Replace a parameter of an IOThread, or of all: poll_max_ns=0.",
)
@click.option("--policy", metavar="NAME", help="Simulate what vmio plan would make of VM.")
@click.option("--profile", metavar="FILE", help="Costs to go by, instead of the default's.")
@click.option(
    "--sweep",
    "sweeps",
    metavar="[ID.]KEY=LOW:HIGH[:STEP]",
    multiple=True,
    help="Go through values of a parameter, or of the load: qd, jobs, think_ns, rate_per_s. Of"
    " several, through every combination.",
)
@click.option("--jobs", type=click.IntRange(1, 1024), help="Processes of a sweep.")
@click.option("--seeds", type=int, default=5, show_default=True, help="Runs to average over.")
@click.option("--requests", type=int, default=5000, show_default=True, help="Requests of a run.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@storage_option
@qemu_version_option
def command(
    *,
    vm: str,
    workload: str,
    parameters: tuple[str, ...],
    policy: str | None,
    profile: str | None,
    sweeps: tuple[str, ...],
    jobs: int | None,
    seeds: int,
    requests: int,
    as_json: bool,
    storage: str | None,
    qemu_version: str | None,
) -> int:
    """Predict what the event loops of VM do under a load, without running it.

    Without --profile the costs are those of the default one, not of this host: compare layouts and
    parameters by it, and measure what matters with `vmio bench`.
    """
    host = api.read_host(None, qemu_version=qemu_version)
    guest = api.load(vm, host=host, storage=storage)
    if sweeps:
        grid, results = api.simulate_sweep(
            guest,
            host,
            workload,
            sweeps,
            parameters=parameters,
            policy=policy,
            profile=profile,
            seeds=seeds,
            requests=requests,
            workers=jobs,
        )
        _print_sweep(grid, results, as_json=as_json)
        return 0
    found = api.simulate(
        guest,
        host,
        workload,
        parameters=parameters,
        policy=policy,
        profile=profile,
        seeds=seeds,
        requests=requests,
    )
    if as_json:
        from vmio.report.simulation_json import render_prediction_json

        click.echo(render_prediction_json(found))
        return 0
    from vmio.cli.console import make_console
    from vmio.report.simulation_text import print_prediction

    print_prediction(found, make_console())
    return 0


def _print_sweep(grid: Grid, results: Generator[SweepPoint, None, None], *, as_json: bool) -> None:
    from contextlib import closing

    from vmio.cli.console import make_console
    from vmio.cli.progress import ProgressLine
    from vmio.report.simulation_grid import GridTable, render_grid_json
    from vmio.report.simulation_sweep import print_sweep, render_sweep_json

    points, table = [], GridTable(grid)
    is_grid = len(grid.sweeps) > 1
    with ProgressLine(grid.size, "simulating") as line, closing(results):
        for point in results:
            # A large grid's points are in memory only where all of them are printed.
            if as_json or not is_grid:
                points.append(point)
            else:
                table.add(point)
            line.advance()
    match is_grid, as_json:
        case True, True:
            click.echo(render_grid_json(grid, points))
        case True, False:
            table.print(make_console())
        case False, True:
            click.echo(render_sweep_json(grid.sweeps[0], points))
        case _:
            print_sweep(grid.sweeps[0], points, make_console())
