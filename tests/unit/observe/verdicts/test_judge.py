"""Verdicts of windows with chosen figures; test_situations.py has recorded ones."""

from __future__ import annotations

import pytest

from vmio.model.controller import Controller
from vmio.model.disk import Disk
from vmio.model.iothread import MAIN_LOOP, IOThread, VirtqueueMapping
from vmio.model.plan import Change
from vmio.model.topology import AttachedDisk, Topology
from vmio.model.version import QemuVersion
from vmio.observe.rates import DiskRates, OperationRates, Rates, ThreadRates
from vmio.observe.sample import DiskSample, Limits, Role, Sample
from vmio.observe.verdicts.decide import State, decide
from vmio.observe.verdicts.judge import judge
from vmio.observe.verdicts.values import GUEST, IoPressure, Verdict, Window, make_window
from vmio.values import replace


def attach(name: str, controller: str | None = None) -> AttachedDisk:
    """Returns a disk in its place."""
    disk = Disk(id=name, bus="virtio", index=int(name[-1]))
    return AttachedDisk(disk=disk, controller=controller or name, cache="none", aio="native")


LAYOUT = Topology(
    iothreads=(IOThread(id="io0"), IOThread(id="io1")),
    controllers=(
        Controller(id="vd0", model="virtio-blk-pci", bus="virtio", iothread="io0", num_queues=4),
        Controller(id="vd1", model="virtio-blk-pci", bus="virtio", iothread="io1", num_queues=4),
        Controller(id="vd2", model="virtio-blk-pci", bus="virtio", num_queues=4),
        Controller(id="ide", model="piix3-ide", bus="ide"),
    ),
    disks=(attach("vd0"), attach("vd1"), attach("vd2"), attach("hd3", "ide")),
    vcpus=4,
)
"""Two disks with an IOThread each, one in the main loop, and one that can have none."""


def use(
    name: str, cpu: float, *, user: float | None = 0.2, delay: float | None = 0.0
) -> ThreadRates:
    """Returns the rates of a thread, whose name says its role."""
    role: Role = "iothread"
    if name == MAIN_LOOP:
        role = "main loop"
    elif name.startswith("vCPU"):
        role = "vcpu"
    return ThreadRates(
        thread_id=1,
        name=name,
        role=role,
        cpu_share=cpu,
        user_share=user,
        run_delay_share=delay,
        voluntary_switches_per_s=None,
        involuntary_switches_per_s=None,
    )


def do(
    name: str, per_s: float, *, latency_ns: float = 100_000, limits: Limits | None = None
) -> DiskRates:
    """Returns the rates of a disk that reads, over five seconds."""
    idle = OperationRates(count=0, operations_per_s=0.0, depth_mean=0.0)
    return DiskRates(
        id=name,
        reads=OperationRates(
            count=int(per_s * 5),
            operations_per_s=per_s,
            latency_mean_ns=latency_ns,
            depth_mean=per_s * latency_ns / 1e9,
        ),
        writes=idle,
        flushes=idle,
        unmaps=OperationRates(),
        limits=limits,
        binding=("iops",) if limits is not None else None,
        in_flight=0,
    )


def make(
    *rates: ThreadRates | DiskRates, poll_max_ns: int = 32768, duration_s: float = 5.0
) -> Window:
    """Returns a window with rates."""
    loops = tuple(replace(each, poll_max_ns=poll_max_ns) for each in LAYOUT.iothreads)
    sample = Sample(
        monotonic_ns=0,
        wall_ns=0,
        threads=(),
        iothreads=loops,
        disks=tuple(DiskSample(id=each.disk.id) for each in LAYOUT.disks),
        monitor="answered",
    )
    disks = tuple(each for each in rates if isinstance(each, DiskRates))
    return Window(
        before=sample,
        after=sample,
        rates=Rates(
            duration_s=duration_s,
            threads=tuple(each for each in rates if isinstance(each, ThreadRates)),
            disks=disks or (do("vd0", 0),),
        ),
        layout=LAYOUT,
        qemu_version=QemuVersion(10, 0, 2),
    )


