"""A calibration told: loads of an IOThread and of the main loop, which has no polling."""

from __future__ import annotations

import io
import json

from rich.console import Console

from vmio.bench.calibrate import Calibration
from vmio.report.calibration.json import render_calibration_json
from vmio.report.calibration.text import print_calibration


def test_load_of_the_main_loop_is_told_apart(calibration: Calibration) -> None:
    """It stands where an IOThread's polling does."""
    console = Console(file=io.StringIO(), width=100)
    print_calibration(calibration, console)
    assert isinstance(console.file, io.StringIO)
    lines = [line for line in console.file.getvalue().splitlines() if "qd=2" in line]
    assert [("65536" in line, "main loop" in line) for line in lines] == [
        (True, False),
        (False, True),
    ]


def test_load_of_the_main_loop_has_no_polling_in_json(calibration: Calibration) -> None:
    """Who reads it finds no number there."""
    loads = json.loads(render_calibration_json(calibration))["data"]["loads"]
    assert [load["poll_max_ns"] for load in loads] == [65_536, None]
    assert all(load["iops"] == 5_000 and load["cpu_share"] == 0.25 for load in loads)
