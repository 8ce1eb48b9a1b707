"""Predictions, against queues that are worked out by hand and what was seen of a real guest."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vmio.errors import CapabilityError, PlanError, UsageError, VmioError
from vmio.model.capabilities import QemuVersion
from vmio.model.controller import Controller
from vmio.model.disk import Backing, Disk
from vmio.model.iothread import MAIN_LOOP, IOThread, VirtqueueMapping
from vmio.model.topology import AttachedDisk, Topology
from vmio.sim import events, kernel
from vmio.sim.costs import Costs
from vmio.sim.profile import DEFAULT_PROFILE, Profile, ServiceTimes
from vmio.sim.records import SimulationState
from vmio.sim.simulator import Prediction, pays_to_compile, predict, prepare, set_parameters
from vmio.sim.workload import Workload, parse_workload
from vmio.values import replace

QEMU_10 = QemuVersion(10, 0, 2)
NOTHING = Costs(**dict.fromkeys(Costs.__struct_fields__, 0))
FREE = Profile(
    name="one that costs nothing but service",
    is_this_host=True,
    costs=replace(NOTHING, guest_irq_ns=50_000),
    service=(ServiceTimes(depth=1, quantiles_ns=(50_000, 50_000)),),
    processors=64,
)


def make_topology(
    *served_by: str, model: str = "virtio-blk-pci", poll_max_ns: int = 0
) -> Topology:
    """Returns a layout with a disk for each name of an IOThread; empty for the main loop."""
    disks = [Disk(id=f"virtio{at}", bus="virtio", index=at) for at in range(len(served_by))]
    return Topology(
        iothreads=tuple(
            IOThread(id=name, poll_max_ns=poll_max_ns) for name in dict.fromkeys(served_by) if name
        ),
        controllers=tuple(
            Controller(id=disk.id, model=model, bus="virtio", iothread=name or None)
            for disk, name in zip(disks, served_by, strict=True)
        ),
        disks=tuple(AttachedDisk(disk=disk, controller=disk.id) for disk in disks),
        vcpus=4,
    )


def run(
    topology: Topology,
    load: str = "qd=1",
    *,
    profile: Profile = DEFAULT_PROFILE,
    version: QemuVersion = QEMU_10,
    requests: int = 2_000,
) -> Prediction:
    """Returns a prediction from few requests."""
    return predict(
        topology,
        parse_workload(load),
        profile=profile,
        version=version,
        seeds=3,
        requests=requests,
    )


def test_costless_loop_serves_as_fast_as_its_disk() -> None:
    """A disk of 50 µs and a guest of 50 µs make 10,000 requests a second; with a pause, 5,000."""
    assert run(make_topology("a"), profile=FREE).iops.mean == pytest.approx(10_000, rel=0.001)
    for pause, busy in (("think=100us", 0.25), ("work=100us", 0.75)):
        paused = run(make_topology("a"), f"qd=1,{pause}", profile=FREE)
        assert paused.iops.mean == pytest.approx(5_000, rel=0.001)
        assert paused.latency_mean_ns.mean == pytest.approx(100_000, rel=0.001)
        assert paused.vcpu_share.mean == pytest.approx(busy, rel=0.001)


def test_open_loop_uses_its_processor_by_rate_and_cost() -> None:
    """Dispatch of 100 µs at 5,000 a second is half a processor; at 50 a second nothing waits."""
    costs = replace(NOTHING, queue_request_ns=100_000)
    profile = replace(FREE, costs=costs)
    half = run(make_topology("a"), "rate=5000", profile=profile, requests=40_000)
    assert half.iops.mean == pytest.approx(5_000, rel=0.03)
    assert half.cpu_share.mean == pytest.approx(0.5, abs=0.02)
    few = run(make_topology("a"), "rate=50", profile=profile)
    assert few.latency_mean_ns.mean == pytest.approx(150_000, rel=0.02)
    assert half.latency_mean_ns.low > few.latency_mean_ns.high


def test_maximum_about_the_usual_wait_is_told_as_a_range() -> None:
    """At 32768 depth 1 used 0.23 of a processor and depth 4 0.46; the ranges hold them."""
    layout = replace(make_topology("a", poll_max_ns=32_768), vcpus=1)
    for load, cpu in (("qd=1", 0.23), ("qd=4", 0.46)):
        found = run(layout, load, requests=4_000)
        assert found.bistable
        assert found.loops[0].cpu_share.low < cpu < found.loops[0].cpu_share.high


def test_main_loop_never_polls() -> None:
    """Without an IOThread there is nothing to poll with, so each request sleeps twice."""
    found = run(make_topology(""))
    assert [loop.id for loop in found.loops] == [MAIN_LOOP]
    assert found.loops[0].polled_share.high == 0
    assert not found.bistable


def test_virtio_scsi_does_not_poll_before_10_0() -> None:
    """The event queue cannot be polled there, and this is said."""
    layout = make_topology("a", model="virtio-scsi-pci", poll_max_ns=1_000_000)
    old, new = run(layout, version=QemuVersion(9, 2)), run(layout)
    assert old.loops[0].polled_share.high == 0
    assert any("before QEMU 10.0" in note for note in old.notes)
    assert new.loops[0].polled_share.low > 0.9


def test_socket_keeps_a_loop_from_polling_before_10_2() -> None:
    """A disk over iSCSI has a handler that cannot be polled, and this is said."""
    layout = make_topology("a", poll_max_ns=1_000_000)
    attached = layout.disks[0]
    backing = Backing(filename="iscsi://host/target/1", format="raw", driver="iscsi")
    disk = replace(attached, disk=replace(attached.disk, backing=backing))
    layout = replace(layout, disks=(disk,))
    old, new = run(layout), run(layout, version=QemuVersion(10, 2))
    assert old.loops[0].polled_share.high == 0
    assert any("iscsi" in note for note in old.notes)
    assert new.loops[0].polled_share.low > 0.5


def test_weight_that_qemu_does_not_have_is_told() -> None:
    """It changes nothing before 11.1, and is no surprise there."""
    layout = set_parameters(make_topology("a"), ["poll_weight=5"])
    assert any("poll_weight" in note for note in run(layout).notes)
    assert not run(layout, version=QemuVersion(11, 1)).notes


@pytest.mark.parametrize(("asked", "limit"), [(0, 32), (1, 1), (128, 128), (2**40, 1024)])
def test_submission_takes_no_more_than_linux_aio_holds(asked: int, limit: int) -> None:
    """`aio-max-batch` is a loop's, 0 is its default, and the main loop has the default."""
    layout = set_parameters(make_topology("a", ""), [f"a.aio_max_batch={asked}"])
    assert prepare(layout, parse_workload("qd=1"), QEMU_10).batches == (limit, 32)