def find(window: Window) -> dict[str, Verdict]:
    """Returns a window's verdicts as KIND SUBJECT."""
    return {f"{each.kind} {each.subject}": each for each in judge(window)}


@pytest.mark.parametrize(
    ("disk", "severity", "step"),
    [("vd2", "warning", "give-threads"), ("hd3", "warning", "move-disks"), ("vd0", "info", None)],
)
def test_main_loop_without_time_says_which_step_takes_its_disks_off(
    disk: str, severity: str, step: str | None
) -> None:
    """A disk on an IOThread is not what fills it, so that no step helps."""
    found = find(make(use(MAIN_LOOP, 0.9), do(disk, 500)))["main-loop-full main loop"]

    assert (found.severity, found.step) == (severity, step)
    assert found.disks == ((disk,) if step else ())
    assert found.evidence[0].value == 0.9
    assert found.evidence[0].at_least == 0.9
    assert found.source


def test_thread_with_time_left_is_not_full() -> None:
    """Just below the threshold there is no verdict; what it waits for counts as use."""
    assert not find(make(use(MAIN_LOOP, 0.89), do("vd2", 500)))
    assert find(make(use(MAIN_LOOP, 0.87, delay=0.04), do("vd2", 500)))


def test_full_iothread_is_told_with_the_idle_ones() -> None:
    """One disk alone can have its queues spread."""
    found = find(make(use("io0", 1.0), use("io1", 0.01), do("vd0", 9_000)))

    verdict = found["iothread-full io0"]
    assert verdict.step == "map-queues"
    assert {each.subject: each.value for each in verdict.evidence if each.name == "cpu"} == {
        "io0": 1.0,
        "io1": 0.01,
    }


def test_disks_of_one_controller_are_separated_first() -> None:
    """Two busy disks on the controller that fills its thread cannot be given threads otherwise."""
    layout = replace(LAYOUT, disks=(attach("vd0"), attach("vd1", "vd0")))
    window = replace(make(use("io0", 1.0), do("vd0", 9_000), do("vd1", 9_000)), layout=layout)

    assert find(window)["iothread-full io0"].step == "separate-controllers"


def test_thread_full_of_polling_or_work_is_not_decided_without_its_cost() -> None:
    """A user share of polling and too many requests for a verdict on it; a known cost decides."""
    window = make(use("io0", 1.0, user=0.85), do("vd0", 20_000), poll_max_ns=1_000_000)

    (found,) = judge(window)
    assert (found.kind, found.doubt) == ("cannot-tell", "polling looks like work")
    assert found.change == Change(
        subject="io0", property="poll_max_ns", old="1000000", new="32768"
    )
    assert list(find(replace(window, request_cost_ns={"io0": 45_000.0}))) == ["iothread-full io0"]


def test_slow_requests_leave_no_time_for_polling() -> None:
    """Whatever the user share: 300 requests a second poll for 4 % of the time at the default."""
    assert list(find(make(use("io0", 1.0, user=1.0), do("vd0", 300)))) == ["iothread-full io0"]


def test_polling_is_wasted_where_requests_are_rare_and_dear() -> None:
    """Each of the conditions is needed; the last thread is busy with something else."""
    wasted = make(use("io0", 0.09, user=0.89), do("vd0", 200), poll_max_ns=1_000_000)

    (found,) = judge(wasted)
    assert (found.kind, found.subject) == ("polling-wasted", "io0")
    assert found.change is not None
    assert found.change.new == "32768"
    for silent in (
        make(use("io0", 0.09, user=0.7), do("vd0", 200), poll_max_ns=1_000_000),
        make(use("io0", 0.04, user=0.89), do("vd0", 100), poll_max_ns=1_000_000),
        make(use("io0", 0.30, user=0.89), do("vd0", 2_000), poll_max_ns=1_000_000),
        make(use("io0", 0.09, user=0.89), do("vd0", 200), poll_max_ns=0),
        make(use("io0", 0.20, user=0.89), do("vd0", 900), poll_max_ns=1_000_000),
        make(use("io0", 0.80, user=0.95), do("vd0", 100), poll_max_ns=32_768),
    ):
        assert not judge(silent)


