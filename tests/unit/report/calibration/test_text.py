"""A calibration told: loads of an IOThread and of the main loop, which has no polling."""

from __future__ import annotations

import io
import json

from rich.console import Console

from vmio.bench.calibrate import Calibration
from vmio.model.capabilities import QemuVersion
from vmio.model.controller import Controller
from vmio.model.disk import Disk
from vmio.model.iothread import IOThread
from vmio.model.topology import AttachedDisk, Topology
from vmio.report.calibration.text import print_calibration, render_calibration_json
from vmio.sim.fitting import Observation, compare_observations
from vmio.sim.profile import DEFAULT_PROFILE
from vmio.sim.workload import parse_workload


def observe(iothreads: tuple[IOThread, ...]) -> Observation:
    """Returns what a disk on these did, or on the main loop without any."""
    served_by = iothreads[0].id if iothreads else None
    return Observation(
        topology=Topology(
            iothreads=iothreads,
            controllers=(
                Controller(id="virtio0", model="virtio-blk-pci", bus="virtio", iothread=served_by),
            ),
            disks=(
                AttachedDisk(disk=Disk(id="virtio0", bus="virtio", index=0), controller="virtio0"),
            ),
        ),
        workload=parse_workload("qd=2"),
        iops=5_000.0,
        latency_mean_ns=400_000.0,
        loop_cpu_share=0.25,
        irq_cpu_share=0.0,
        interrupts=1.0,
        interrupted=0.0,
    )


def calibrate() -> Calibration:
    """Returns a calibration with a load of either kind."""
    observations = (observe((IOThread(id="iot0", poll_max_ns=65_536),)), observe(()))
    found = compare_observations(observations, DEFAULT_PROFILE, QemuVersion(10, 0, 2))
    return Calibration(profile=DEFAULT_PROFILE, residuals=found)


def test_load_of_the_main_loop_is_told_apart() -> None:
    """It stands where an IOThread's polling does."""
    console = Console(file=io.StringIO(), width=100)
    print_calibration(calibrate(), console)
    assert isinstance(console.file, io.StringIO)
    lines = [line for line in console.file.getvalue().splitlines() if "qd=2" in line]
    assert [("65536" in line, "main loop" in line) for line in lines] == [
        (True, False),
        (False, True),
    ]


def test_load_of_the_main_loop_has_no_polling_in_json() -> None:
    """Who reads it finds no number there."""
    loads = json.loads(render_calibration_json(calibrate()))["loads"]
    assert [load["poll_max_ns"] for load in loads] == [65_536, None]
    assert all(load["iops"] == 5_000 and load["cpu_share"] == 0.25 for load in loads)
