"""Readings of a guest, made of its observations one after the other."""

from __future__ import annotations

import gc
import tracemalloc

import pytest

from vmio.host.pressure import IoWaits
from vmio.host.running import QemuProcess
from vmio.managers.discovery import RunningGuest
from vmio.model.controller import Controller
from vmio.model.disk import Disk
from vmio.model.iothread import IOThread
from vmio.model.topology import AttachedDisk, Topology
from vmio.observe.readings import GuestTracker, HostTracker, Look, Observation, Reading
from vmio.observe.sample import DiskSample, MonitorState, Operations, Sample, ThreadSample

S = 1_000_000_000
LAYOUT = Topology(
    vcpus=1,
    iothreads=(IOThread(id="io0", thread_pool_max=8),),
    controllers=(Controller(id="vd0", model="virtio-blk-pci", bus="virtio", iothread="io0"),),
    disks=(AttachedDisk(disk=Disk(id="vd0", bus="virtio", index=0), controller="vd0"),),
)


def make_guest(pid: int = 100, started_ticks: int = 5) -> RunningGuest:
    """Returns a guest with a disk on an IOThread."""
    process = QemuProcess(
        pid=pid,
        started_ticks=started_ticks,
        inner_pid=pid,
        owner=0,
        stopped=False,
        cgroup="",
        command=b"",
    )
    return RunningGuest(
        process=process, manager="none", id="", name="x", uptime_s=1.0, layout=LAYOUT
    )


def observe(
    at_s: float,
    *,
    main_s: float = 0.0,
    requests: int = 0,
    monitor: MonitorState = "answered",
    io_waits: IoWaits | None = None,
    poll_max_ns: int = 0,
    guest: RunningGuest | None = None,
) -> Observation:
    """Returns an observation at a time, with what the guest had used until then."""
    answered = monitor == "answered"
    done = Operations(count=requests, transferred_bytes=0, time_ns=requests)
    threads = (
        ThreadSample(
            thread_id=100,
            name="main loop",
            role="main loop",
            cpu_ns=int(main_s * S),
            run_delay_ns=0,
            user_ns=0,
            system_ns=int(main_s * S),
        ),
        ThreadSample(
            thread_id=101,
            name="io0",
            role="iothread",
            cpu_ns=requests * 50_000,
            run_delay_ns=0,
            user_ns=0,
            system_ns=requests * 50_000,
        ),
    )
    return Observation(
        guest=guest or make_guest(),
        sample=Sample(
            monotonic_ns=int(at_s * S) + 1,
            wall_ns=0,
            threads=threads,
            iothreads=(IOThread(id="io0", poll_max_ns=poll_max_ns),) if answered else (),
            disks=(DiskSample(id="vd0", reads=done, writes=done),) if answered else (),
            monitor=monitor,
        ),
        io_waits=io_waits,
    )


def read_all(*observations: Observation, confirm: bool = True) -> list[Reading]:
    """Returns the readings of one guest."""
    tracker = GuestTracker(confirm=confirm)
    return [tracker.add(each) for each in observations]


def test_first_reading_has_no_rates_and_the_second_has() -> None:
    """Counters since the guest's start say nothing of now."""
    first, second = read_all(observe(0), observe(1, requests=100))
    assert first.rates is None
    assert second.rates is not None
    assert second.rates.disks[0].reads.operations_per_s == 100