@pytest.mark.parametrize(
    ("changed", "doubt"),
    [
        ({"user": None}, "user share not known"),
        ({"duration_s": 1.5}, "user share not known"),
        ({"per_s": 2, "poll_max_ns": 10**8}, "too few requests"),
        ({"duration_s": 0.5}, "window too short"),
    ],
)
def test_missing_figures_are_no_answer(changed: dict[str, float], doubt: str) -> None:
    """A loop that may poll is not judged by what is not known."""
    figures = {"user": 0.9, "per_s": 200, "poll_max_ns": 1_000_000, "duration_s": 5.0} | changed
    window = make(
        use("io0", 0.5, user=figures["user"]),
        do("vd0", figures["per_s"]),
        poll_max_ns=int(figures["poll_max_ns"]),
        duration_s=figures["duration_s"],
    )

    assert [each.doubt for each in judge(window)] == [doubt]


def test_window_of_samples_in_the_wrong_order_is_no_answer() -> None:
    """Nor is one of a monitor that did not answer, with disks in the layout."""
    earlier = Sample(monotonic_ns=1, wall_ns=0, threads=())
    later = Sample(monotonic_ns=10**10, wall_ns=0, threads=(), monitor="held by another")

    assert [each.doubt for each in judge(make_window(later, earlier, LAYOUT))] == [
        "samples out of order"
    ]
    (found,) = judge(make_window(earlier, later, LAYOUT))
    assert (found.subject, found.doubt) == (GUEST, "monitor did not answer")
    assert [each.value for each in found.evidence] == ["held by another", "not asked"]
    assert not judge(make_window(earlier, later, Topology()))


def test_limit_is_told_before_slow_storage() -> None:
    """The latency includes the wait for the limit."""
    slow = do("vd0", 500, latency_ns=20_000_000, limits=Limits(iops=500))

    (found,) = judge(make(use("io0", 0.1), slow))
    assert (found.kind, found.subject) == ("limit-binds", "vd0")
    assert [(each.name, each.value, each.at_least) for each in found.evidence[:2]] == [
        ("limit iops", 500, None),
        ("iops", 500.0, 475.0),
    ]


def test_storage_is_slow_only_with_a_deep_queue_and_time_left() -> None:
    """A thread that is busy, or waits itself, could be the reason."""
    (found,) = judge(make(use("io0", 0.1), do("vd0", 500, latency_ns=10_000_000)))
    assert (found.kind, found.subject, found.step) == ("storage-slow", "vd0", None)

    assert not judge(make(use("io0", 0.6), do("vd0", 500, latency_ns=10_000_000)))
    assert not judge(make(use("io0", 0.1), do("vd0", 300, latency_ns=10_000_000)))
    assert not judge(make(use("io0", 0.1), do("vd0", 50_000, latency_ns=200_000)))
    assert not judge(make(use("io1", 0.1), do("vd0", 500, latency_ns=10_000_000)))
    contended = make(use("io0", 0.1, delay=0.3), do("vd0", 500, latency_ns=10_000_000))
    assert [each.kind for each in judge(contended)] == ["waits-for-processors"]


def test_requests_that_never_complete_are_told() -> None:
    """Whether they hang or the guest is stopped cannot be seen from here."""
    window = make(use("io0", 0.0), replace(do("vd0", 0), in_flight=3))
    window = replace(
        window, before=replace(window.before, disks=(DiskSample(id="vd0", in_flight=3),))
    )

    (found,) = judge(window)
    assert (found.subject, found.doubt) == ("vd0", "nothing completed")


