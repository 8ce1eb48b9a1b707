"""One parameter over a range."""

from __future__ import annotations

import pytest

from vmio.errors import UsageError
from vmio.model.capabilities import QemuVersion
from vmio.model.controller import Controller
from vmio.model.disk import Disk
from vmio.model.iothread import IOThread
from vmio.model.topology import AttachedDisk, Topology
from vmio.sim.profile import DEFAULT_PROFILE
from vmio.sim.sweep import (
    Grid,
    SweepPoint,
    UnbeatenPoints,
    parse_grid,
    parse_sweep,
    simulate_points,
)
from vmio.sim.workload import Workload, parse_workload
from vmio.values import replace

ONE = Topology(
    iothreads=(IOThread(id="iot0"),),
    controllers=(Controller(id="virtio0", model="virtio-blk-pci", bus="virtio", iothread="iot0"),),
    disks=(AttachedDisk(disk=Disk(id="virtio0", bus="virtio", index=0), controller="virtio0"),),
)


QD1 = parse_workload("qd=1")


def test_values_are_ends_halves_and_today() -> None:
    """A default that nobody wrote is today's value as well."""
    sweep = parse_sweep("iot0.poll_max_ns=0:1000000", ONE, QD1)
    assert sweep.parameter == "iot0.poll_max_ns"
    assert sweep.today == 32_768
    assert sweep.values == (
        0, 1953, 3906, 7812, 15_625, 31_250, 32_768, 62_500, 125_000, 250_000, 500_000, 1_000_000,
    )  # fmt: skip


def test_short_range_is_gone_through_whole() -> None:
    """A factor from 1 to 4 is four values; what is not written and not in it is none of them."""
    sweep = parse_sweep("poll_grow=1:4", ONE, QD1)
    assert (sweep.values, sweep.today) == ((1, 2, 3, 4), None)


def test_today_outside_the_range_is_not_simulated() -> None:
    """The range is what was asked for."""
    assert 32_768 not in parse_sweep("poll_max_ns=0:1000", ONE, QD1).values


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("poll_max_ns", "is not a range"),
        ("poll_max_ns=5", "is not a range"),
        ("poll_max_ns=5:5", "is not a range"),
        ("poll_max_ns=5:1", "is not a range"),
        ("poll_max_ns=-1:1", "is not a range"),
        ("poll_max_ns=0:9:0", "is not a range"),
        ("poll_max_ns=0:9:", "is not a range"),
        ("poll_max_ns=0:1000000:1", "has 1000000 points; at most 100000 are possible"),
        ("qd=0:4", "depth must be at least 1"),
        ("qd=1:2000", "depth must be at most 1024"),
        ("rate_per_s=0:5", "a rate of 0 has no requests"),
        ("iot0.qd=1:2", "'qd' is no parameter of polling"),
        ("nix=0:1", "'nix' is no parameter of polling"),
        ("nix.poll_max_ns=0:1", "there is no IOThread 'nix'"),
        ("poll_weight=0:64", "the value is from 0 to 63"),
    ],
)
def test_wrong_range_is_told_as_one(text: str, why: str) -> None:
    """The message names the option that was given."""
    with pytest.raises(UsageError, match=r"^--sweep ") as caught:
        parse_sweep(text, ONE, QD1)
    assert why in caught.value.message


def test_layout_without_iothreads_has_nothing_to_sweep() -> None:
    """The main loop never polls, so every value would come to the same."""
    with pytest.raises(UsageError, match="there is no IOThread"):
        parse_sweep("poll_max_ns=0:1", replace(ONE, iothreads=()), QD1)