def test_conclusions_need_two_seconds_and_rates_do_not() -> None:
    """The kernel samples the user share, so that shorter windows say nothing of polling."""
    readings = read_all(*(observe(at_s, requests=at_s * 100) for at_s in range(6)))
    assert [each.window_s for each in readings] == [None, None, 2.0, 2.0, 2.0, 2.0]
    ends_s = [each.window_ended_ns and each.window_ended_ns // S for each in readings]
    assert ends_s == [None, None, 2, 2, 4, 4]
    assert all(each.polling for each in readings[2:])


def test_verdict_is_in_force_when_two_windows_agree() -> None:
    """A main loop that was full for one window is not called full yet."""
    observations = [observe(at_s, main_s=at_s * 0.99, requests=at_s * 100) for at_s in (0, 2, 4)]
    kinds = [[verdict.kind for verdict in each.verdicts] for each in read_all(*observations)]
    assert kinds == [[], [], ["main-loop-full"]]


def test_guest_is_judged_when_a_verdict_could_be_in_force() -> None:
    """No verdict before then does not mean that nothing limits it."""
    observations = [observe(at_s, requests=at_s * 100) for at_s in (0, 2, 4)]
    assert [each.is_judged for each in read_all(*observations)] == [False, False, True]
    found = read_all(*observations, confirm=False)
    assert [each.is_judged for each in found] == [False, True, True]
    assert not found[-1].verdicts


def test_unconfirmed_verdict_needs_one_window() -> None:
    """What looks only once has no second window."""
    observations = [observe(at_s, main_s=at_s * 0.99, requests=at_s * 100) for at_s in (0, 2)]
    _, last = read_all(*observations, confirm=False)
    assert [verdict.kind for verdict in last.verdicts] == ["main-loop-full"]


def test_rates_reach_back_over_a_monitor_that_was_held() -> None:
    """A manager asks for moments; the requests meanwhile are in the next rates."""
    _, held, after = read_all(
        observe(0, requests=100),
        observe(1, monitor="held by another"),
        observe(2, requests=500),
    )
    assert held.rates is not None
    assert not held.rates.disks
    assert after.rates is not None
    assert after.rates.disks_duration_s == 2.0
    assert after.rates.disks[0].reads.count == 400


def test_observation_without_a_sample_keeps_the_last_conclusions() -> None:
    """A guest that could not be read in time is not thereby well."""
    observations = [observe(at_s, main_s=at_s * 0.99, requests=at_s * 100) for at_s in (0, 2, 4)]
    late = Observation(guest=make_guest(), problem="not read within 1 s")
    *_, last = read_all(*observations, late)
    assert last.rates is None
    assert [verdict.kind for verdict in last.verdicts] == ["main-loop-full"]


def test_layout_has_the_polling_times_that_qemu_reports() -> None:
    """They can be changed while a guest runs; the thread pool is as its command line says."""
    (reading,) = read_all(observe(0, poll_max_ns=7))
    assert reading.layout is not None
    assert reading.layout.iothreads == (IOThread(id="io0", poll_max_ns=7, thread_pool_max=8),)


def test_request_cost_is_learned_while_polling_is_off() -> None:
    """Then polling is what goes beyond that cost, and no longer told by the user share alone."""
    off = [observe(at_s, requests=at_s * 100) for at_s in (0, 2)]
    *_, last = read_all(*off, observe(4, requests=400, poll_max_ns=32768))
    methods = {each.name: each.method for each in last.polling}
    assert methods["io0"] == "request cost"


def test_pressure_of_a_new_control_group_is_not_known() -> None:
    """One of the same name that was made anew counts from zero, which is no negative share."""
    waits = [IoWaits(some_us=9_000_000, full_us=9_000_000), IoWaits(some_us=5, full_us=5)]
    tracker = GuestTracker(confirm=False)
    for at_s, each in zip((0, 2), waits, strict=True):
        reading = tracker.add(observe(at_s, io_waits=each))
    assert reading.window_s == 2.0
    assert "io-pressure-misleads" not in {each.kind for each in reading.verdicts}


def test_number_that_is_used_again_is_another_guest() -> None:
    """A process with another start has no rates since the one before."""
    tracker = HostTracker()
    for guest in (make_guest(), make_guest(started_ticks=900)):
        observation = observe(guest.process.started_ticks, guest=guest)
        look = Look(monotonic_ns=0, wall_ns=0, duration_s=0.0, observations=(observation,))
        (reading,) = tracker.add(look)
        assert reading.rates is None


def test_same_observations_give_the_same_readings() -> None:
    """A recording shows what was shown live."""
    observations = [observe(at_s, main_s=at_s, requests=at_s * 70) for at_s in range(8)]
    assert read_all(*observations) == read_all(*observations)


def test_looks_out_of_order_have_no_rates() -> None:
    """A recording may have been put together by hand."""
    first, second = read_all(observe(5, requests=100), observe(1))
    assert first.rates is None
    assert second.rates is None


def test_an_hour_of_looks_takes_no_more_memory_than_a_minute() -> None:
    """With a guest that comes and goes all the time, and polling costs that are learnt."""
    tracker = HostTracker()

    def look(at_s: int) -> None:
        stays = observe(at_s, main_s=at_s * 0.95, requests=at_s * 100)
        comes = observe(at_s, requests=at_s, guest=make_guest(200 + at_s // 10))
        tracker.add(
            Look(monotonic_ns=at_s * S, wall_ns=0, duration_s=0.1, observations=(stays, comes))
        )

    tracemalloc.start()
    try:
        for at_s in range(120):
            look(at_s)
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        for at_s in range(120, 3600):
            look(at_s)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 16_384


def test_guest_that_vmio_fails_at_hides_no_other_guest(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no figures, and says so; when it can be read again it begins anew."""
    forged = make_guest(pid=7)
    add = GuestTracker.add

    def fail(self: GuestTracker, observation: Observation, **more: int | None) -> Reading:
        if observation.guest is forged:
            raise KeyError("forged")
        return add(self, observation, **more)

    tracker = HostTracker()
    looks = [
        Look(
            monotonic_ns=0,
            wall_ns=0,
            duration_s=0,
            observations=(observe(at_s, guest=forged), observe(at_s)),
        )
        for at_s in range(3)
    ]
    tracker.add(looks[0])
    monkeypatch.setattr(GuestTracker, "add", fail)
    failed, other = tracker.add(looks[1])
    assert failed.observation.sample is None
    assert failed.observation.problem == "nothing is concluded, a bug in vmio: KeyError: 'forged'"
    assert other.rates is not None
    monkeypatch.undo()
    assert [each.rates is None for each in tracker.add(looks[2])] == [True, False]