def test_waiting_for_processors_puts_other_figures_in_doubt() -> None:
    """A thread that waits is not judged, and of others it is said."""
    threads = (use("io0", 0.7, delay=0.3), use("io1", 1.0), use("vCPU 0", 1.0, delay=0.01))

    found = find(make(*threads, do("vd1", 9_000)))
    assert list(found) == ["waits-for-processors the guest", "iothread-full io1"]
    waits, full = found.values()
    assert [(each.subject, each.value) for each in waits.evidence] == [("io0", 0.3)]
    assert not waits.in_doubt
    assert full.in_doubt
    assert waits.step is None


def test_threads_that_share_too_few_processors_need_more() -> None:
    """Two busy threads on one processor; a host that has no other cannot give them more."""
    pinned = [replace(use(each, 0.5, delay=0.4), affinity=(3,)) for each in ("io0", "io1")]

    window = make(*pinned)
    assert judge(replace(window, host_processors=4))[0].step == "widen-affinity"
    assert judge(replace(window, host_processors=1))[0].step is None
    assert judge(window)[0].step is None


def test_full_vcpus_are_the_guest_s_own() -> None:
    """All of them: one of two leaves the guest time."""
    (found,) = judge(make(use("vCPU 0", 0.96), use("vCPU 1", 0.98)))
    assert (found.kind, found.subject) == ("vcpus-full", GUEST)
    assert not judge(make(use("vCPU 0", 1.0), use("vCPU 1", 0.5)))


def test_polling_before_qemu_10_is_impossible_beside_virtio_scsi() -> None:
    """Whether the controller names the IOThread or a mapping does; the default is not told."""
    named = Controller(id="s", model="virtio-scsi-pci", bus="scsi", iothread="io0")
    mapped = replace(named, iothread=None, iothread_vq_mapping=(VirtqueueMapping(iothread="io0"),))
    for controller in (named, mapped):
        layout = replace(LAYOUT, controllers=(controller,), disks=())
        window = replace(make(poll_max_ns=200_000), layout=layout)
        assert not judge(window)
        old = replace(window, qemu_version=QemuVersion(9, 2))
        (found,) = judge(old)
        assert (found.kind, found.subject) == ("polling-impossible", "io0")
        assert found.change is not None
        assert found.change.new is None
        assert not judge(replace(make(), layout=layout, qemu_version=QemuVersion(9, 2)))


def test_differences_from_the_configuration_wait_for_a_restart() -> None:
    """Each disk and IOThread with what differs, as far as both are known."""
    controllers = tuple(
        replace(each, iothread="io1") if each.id == "vd0" else each for each in LAYOUT.controllers
    )
    configured = replace(
        LAYOUT,
        iothreads=(IOThread(id="io0", poll_max_ns=0), IOThread(id="io9", poll_max_ns=0)),
        controllers=controllers,
        disks=(replace(attach("vd0"), aio="io_uring", cache=None), *LAYOUT.disks[2:]),
    )
    running = replace(LAYOUT, iothreads=(IOThread(id="io0", poll_max_ns=32768),))

    window = replace(make(), layout=running, configured=configured)
    found = {
        each.subject: {figure.name: figure.value for figure in each.evidence}
        for each in judge(window)
    }
    assert found == {
        "io0": {"poll-max-ns as configured": "0", "poll-max-ns now": "32768"},
        "vd0": {
            "aio as configured": "io_uring",
            "aio now": "native",
            "served by as configured": "io1",
            "served by now": "io0",
        },
        "vd1": {"disk as configured": "absent", "disk now": "present"},
    }
    assert not judge(replace(window, configured=running))


def test_disk_whose_requests_a_full_loop_does_not_get_to_is_work() -> None:
    """Nothing is completed, and what is under way says that somebody waits."""
    for in_flight, severity, step in ((3, "warning", "give-threads"), (0, "info", None)):
        window = make(use(MAIN_LOOP, 0.99), replace(do("vd2", 0), in_flight=in_flight))
        found = find(window)[f"main-loop-full {MAIN_LOOP}"]
        assert (found.severity, found.step) == (severity, step)


