"""`vmio simulate`: what a guest's layout would do under a load."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vmio import api
from vmio.cli.options import qemu_version_option, storage_option

if TYPE_CHECKING:
    from vmio.formats.proxmox.reader import Guest
    from vmio.formats.qemu_vm import CommandGuest
    from vmio.report.simulation_chart import ChartPoint
    from vmio.sim.sweep import Sweep, SweepPoint

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
@click.option("--sweep", metavar="[ID.]KEY=LOW:HIGH", help="Go through values of a parameter.")
@click.option("--jobs", type=click.IntRange(1, 1024), help="Processes of a sweep.")
@click.option("--seeds", type=int, default=5, show_default=True, help="Runs to average over.")
@click.option("--requests", type=int, default=5000, show_default=True, help="Requests of a run.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--html", metavar="FILE", help="Write a page that opens in any browser, offline.")
@storage_option
@qemu_version_option
def command(
    *,
    vm: str,
    workload: str,
    parameters: tuple[str, ...],
    policy: str | None,
    profile: str | None,
    sweep: str | None,
    jobs: int | None,
    seeds: int,
    requests: int,
    as_json: bool,
    html: str | None,
    storage: str | None,
    qemu_version: str | None,
) -> int:
    """Predict what the event loops of VM do under a load, without running it.

    Without --profile the costs are those of the default one, not of this host: compare layouts and
    parameters by it, and measure what matters with `vmio bench`.
    """
    if html is not None:
        from vmio.report.page import check_report_path

        check_report_path(Path(html))
    host = api.read_host(None, qemu_version=qemu_version)
    guest = api.load(vm, host=host, storage=storage)
    if sweep is not None:
        swept, results = api.simulate_sweep(
            guest,
            host,
            workload,
            sweep,
            parameters=parameters,
            policy=policy,
            profile=profile,
            seeds=seeds,
            requests=requests,
            workers=jobs,
        )
        points = _print_sweep(swept, results, as_json=as_json)
        if html is not None:
            from vmio.report.simulation_chart import list_chart_points

            _write_page(html, guest, list_chart_points(points), parameter=swept.parameter)
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
    else:
        from vmio.cli.console import make_console
        from vmio.report.simulation_text import print_prediction

        print_prediction(found, make_console())
    if html is not None:
        from vmio.report.simulation_chart import ChartPoint

        changes = (policy or "as it is", *parameters)
        point = ChartPoint(
            label=", ".join(changes), prediction=found, is_today=changes == ("as it is",)
        )
        _write_page(html, guest, [point], parameter="")
    return 0


def _print_sweep(
    sweep: Sweep, results: Generator[SweepPoint, None, None], *, as_json: bool
) -> list[SweepPoint]:
    from contextlib import closing

    from vmio.cli.console import make_console
    from vmio.cli.progress import ProgressLine
    from vmio.report.simulation_sweep import print_sweep, render_sweep_json

    points = []
    with ProgressLine(len(sweep.values), "simulating") as line, closing(results):
        for point in results:
            points.append(point)
            line.advance()
    if as_json:
        click.echo(render_sweep_json(sweep, points))
    else:
        print_sweep(sweep, points, make_console())
    return points


def _write_page(
    path: str, guest: Guest | CommandGuest, points: Sequence[ChartPoint], *, parameter: str
) -> None:
    from vmio.report.page import write_page
    from vmio.report.simulation_html import render_simulation_html

    name = f"{guest.vm.id} {guest.vm.name}".strip() or guest.vm.source.name
    write_page(render_simulation_html(points, guest=name, parameter=parameter), Path(path))
    click.echo(f"vmio: the page is in {path}", err=True)