def test_longer_polling_costs_more_until_it_catches_every_wait() -> None:
    """No polling is the cheapest; over every wait it takes a whole processor and is faster."""
    sweep = parse_sweep("poll_max_ns=0:1000000", ONE, QD1)
    none, today, longest = simulate_points(
        ONE,
        Grid(sweeps=(sweep,)),
        QD1,
        [(0,), (32_768,), (1_000_000,)],
        profile=DEFAULT_PROFILE,
        version=QemuVersion(10, 0, 2),
        seeds=3,
        requests=2000,
    )
    assert [point.is_today for point in (none, today, longest)] == [False, True, False]
    cpu = [point.prediction.loops[0].cpu_share for point in (none, today, longest)]
    assert cpu[0].high < cpu[1].high < cpu[2].low
    assert cpu[2].mean == pytest.approx(1, abs=0.01)
    assert longest.prediction.iops.low > none.prediction.iops.high


def test_sweep_in_parts_is_the_whole() -> None:
    """Which process simulates a value changes nothing."""
    sweep = parse_sweep("poll_max_ns=0:100000", ONE, QD1)

    def run(*values: int) -> list[object]:
        return list(
            simulate_points(
                ONE,
                Grid(sweeps=(sweep,)),
                parse_workload("qd=4"),
                [(value,) for value in values],
                profile=DEFAULT_PROFILE,
                version=QemuVersion(9, 2),
                seeds=2,
                requests=500,
            )
        )

    assert run(0, 50_000) == run(0) + run(50_000)


def test_more_loops_than_processors_are_told_of() -> None:
    """Two loops that spin on one processor cannot both have all of it."""
    two = replace(
        ONE,
        iothreads=(IOThread(id="iot0"), IOThread(id="iot1")),
        controllers=(
            *ONE.controllers,
            Controller(id="virtio1", model="virtio-blk-pci", bus="virtio", iothread="iot1"),
        ),
        disks=(
            *ONE.disks,
            AttachedDisk(disk=Disk(id="virtio1", bus="virtio", index=1), controller="virtio1"),
        ),
    )
    (point,) = simulate_points(
        two,
        parse_grid(["poll_max_ns=0:1000000"], two, QD1),
        QD1,
        [(1_000_000,)],
        profile=replace(DEFAULT_PROFILE, processors=1),
        version=QemuVersion(10, 0, 2),
        seeds=2,
        requests=500,
    )
    assert any("only 1 processor" in note for note in point.prediction.notes)


def test_steps_go_from_the_lower_end_and_today_is_among_them() -> None:
    """A third number says how far apart the values are."""
    assert parse_sweep("poll_max_ns=10000:40000:10000", ONE, QD1).values == (
        10_000, 20_000, 30_000, 32_768, 40_000,
    )  # fmt: skip


def test_load_is_swept_as_a_parameter_is() -> None:
    """Depths by halves; each point's load has a name that says all of it."""
    load = parse_workload("qd=4,work=7us,think=5us")
    grid = parse_grid(["qd=1:64"], ONE, load)
    assert grid.sweeps[0].values == (1, 2, 4, 8, 16, 32, 64)
    points = run_grid(grid, load)
    assert [point.prediction.workload for point in points][:2] == [
        "qd=1,work=7us,think=5us", "qd=2,work=7us,think=5us",
    ]  # fmt: skip
    assert [point.value for point in points if point.is_today] == [4]
    assert points[-1].prediction.iops.low > points[0].prediction.iops.high


def test_batch_is_swept_with_a_depth_that_holds_it() -> None:
    """It is in the load's name where it is more than one request."""
    grid = parse_grid(["qd=2:3", "batch=1:2"], ONE, QD1)
    assert [point.prediction.workload for point in run_grid(grid, QD1)] == [
        "qd=2", "qd=2,batch=2", "qd=3", "qd=3,batch=2",
    ]  # fmt: skip


def test_think_time_of_none_is_a_value_of_today() -> None:
    """A rate that nobody asked for is not."""
    assert parse_sweep("think_ns=0:4", ONE, QD1).today == 0
    assert parse_sweep("rate_per_s=1:4", ONE, QD1).today is None


