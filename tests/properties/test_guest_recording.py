"""Whatever is recorded is read again; whatever is read ends with looks or with one error."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmio.errors import InputError
from vmio.host.running import QemuProcess
from vmio.managers.discovery import RunningGuest
from vmio.model.controller import Controller
from vmio.model.disk import Disk
from vmio.model.iothread import IOThread
from vmio.model.topology import AttachedDisk, Topology
from vmio.observe.readings import HostTracker, Look, Observation
from vmio.observe.recording import conceal, create_recording, read_recording
from vmio.observe.sample import (
    DiskSample,
    Histogram,
    Limits,
    Operations,
    QueueSample,
    Sample,
    ThreadSample,
)
from vmio.values import replace

S = 10**9
NUMBERS = st.integers(0, 2**63)
TEXTS = st.text(max_size=5)
HISTOGRAMS = st.none() | st.lists(NUMBERS, min_size=3, max_size=3).map(
    lambda counts: Histogram(boundaries_ns=(10, 20), counts=tuple(counts))
)
OPERATIONS = st.builds(
    Operations,
    count=st.none() | NUMBERS,
    transferred_bytes=st.none() | NUMBERS,
    time_ns=st.none() | NUMBERS,
    histogram=HISTOGRAMS,
)
DISKS = st.builds(
    DiskSample,
    id=st.sampled_from(["vd0", "vd1", "0", ""]),
    reads=OPERATIONS,
    writes=OPERATIONS,
    limits=st.none() | st.builds(Limits, iops=st.none() | st.floats(0, 1e9), group=TEXTS),
)
THREADS = st.builds(
    ThreadSample,
    thread_id=st.integers(1, 5),
    name=st.sampled_from(["main loop", "io0", "worker", "CPU 0/TCG"]),
    role=st.sampled_from(["main loop", "iothread", "worker", "vcpu"]),
    owner=st.none() | st.just("io0"),
    cpu_ns=NUMBERS,
    run_delay_ns=st.none() | NUMBERS,
    affinity=st.none() | st.lists(st.integers(0, 9), max_size=3).map(tuple),
)
QUEUES = st.builds(
    QueueSample, device=TEXTS, index=st.integers(0, 3), in_flight=NUMBERS, size=NUMBERS
)


def make_tuples(values: st.SearchStrategy[object], most: int = 4) -> st.SearchStrategy[object]:
    """Returns tuples of values."""
    return st.lists(values, max_size=most).map(tuple)


SAMPLES = st.builds(
    Sample,
    monotonic_ns=NUMBERS,
    wall_ns=NUMBERS,
    threads=make_tuples(THREADS),
    disks=make_tuples(DISKS),
    queues=make_tuples(QUEUES),
    iothreads=make_tuples(st.builds(IOThread, id=st.just("io0"), poll_max_ns=NUMBERS), 1),
    monitor=st.sampled_from(["answered", "silent"]),
    monitor_note=TEXTS,
)
LAYOUTS = st.builds(
    Topology,
    vcpus=st.integers(1, 4),
    iothreads=make_tuples(st.builds(IOThread, id=st.just("io0")), 1),
    controllers=make_tuples(
        st.builds(
            Controller,
            id=st.just("vd0"),
            model=st.just("virtio-blk-pci"),
            bus=st.just("virtio"),
            iothread=st.none() | st.just("io0"),
        ),
        1,
    ),
    disks=make_tuples(
        st.builds(
            AttachedDisk,
            disk=st.builds(
                Disk, id=st.just("vd0"), bus=st.just("virtio"), index=st.just(0), volume=TEXTS
            ),
            controller=st.just("vd0"),
        ),
        1,
    ),
)


@st.composite
def draw_observations(draw: st.DrawFn, pid: int) -> Observation:
    """Draws what a guest could look like."""
    process = QemuProcess(
        pid=pid,
        started_ticks=draw(st.integers(0, 1)),
        inner_pid=1,
        owner=-1,
        stopped=draw(st.booleans()),
        cgroup="",
        command=b"x",
    )
    guest = RunningGuest(
        process=process,
        manager="none",
        id=draw(TEXTS),
        name="x",
        uptime_s=draw(st.floats(0, 1e6)),
        layout=draw(st.none() | LAYOUTS),
    )
    return Observation(
        guest=guest,
        sample=draw(st.none() | SAMPLES),
        problem=draw(TEXTS),
        configured=draw(st.none() | LAYOUTS),
        notes=tuple(draw(st.lists(TEXTS, max_size=2))),
    )


@st.composite
def draw_looks(draw: st.DrawFn) -> list[Look]:
    """Draws looks in the order of time, at up to three guests."""
    looks = []
    for at in range(draw(st.integers(0, 4))):
        pids = sorted(draw(st.sets(st.integers(1, 3))))
        looks.append(
            Look(
                monotonic_ns=at * S,
                wall_ns=draw(NUMBERS),
                duration_s=0.5,
                observations=tuple(draw(draw_observations(pid)) for pid in pids),
                unseen=tuple(draw(st.lists(TEXTS, max_size=1))),
                host_processors=draw(st.none() | st.integers(1, 9)),
            )
        )
    return looks


@given(draw_looks(), st.sampled_from(["a", "a.gz"]))
def test_recording_and_reading_is_the_identity(looks: list[Look], name: str) -> None:
    """Each look is as it was, but for its secrets, and so are its readings."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        with create_recording(path, interval_s=1, max_bytes=1 << 24) as writer:
            assert all(map(writer.write, looks))
        found = list(read_recording(str(path)))
    hidden = [replace(each, observations=tuple(map(conceal, each.observations))) for each in looks]
    assert found == hidden
    live, played = HostTracker(), HostTracker()
    for before, after in zip(hidden, found, strict=True):
        assert live.add(before) == played.add(after)


HEADER = b'{"format":"vmio-recording","schema":1,"vmio":"1","interval_s":1}\n'
SCRAPS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["observations", "1-1", "0", "1", "guest", "sample", "threads", "monotonic_ns"]
            )
            | TEXTS,
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda data: HEADER + data))
def test_any_bytes_are_looks_or_one_error(data: bytes) -> None:
    """Nothing but InputError comes out of a file."""
    check_ends(data)


@given(st.lists(SCRAPS, max_size=3))
def test_any_json_is_looks_or_one_error(values: list[object]) -> None:
    """Well-formed lines that nobody wrote do no more harm."""
    check_ends(HEADER + b"".join(json.dumps(each).encode() + b"\n" for each in values))


def check_ends(data: bytes) -> None:
    """Reads bytes as a recording."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a")
        path.write_bytes(data)
        try:
            looks = list(read_recording(str(path)))
        except InputError as error:
            assert "\n" not in error.message  # noqa: PT017 - there is an error or there is none
        else:
            tracker = HostTracker()
            for each in looks:
                tracker.add(each)


def test_empty_file_is_refused(tmp_path: Path) -> None:
    """The properties above do not hold because nothing is ever read."""
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(InputError):
        list(read_recording(str(tmp_path / "a")))
