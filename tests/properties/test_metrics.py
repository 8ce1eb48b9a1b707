"""Whatever guests are called and report, Prometheus can read it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from vmio.exporter.collector import FiguresCollector, render_figures
from vmio.exporter.figures import HostFiguresTracker
from vmio.host.running import QemuProcess
from vmio.managers.discovery import RunningGuest
from vmio.model.controller import Controller
from vmio.model.disk import Disk
from vmio.model.iothread import IOThread
from vmio.model.topology import AttachedDisk, Topology
from vmio.observe.readings import Look, Observation
from vmio.observe.sample import (
    DiskSample,
    Histogram,
    Limits,
    Operations,
    QueueSample,
    Sample,
    ThreadSample,
)

PARSE: Callable[[str], Iterable[Metric]] = text_string_to_metric_families
OPENMETRICS = "application/openmetrics-text;version=1.0.0"
BOUNDARIES_NS = (10_000, 1_000_000, 30_000_000_000)
# Few, so that some are the same; what a label has to escape; what no text should contain.
NAMES = st.sampled_from(("", "vd0", "io0", "main loop", "vCPU 0")) | st.text(
    st.characters(codec=None) | st.sampled_from('"\\\n{},=#\ud800'), max_size=200
)
NUMBERS = st.integers(0, (1 << 64) - 1)


@st.composite
def make_operations(draw: st.DrawFn) -> Operations:
    """Returns what a disk did, as far as it is known."""
    counts = draw(st.none() | st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS))
    return Operations(
        count=draw(st.none() | NUMBERS),
        transferred_bytes=draw(st.none() | NUMBERS),
        time_ns=draw(st.none() | NUMBERS),
        failed=draw(st.none() | NUMBERS),
        histogram=None
        if counts is None
        else Histogram(boundaries_ns=BOUNDARIES_NS, counts=counts),
    )


def make_disks() -> st.SearchStrategy[DiskSample]:
    """Returns disks of any name."""
    limits = st.builds(Limits, iops=st.none() | st.floats(0, 1e9))
    return st.builds(
        DiskSample,
        id=NAMES,
        reads=make_operations(),
        writes=make_operations(),
        limits=st.none() | limits,
        in_flight=st.none() | NUMBERS,
    )


def make_threads() -> st.SearchStrategy[ThreadSample]:
    """Returns threads of any name and role."""
    return st.builds(
        ThreadSample,
        thread_id=st.integers(1, 4),
        name=NAMES,
        role=st.sampled_from(("main loop", "iothread", "vcpu", "worker", "io_uring", "other")),
        owner=st.none() | NAMES,
        cpu_ns=NUMBERS,
        user_ns=st.none() | NUMBERS,
        system_ns=st.none() | NUMBERS,
        run_delay_ns=st.none() | NUMBERS,
        voluntary_switches=st.none() | NUMBERS,
        processor=st.none() | st.integers(0, 8191),
        started_ticks=st.none() | st.integers(0, 2),
    )


@st.composite
def make_guests(draw: st.DrawFn) -> RunningGuest:
    """Returns a guest whose layout need not agree with what its monitor says."""
    disks = draw(st.lists(NAMES, max_size=3))
    layout = Topology(
        iothreads=(IOThread(id="io0"),),
        controllers=tuple(
            Controller(id=each, model="virtio-blk-pci", bus="virtio", iothread=draw(NAMES))
            for each in disks[1:]
        ),
        disks=tuple(
            AttachedDisk(disk=Disk(id=each, bus="virtio", index=0), controller=each)
            for each in disks
        ),
    )
    return RunningGuest(
        process=QemuProcess(
            pid=draw(st.integers(1, 3)),
            started_ticks=draw(st.integers(0, 2)),
            inner_pid=1,
            owner=0,
            stopped=False,
            cgroup="",
            command=b"",
        ),
        manager=draw(st.sampled_from(("proxmox", "libvirt", "kubevirt", "none"))),
        id=draw(NAMES),
        name=draw(NAMES),
        uuid=draw(NAMES),
        uptime_s=1.0,
        layout=draw(st.none() | st.just(layout)),
    )


@st.composite
def make_look(draw: st.DrawFn, number: int) -> Look:
    """Returns a look at guests, each of which is another process."""
    guests = draw(
        st.lists(
            make_guests(),
            max_size=3,
            unique_by=lambda each: (each.process.pid, each.process.started_ticks),
        )
    )
    observations = []
    for guest in guests:
        sample = Sample(
            monotonic_ns=number * 3_000_000_000,
            wall_ns=0,
            threads=tuple(draw(st.lists(make_threads(), max_size=4))),
            iothreads=tuple(
                IOThread(id=each, poll_max_ns=1)
                for each in draw(st.lists(NAMES, max_size=2, unique=True))
            ),
            disks=tuple(draw(st.lists(make_disks(), max_size=3))),
            queues=tuple(
                QueueSample(device=each, index=0, in_flight=1, size=2)
                for each in draw(st.lists(NAMES, max_size=2))
            ),
            monitor="answered",
        )
        observations.append(Observation(guest=guest, sample=draw(st.none() | st.just(sample))))
    return Look(
        monotonic_ns=number, wall_ns=number, duration_s=0.0, observations=tuple(observations)
    )


@given(st.tuples(*(make_look(number) for number in (1, 2, 3))))
def test_every_scrape_can_be_read_and_has_no_series_twice(looks: tuple[Look, ...]) -> None:
    """A scrape with the same series twice, or a line that is none, is refused as a whole."""
    tracker = HostFiguresTracker()
    for look in looks:
        figures = tracker.add(look)
        body, _ = render_figures(figures, OPENMETRICS)
        read = [
            (each.name, *sorted(each.labels.items()))
            for family in PARSE(body.decode())
            for each in family.samples
        ]
        made = [
            each.name for family in FiguresCollector(figures).collect() for each in family.samples
        ]
        assert len(set(read)) == len(read) == len(made)