def test_jobs_spread_over_mapped_queues() -> None:
    """Two jobs on a disk of two IOThreads keep both of them busy."""
    layout = make_topology("a", "b")
    mapped = replace(
        layout.controllers[0],
        iothread=None,
        iothread_vq_mapping=(VirtqueueMapping(iothread="a"), VirtqueueMapping(iothread="b")),
    )
    one_disk = replace(layout, controllers=(mapped,), disks=layout.disks[:1])
    assert [loop.id for loop in run(one_disk, "qd=4,jobs=2").loops] == ["a", "b"]
    assert [loop.id for loop in run(one_disk, "qd=4").loops] == ["a"]


def test_own_threads_serve_no_fewer_requests_than_a_shared_one() -> None:
    """Where there are processors enough."""
    costs = replace(NOTHING, queue_request_ns=20_000, done_request_ns=10_000)
    profile = replace(DEFAULT_PROFILE, processors=16, costs=costs)
    shared = run(make_topology("a", "a", "a"), "qd=8", profile=profile)
    apart = run(make_topology("a", "b", "c"), "qd=8", profile=profile)
    assert apart.iops.low > 1.5 * shared.iops.high


def test_form_that_is_compiled_already_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """However few the requests: it is many times as fast, and there is nothing to wait for."""
    ran: list[SimulationState] = []

    def run_here(world: SimulationState) -> None:
        ran.append(world)
        events.run(world)

    monkeypatch.setattr(kernel, "is_compiled", lambda: True)
    monkeypatch.setattr(kernel, "run", run_here)
    assert run(make_topology("a"), requests=100).iops.mean > 0
    assert ran


