"""`vmio calibrate`: measures the cost of each step on this host."""

from __future__ import annotations

from typing import Literal

import click

from vmio import app
from vmio.cli.options import accel_option
from vmio.cli.terminal import say
from vmio.errors import UsageError
from vmio.model.disk import AioEngine

__all__ = ["command"]


@click.command("calibrate")
@click.option(
    "-o", "--output", metavar="FILE", help="Write the profile to FILE, not to vmio's own place."
)
@click.option(
    "--folder", metavar="DIR", help="Where to create the scratch files: on the storage to measure."
)
@click.option(
    "--aio",
    type=click.Choice(["io_uring", "native", "threads"]),
    default="io_uring",
    show_default=True,
    help="The aio engine of the measured disks.",
)
@accel_option
@click.option("--force", is_flag=True, help="Replace FILE if it exists.")
@click.option("--even-if-busy", is_flag=True, help="Measure even if other work runs on this host.")
@click.option("--json", "as_json", is_flag=True, help="Print the costs and the check as JSON.")
def command(
    *,
    output: str | None,
    folder: str | None,
    aio: AioEngine,
    accel: Literal["auto", "kvm", "tcg"],
    force: bool,
    even_if_busy: bool,
    as_json: bool,
) -> None:
    """Measure the costs that vmio simulate uses, on this host, its storage and a guest.

    Boots vmio's own small guest with two scratch disks of 256 MiB, on an IOThread and on the main
    loop, and measures it under sixteen loads, in less than two minutes. No volume of yours is
    opened. The profile is saved where `vmio simulate` finds it.
    """
    from pathlib import Path

    from vmio.cli.guest import choose_image_boot, ensure_image, show_progress

    if force and output is None:
        raise UsageError(
            "--force requires --output FILE",
            hint="--even-if-busy measures a host that others use",
        )
    path = Path(output) if output is not None else None
    if path is not None:
        app.check_profile_path(path, force=force)
    if folder is not None and not app.is_folder(folder):
        raise UsageError(f"--folder {folder}: the folder does not exist")
    app.check_idle(force=even_if_busy)
    image = ensure_image({"virtio-blk-pci"})
    how, _ = choose_image_boot(image, accel)
    with show_progress() as report:
        found = app.run_async(
            app.calibrate(
                how,
                aio=aio,
                folder=Path(folder) if folder is not None else None,
                even_if_busy=even_if_busy,
                report=report,
            )
        )
    kept = app.save_profile(found.profile, path)
    if as_json:
        from vmio.report.calibration.json import render_calibration_json

        click.echo(render_calibration_json(found))
    else:
        from vmio.cli.console import make_console
        from vmio.report.calibration.text import print_calibration

        print_calibration(found, make_console())
    say(f"wrote {kept}")
