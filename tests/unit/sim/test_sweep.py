"""One parameter over a range."""

from __future__ import annotations

import pytest
from attrs import evolve

from vmio.errors import UsageError
from vmio.model.capabilities import QemuVersion
from vmio.model.controller import Controller
from vmio.model.disk import Disk
from vmio.model.iothread import IOThread
from vmio.model.topology import AttachedDisk, Topology
from vmio.sim.profile import DEFAULT_PROFILE
from vmio.sim.sweep import parse_sweep, simulate_values
from vmio.sim.workload import parse_workload

ONE = Topology(
    iothreads=(IOThread(id="iot0"),),
    controllers=(Controller(id="virtio0", model="virtio-blk-pci", bus="virtio", iothread="iot0"),),
    disks=(AttachedDisk(disk=Disk(id="virtio0", bus="virtio", index=0), controller="virtio0"),),
)


def test_values_are_ends_halves_and_today() -> None:
    """A default that nobody wrote is today's value as well."""
    sweep = parse_sweep("iot0.poll_max_ns=0:1000000", ONE)
    assert sweep.parameter == "iot0.poll_max_ns"
    assert sweep.today == 32_768
    assert sweep.values == (
        0, 1953, 3906, 7812, 15_625, 31_250, 32_768, 62_500, 125_000, 250_000, 500_000, 1_000_000,
    )  # fmt: skip


def test_short_range_is_gone_through_whole() -> None:
    """A factor from 1 to 4 is four values; what is not written and not in it is none of them."""
    sweep = parse_sweep("poll_grow=1:4", ONE)
    assert (sweep.values, sweep.today) == ((1, 2, 3, 4), None)


def test_today_outside_the_range_is_not_simulated() -> None:
    """The range is what was asked for."""
    assert 32_768 not in parse_sweep("poll_max_ns=0:1000", ONE).values


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("poll_max_ns", "is no range"),
        ("poll_max_ns=5", "is no range"),
        ("poll_max_ns=5:5", "is no range"),
        ("poll_max_ns=5:1", "is no range"),
        ("poll_max_ns=-1:1", "is no range"),
        ("nix=0:1", "'nix' is no parameter of polling"),
        ("nix.poll_max_ns=0:1", "there is no IOThread 'nix'"),
        ("poll_weight=0:64", "the value is from 0 to 63"),
    ],
)
def test_wrong_range_is_told_as_one(text: str, why: str) -> None:
    """The message names the option that was given."""
    with pytest.raises(UsageError, match=r"^--sweep ") as caught:
        parse_sweep(text, ONE)
    assert why in caught.value.message


def test_layout_without_iothreads_has_nothing_to_sweep() -> None:
    """The main loop never polls, so every value would come to the same."""
    with pytest.raises(UsageError, match="there is no IOThread"):
        parse_sweep("poll_max_ns=0:1", evolve(ONE, iothreads=()))


def test_longer_polling_costs_more_until_it_catches_every_wait() -> None:
    """No polling is the cheapest; over every wait it takes a whole processor and is faster."""
    sweep = parse_sweep("poll_max_ns=0:1000000", ONE)
    none, today, longest = simulate_values(
        ONE,
        sweep,
        parse_workload("qd=1"),
        (0, 32_768, 1_000_000),
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
    sweep = parse_sweep("poll_max_ns=0:100000", ONE)

    def run(*values: int) -> list[object]:
        return list(
            simulate_values(
                ONE,
                sweep,
                parse_workload("qd=4"),
                values,
                profile=DEFAULT_PROFILE,
                version=QemuVersion(9, 2),
                seeds=2,
                requests=500,
            )
        )

    assert run(0, 50_000) == run(0) + run(50_000)


def test_more_loops_than_processors_are_told_of() -> None:
    """Two loops that spin on one processor cannot both have all of it."""
    two = evolve(
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
    (point,) = simulate_values(
        two,
        parse_sweep("poll_max_ns=0:1000000", two),
        parse_workload("qd=1"),
        (1_000_000,),
        profile=evolve(DEFAULT_PROFILE, processors=1),
        version=QemuVersion(10, 0, 2),
        seeds=2,
        requests=500,
    )
    assert any("only 1 processor" in note for note in point.prediction.notes)