@settings(max_examples=15, deadline=None)
@given(
    st.sampled_from([QemuVersion(8, 0), QEMU_10, QemuVersion(11, 1)]),
    st.sampled_from([0, 1, 20_000, 100_000, 2**63 - 1]),
    st.sampled_from(["qd=1", "qd=4,think=50us", "rate=2000", "qd=2,jobs=3"]),
    st.lists(st.sampled_from(["", "a", "b"]), min_size=1, max_size=3),
)
def test_same_question_gets_the_same_answer(
    version: QemuVersion, poll_max_ns: int, load: str, served_by: list[str]
) -> None:
    """And every figure is within what is possible."""
    layout = make_topology(*served_by, poll_max_ns=poll_max_ns)
    found = run(layout, load, version=version, requests=300)
    assert found == run(layout, load, version=version, requests=300)
    assert 0 < found.latency_p50_ns.mean <= found.latency_p95_ns.mean
    assert found.latency_p95_ns.mean <= found.latency_p99_ns.mean
    assert all(loop.polled_share.mean <= 1 for loop in found.loops)
    for loop in found.loops:
        assert loop.polling_share.low >= 0
        assert loop.work_share.low >= 0
        parts = loop.polling_share.mean + loop.work_share.mean
        assert parts == pytest.approx(loop.cpu_share.mean)


@pytest.mark.parametrize(
    "text",
    ["", "qd=0", "qd=1025", "qd=1,qd=2", "jobs=0", "rate=0", "rate=5,qd=1", "think=100", "x=1",
     "work=100", "4k-randwrite-qd1", "qd=-1", "qd=1us"],
)  # fmt: skip
def test_impossible_workload_is_refused(text: str) -> None:
    """In one line that names the option."""
    with pytest.raises(UsageError, match=r"^--workload [^\n]*$"):
        parse_workload(text)


def test_workload_is_read() -> None:
    """By name, and by what it consists of."""
    assert parse_workload("4k-randread-qd32").depth == 32
    assert parse_workload("qd=2,jobs=3,work=5us,think=10us") == Workload(
        name="qd=2,jobs=3,work=5us,think=10us", depth=2, jobs=3, work_ns=5_000, think_ns=10_000
    )
    assert parse_workload("rate=5000").rate_per_s == 5000


@given(st.text(max_size=40))
def test_any_text_is_a_workload_or_refused(text: str) -> None:
    """Nothing else is raised."""
    try:
        parse_workload(text)
    except UsageError as error:
        assert error.hint  # noqa: PT017 - most texts are refused, and some are not


@pytest.mark.parametrize(
    "text", ["b.poll_max_ns=0", "a.poll_mix=0", "a.poll_max_ns=-1", "a.poll_weight=64", "a", ""]
)
def test_wrong_parameter_is_refused(text: str) -> None:
    """An IOThread that is not there, a parameter that is none, a value out of range."""
    with pytest.raises(UsageError, match=r"^--set "):
        set_parameters(make_topology("a"), [text])


def test_parameter_is_set_on_one_or_all() -> None:
    """With an IOThread's name before it, or without."""
    layout = make_topology("a", "b", poll_max_ns=7)
    one, every = (set_parameters(layout, [text]) for text in ("a.poll_max_ns=9", "poll_grow=3"))
    assert [each.poll_max_ns for each in one.iothreads] == [9, 7]
    assert [each.poll_grow for each in every.iothreads] == [3, 3]


@pytest.mark.parametrize(
    ("layout", "version", "kind"),
    [
        (make_topology(), QEMU_10, PlanError),
        (make_topology("a"), QemuVersion(6, 0), CapabilityError),
    ],
)
def test_what_cannot_be_simulated_is_refused(
    layout: Topology, version: QemuVersion, kind: type[VmioError]
) -> None:
    """No disk, or a QEMU that is not known."""
    with pytest.raises(kind):
        run(layout, version=version)


def test_more_than_can_be_done_is_told_of() -> None:
    """An open loop that asks for more has no latency; one that asks for less has no such note."""
    much, little = (run(make_topology("a", "b"), f"rate={rate}") for rate in (1_000_000, 1_000))
    assert any("more than it can do" in note for note in much.notes)
    assert little.iops.mean == pytest.approx(2_000, rel=0.1)
    assert not any("more than it can do" in note for note in little.notes)


def test_compiled_form_is_used_sooner_where_it_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """To read it takes a small part of what compiling takes."""
    pytest.importorskip("numba")
    monkeypatch.setattr(kernel, "_is_there", False)
    assert [pays_to_compile(count) for count in (50_000, 600_000, 2_000_000)] == [
        False,
        False,
        True,
    ]
    monkeypatch.setattr(kernel, "_is_there", True)
    assert [pays_to_compile(count) for count in (50_000, 600_000, 2_000_000)] == [
        False,
        True,
        True,
    ]