def test_grid_is_every_combination() -> None:
    """The last sweep changes fastest, and today's point is where all values are today's."""
    grid = parse_grid(["poll_max_ns=32768:32769", "qd=1:3"], ONE, QD1)
    points = run_grid(grid, QD1)
    assert [point.values for point in points] == [
        (32_768, 1), (32_768, 2), (32_768, 3), (32_769, 1), (32_769, 2), (32_769, 3),
    ]  # fmt: skip
    assert grid.size == len(points)
    assert [point.values for point in points if point.is_today] == [(32_768, 1)]
    (alone,) = run_grid(parse_grid(["qd=3:4"], ONE, QD1), QD1, points=[(3,)])
    (same,) = run_grid(parse_grid(["qd=3:4", "poll_grow=0:1"], ONE, QD1), QD1, points=[(3, 0)])
    assert alone.prediction == same.prediction


@pytest.mark.parametrize(
    ("texts", "load", "why"),
    [
        (("poll_grow=0:1", "poll_grow=1:2"), "qd=1", "sets what --sweep 'poll_grow' does"),
        (("poll_grow=0:1", "iot0.poll_grow=1:2"), "qd=1", "sets what --sweep 'poll_grow' does"),
        (("qd=1:2", "qd=1:4"), "qd=1", "sets what --sweep 'qd' does"),
        (("qd=1:2", "rate_per_s=1:4"), "qd=1", "a rate cannot be combined with another load"),
        (("qd=1:4",), "qd=4,batch=2", "a batch cannot have more than qd requests"),
        (("qd=1:4", "batch=1:2"), "qd=1", "a batch cannot have more than qd requests"),
        (("rate_per_s=1:4",), "qd=8", "cannot be combined with --workload 'qd=8'"),
        (("qd=1:4",), "rate=8", "cannot be combined with --workload 'rate=8'"),
        (
            ("poll_max_ns=0:99999:100", "qd=1:512:4"),
            "qd=1",
            "has 128128 points; at most 100000 are possible",
        ),
    ],
)
def test_grid_that_cannot_be_is_told_as_one(texts: tuple[str, ...], load: str, why: str) -> None:
    """In one line that names the sweeps."""
    with pytest.raises(UsageError, match=r"^--sweep") as caught:
        parse_grid(texts, ONE, parse_workload(load))
    assert why in caught.value.message


def test_shortlist_is_what_nothing_else_beats() -> None:
    """Of each load apart, the fastest first; of equals the first, of ranges the worse end."""
    grid = parse_grid(["poll_max_ns=0:1000000", "qd=1:2"], ONE, QD1)
    points = run_grid(grid, QD1)
    shortlist = UnbeatenPoints()
    for point in (*points, *points):
        shortlist.add(point)
    kept = shortlist.list_points()

    def weigh(point: SweepPoint) -> tuple[float, float]:
        found = point.prediction
        figures = (found.latency_mean_ns, found.cpu_share)
        latency_ns, share = (each.high if found.bistable else each.mean for each in figures)
        return float(f"{latency_ns:.3g}"), float(f"{share:.3g}")

    for load in ("qd=1", "qd=2"):
        mine = [weigh(point) for point in kept if point.prediction.workload == load]
        every = {weigh(point) for point in points if point.prediction.workload == load}
        assert mine == sorted(
            one
            for one in every
            if not any(
                other != one and other[0] <= one[0] and other[1] <= one[1] for other in every
            )
        )
    assert 2 < len(kept) < len(points)


def run_grid(
    grid: Grid, load: Workload, *, points: list[tuple[int, ...]] | None = None
) -> list[SweepPoint]:
    """Simulates a grid, or some of its points, in short runs."""
    return simulate_points(
        ONE,
        grid,
        load,
        points or grid.list_points(),
        profile=DEFAULT_PROFILE,
        version=QemuVersion(10, 0, 2),
        seeds=2,
        requests=500,
    )
