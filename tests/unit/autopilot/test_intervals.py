"""What is told of two looks at a guest: recorded ones, and layouts made by hand."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

from vmio.autopilot.intervals import Loops, find_loops, find_setting, measure_interval
from vmio.autopilot.steer import begin, steer
from vmio.autopilot.values import Interval, PollingGoal
from vmio.model.controller import Controller
from vmio.model.disk import Disk
from vmio.model.iothread import IOThread, VirtqueueMapping
from vmio.model.topology import AttachedDisk, Topology
from vmio.observe.sample import Sample
from vmio.values import replace

DATA = Path(__file__).parents[2] / "data" / "situations" / "recorded.json"
IO0 = Loops(iothreads=("io0",), disks=("vd0",))


@cache
def read_situations() -> dict[str, Any]:
    """Returns the recorded samples, as JSON."""
    found: dict[str, Any] = json.loads(DATA.read_bytes())["situations"]
    return found


def read_samples(name: str, poll_max_ns: int = 32_768) -> tuple[Sample, ...]:
    """Returns the samples of a situation, in which IOThreads have this setting."""
    found = msgspec.convert(read_situations()[name], tuple[Sample, ...])
    return tuple(
        replace(
            each,
            iothreads=tuple(replace(known, poll_max_ns=poll_max_ns) for known in each.iothreads),
        )
        for each in found
    )


def read_interval(name: str, poll_max_ns: int, *, at: int = 0, loops: Loops = IO0) -> Interval:
    """Returns an interval of a situation."""
    samples = read_samples(name, poll_max_ns)
    found = measure_interval(samples[at], samples[at + 1], loops)
    assert found is not None
    return found


def test_recorded_guest_that_polls_in_vain_gets_the_default() -> None:
    """From 1 ms: the same 200 requests per second took a quarter of the processor time."""
    goal = PollingGoal(floor_ns=32_768, ceiling_ns=32_768)
    own_ns = 1_000_000
    state, decision = steer(goal, begin(own_ns), read_interval("polling-wasted", own_ns))
    assert (decision.kind, decision.poll_max_ns) == ("measure", own_ns)
    state, decision = steer(goal, state, read_interval("polling-wasted", own_ns))
    assert (decision.kind, decision.poll_max_ns) == ("try", 32_768)
    state, decision = steer(goal, state, read_interval("polling-default", 32_768))
    assert (decision.kind, decision.poll_max_ns) == ("compare", own_ns)
    state, decision = steer(goal, state, read_interval("polling-wasted", own_ns, at=1))
    assert (decision.kind, decision.poll_max_ns) == ("settle", 32_768)
    assert decision.cpu_ratio == pytest.approx(0.28, abs=0.02)
    assert decision.latency_ratio == pytest.approx(0.91, abs=0.02)


@pytest.mark.parametrize(
    ("situation", "loops", "kind"),
    [
        ("idle", IO0, "idle"),
        ("processors-taken", IO0, "contended"),
        ("polling-pays", IO0, "contended"),
        ("limit-binds", Loops(iothreads=("io1",), disks=("vd1",)), "limited"),
        ("limit-far", Loops(iothreads=("io1",), disks=("vd1",)), "try"),
        ("storage-slow", Loops(iothreads=("io2",), disks=("vd2",)), "try"),
    ],
)
def test_recorded_guest_is_left_alone_where_nothing_shows(
    situation: str, loops: Loops, kind: str
) -> None:
    """Without a load, without processors and at a limit."""
    interval = read_interval(situation, 32_768, loops=loops)
    state, _ = steer(PollingGoal(), begin(32_768), interval)
    _, decision = steer(PollingGoal(), state, interval)
    assert decision.kind == kind
    assert (decision.poll_max_ns == 32_768) is (kind != "try")


def test_interval_has_the_figures_of_the_loops_own_disks() -> None:
    """Those of 2.5 s of 200 requests per second."""
    found = read_interval("polling-default", 32_768)
    assert (found.requests, found.poll_max_ns, found.is_limited) == (514, 32_768, False)
    assert found.load.requests_per_s == pytest.approx(200, abs=1)
    assert found.load.depth == pytest.approx(found.load.requests_per_s * 196e-6, rel=0.01)
    assert found.cpu_per_request_ns == pytest.approx(169e3, rel=0.01)
    assert found.cpu_share == pytest.approx(found.load.requests_per_s * 169e-6, rel=0.01)
    assert found.run_delay_share == pytest.approx(0.016, abs=0.001)


def test_interval_without_all_figures_is_none() -> None:
    """A monitor in use, an IOThread or a disk that has gone, another order, unlike settings."""
    first, second, _ = read_samples("polling-default")
    unlike = tuple(
        replace(each, poll_max_ns=number) for number, each in enumerate(second.iothreads)
    )
    for before, after, loops in (
        (first, replace(second, disks=(), iothreads=()), IO0),
        (replace(first, disks=()), second, IO0),
        (second, first, IO0),
        (first, replace(second, disks=second.disks[1:]), IO0),
        (first, replace(second, threads=second.threads[:1]), IO0),
        (first, second, Loops(iothreads=("io9",), disks=("vd0",))),
        (first, second, Loops(iothreads=("io0",), disks=("vd9",))),
        (
            first,
            replace(second, iothreads=unlike),
            Loops(iothreads=("io0", "io1"), disks=("vd0",)),
        ),
    ):
        assert measure_interval(before, after, loops) is None


def make_layout(*mappings: tuple[str, ...]) -> Topology:
    """Returns a layout with a disk for each mapping to IOThreads; the main loop without any."""
    disks = [Disk(id=f"d{number}", bus="virtio", index=number) for number in range(len(mappings))]
    return Topology(
        iothreads=tuple(IOThread(id=f"io{number}", poll_max_ns=7) for number in range(4)),
        controllers=tuple(
            Controller(
                id=disk.id,
                model="virtio-blk-pci",
                bus="virtio",
                num_queues=4,
                iothread_vq_mapping=tuple(VirtqueueMapping(iothread=each) for each in names),
            )
            for disk, names in zip(disks, mappings, strict=True)
        ),
        disks=tuple(AttachedDisk(disk=each, controller=each.id) for each in disks),
        vcpus=4,
    )


def test_iothreads_that_share_disks_are_together() -> None:
    """By whatever chain of disks; one without a disk, and the main loop, are left out."""
    layout = make_layout(("io0", "io1"), ("io3",), (), ("io2", "io1"))
    assert find_loops(layout) == (
        Loops(iothreads=("io3",), disks=("d1",)),
        Loops(iothreads=("io0", "io1", "io2"), disks=("d0", "d3")),
    )


def test_setting_of_loops_is_the_one_that_they_all_have() -> None:
    """None where they differ, and where QEMU did not tell."""
    sample = Sample(
        monotonic_ns=1,
        wall_ns=1,
        threads=(),
        iothreads=(IOThread(id="a", poll_max_ns=5), IOThread(id="b", poll_max_ns=5)),
    )
    both = Loops(iothreads=("a", "b"), disks=("d",))
    assert find_setting(sample, both) == 5
    assert find_setting(sample, Loops(iothreads=("a", "c"), disks=("d",))) is None
    unlike = replace(sample, iothreads=(*sample.iothreads[:1], IOThread(id="b", poll_max_ns=6)))
    assert find_setting(unlike, both) is None