def test_disk_that_was_plugged_or_unplugged_needs_no_restart() -> None:
    """The command line does not know of it; a monitor does, and without one nobody can tell."""
    window = make()
    few = replace(LAYOUT, disks=LAYOUT.disks[1:])
    plugged = replace(window, layout=few, configured=LAYOUT)
    after = replace(window.after, disks=window.after.disks[1:])
    unplugged = replace(window, before=after, after=after, configured=few)
    mute = replace(window.after, disks=())
    assert not judge(plugged)
    assert not judge(unplugged)
    for layout, configured in ((few, LAYOUT), (LAYOUT, few)):
        asked = replace(window, layout=layout, configured=configured)
        assert not judge(replace(asked, before=mute, after=mute))
    assert "restart-pending vd0" in find(replace(unplugged, layout=few, configured=LAYOUT))
    assert "restart-pending vd0" in find(replace(window, configured=few))


@pytest.mark.parametrize("version", [QemuVersion(10, 2), QemuVersion(11, 1), None])
def test_io_pressure_without_requests_misleads(version: QemuVersion | None) -> None:
    """From the version on whose loops wait in io_uring; with requests it can be true."""
    pressure = IoPressure(some_share=0.99, full_share=0.2)
    window = replace(make(), io_pressure=pressure, qemu_version=version)

    (found,) = judge(window)
    assert (found.kind, found.subject, found.severity) == ("io-pressure-misleads", GUEST, "info")
    assert not judge(replace(window, qemu_version=QemuVersion(10, 1)))
    assert not judge(replace(window, io_pressure=IoPressure(some_share=0.5, full_share=0.2)))
    busy = make(do("vd0", 2_000))
    assert not judge(replace(busy, io_pressure=pressure, qemu_version=version))


def test_worst_verdicts_are_first() -> None:
    """Warnings before notes, and in the order of urgency."""
    window = replace(
        make(
            use(MAIN_LOOP, 1.0),
            use("io0", 0.1, delay=0.2),
            do("vd1", 5, limits=Limits(iops=5)),
            do("vd2", 100),
        ),
        configured=Topology(disks=LAYOUT.disks[1:]),
    )

    assert [each.kind for each in judge(window)] == [
        "waits-for-processors",
        "main-loop-full",
        "limit-binds",
        "restart-pending",
    ]


FULL = make(use(MAIN_LOOP, 0.97), do("vd2", 500))
NEARLY = make(use(MAIN_LOOP, 0.85), do("vd2", 500))
QUIET = make(use(MAIN_LOOP, 0.10), do("vd2", 500))
WAITING = make(use("vCPU 0", 0.5, delay=0.3))
WORKING = make(use("vCPU 0", 0.97))


def follow(*windows: Window) -> list[list[str]]:
    """Returns the kinds in force after each window."""
    state = State()
    kinds: list[list[str]] = []
    for window in windows:
        state, found = decide(state, window)
        kinds.append([each.kind for each in found])
    return kinds


def test_verdict_begins_with_the_second_window_and_ends_with_the_second() -> None:
    """One window alone neither begins nor ends it."""
    full = ["main-loop-full"]

    assert follow(FULL, QUIET, FULL, FULL) == [[], [], [], full]
    assert follow(FULL, FULL, QUIET, FULL, QUIET, QUIET) == [[], full, full, full, full, []]


def test_verdict_in_force_ends_at_a_lower_threshold() -> None:
    """A figure near the threshold does not make it come and go."""
    full = ["main-loop-full"]

    assert follow(NEARLY, NEARLY) == [[], []]
    assert follow(FULL, FULL, *[NEARLY] * 3) == [[], full, full, full, full]


def test_another_kind_takes_over_when_the_first_has_ended() -> None:
    """A subject never has two, and the windows of the second count from its first."""
    waits, full = ["waits-for-processors"], ["vcpus-full"]

    assert follow(WAITING, WAITING, WORKING, WORKING) == [[], waits, waits, full]


def test_setting_is_told_at_once() -> None:
    """It does not depend on a load."""
    pending = replace(QUIET, configured=Topology())

    assert follow(pending, QUIET)[0] == ["restart-pending"] * 4
    assert follow(pending, QUIET)[1] == []
