"""Verdicts of any samples whatever: nothing raises, and no two contradict each other."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TypedDict

from hypothesis import given
from hypothesis import strategies as st

from vmio.model.controller import Controller
from vmio.model.disk import Disk
from vmio.model.iothread import MAIN_LOOP, IOThread
from vmio.model.topology import AttachedDisk, Topology
from vmio.model.version import QemuVersion
from vmio.observe.sample import DiskSample, Limits, Operations, Sample, ThreadSample
from vmio.observe.verdicts.decide import State, decide
from vmio.observe.verdicts.judge import NOTES
from vmio.observe.verdicts.values import IoPressure, Verdict, make_window
from vmio.report.verdicts.words import describe_verdict

COUNTERS = st.none() | st.integers(0, 2**63 - 1) | st.integers(0, 10**9).map(lambda n: n * 5)
NAMES = ("io0", "io1", "io\n2")
THREADS = st.builds(
    ThreadSample,
    thread_id=st.integers(1, 5),
    name=st.sampled_from((MAIN_LOOP, "vCPU 0", *NAMES)),
    role=st.sampled_from(("main loop", "iothread", "vcpu", "worker", "other")),
    cpu_ns=st.integers(0, 2**63 - 1) | st.integers(0, 10**11),
    user_ns=COUNTERS,
    system_ns=COUNTERS,
    run_delay_ns=COUNTERS,
    affinity=st.none() | st.just((1,)) | st.just(()),
)
OPERATIONS = st.builds(
    Operations, count=COUNTERS, transferred_bytes=COUNTERS, time_ns=COUNTERS, failed=COUNTERS
)
DISKS = st.builds(
    DiskSample,
    id=st.sampled_from(("vd0", "vd1", "vd2", "unheard of")),
    reads=OPERATIONS,
    writes=OPERATIONS,
    flushes=OPERATIONS,
    unmaps=OPERATIONS,
    limits=st.none()
    | st.builds(
        Limits,
        iops=st.none() | st.floats(0, 1e6),
        bytes_per_s_write=st.none() | st.floats(0, 1e6),
        iops_size_bytes=st.none() | st.integers(1, 9999),
        group=st.sampled_from(("", "g")),
    ),
    in_flight=st.none() | st.integers(0, 100),
)
POLLS = st.none() | st.sampled_from((0, 1, 32768, 10**6, 2**63 - 1))
SAMPLES = st.builds(
    Sample,
    monotonic_ns=st.integers(0, 2**63 - 1) | st.integers(0, 20).map(lambda s: s * 10**9),
    wall_ns=st.just(0),
    threads=st.lists(THREADS, max_size=4).map(tuple),
    disks_monotonic_ns=st.none() | st.integers(0, 20).map(lambda s: s * 10**9),
    iothreads=st.lists(
        st.builds(IOThread, id=st.sampled_from(NAMES), poll_max_ns=POLLS),
        max_size=3,
        unique_by=lambda each: each.id,
    ).map(tuple),
    disks=st.lists(DISKS, max_size=2, unique_by=lambda each: each.id).map(tuple),
    monitor=st.sampled_from(("answered", "not asked", "silent")),
)
LAYOUTS = st.builds(
    Topology,
    iothreads=st.lists(
        st.builds(IOThread, id=st.sampled_from(NAMES), poll_max_ns=POLLS),
        max_size=3,
        unique_by=lambda each: each.id,
    ).map(tuple),
    controllers=st.lists(
        st.builds(
            Controller,
            id=st.sampled_from(("c0", "c1")),
            model=st.sampled_from(("virtio-blk-pci", "virtio-scsi-pci", "ahci")),
            bus=st.just("virtio"),
            iothread=st.none() | st.sampled_from(NAMES),
            num_queues=st.none() | st.integers(1, 4),
        ),
        max_size=2,
        unique_by=lambda each: each.id,
    ).map(tuple),
    disks=st.lists(
        st.builds(
            AttachedDisk,
            disk=st.builds(
                Disk,
                id=st.sampled_from(("vd0", "vd1", "vd2")),
                bus=st.just("virtio"),
                index=st.just(0),
            ),
            controller=st.sampled_from(("c0", "c1", "none of them")),
        ),
        max_size=3,
        unique_by=lambda each: each.disk.id,
    ).map(tuple),
)


class Known(TypedDict):
    """What is known of a guest besides its samples."""

    configured: Topology | None
    qemu_version: QemuVersion | None
    host_processors: int | None
    io_pressure: IoPressure | None
    request_cost_ns: dict[str, float]


KNOWLEDGE: st.SearchStrategy[Known] = st.fixed_dictionaries(  # type: ignore[assignment]
    {
        "configured": st.none() | LAYOUTS,
        "qemu_version": st.sampled_from(
            (None, QemuVersion(7, 2), QemuVersion(10, 0), QemuVersion(10, 2))
        ),
        "host_processors": st.none() | st.integers(1, 8),
        "io_pressure": st.none()
        | st.builds(IoPressure, some_share=st.floats(0, 1), full_share=st.floats(0, 1)),
        "request_cost_ns": st.dictionaries(st.sampled_from(NAMES), st.floats(0, 1e9)),
    }
)


def check(verdicts: tuple[Verdict, ...]) -> None:
    """Checks that verdicts do not contradict each other and can be told."""
    limits = Counter(each.subject for each in verdicts if each.kind not in NOTES)
    assert all(count == 1 for count in limits.values())
    kinds = Counter((each.kind, each.subject) for each in verdicts)
    assert all(count == 1 for count in kinds.values())
    for each in verdicts:
        impossible = each.kind == "polling-impossible"
        assert not (impossible and ("polling-wasted", each.subject) in kinds)
        assert (each.kind == "cannot-tell") == bool(each.doubt)
        assert each.source
        assert describe_verdict(each).title
        for figure in each.evidence:
            if isinstance(figure.value, float | int):
                assert figure.at_least is None or figure.value >= figure.at_least
                assert figure.at_most is None or figure.value <= figure.at_most


@given(
    st.lists(SAMPLES, min_size=2, max_size=4),
    LAYOUTS,
    KNOWLEDGE,
)
def test_any_samples_give_verdicts_without_contradiction(
    samples: list[Sample],
    layout: Topology,
    known: Known,
) -> None:
    """Missing figures, falling counters, no time at all, a layout that does not fit."""
    state = State()
    for before, after in pairwise(samples):
        window = make_window(before, after, layout, **known)
        state, verdicts = decide(state, window)
        check(verdicts)
        assert len(state.tracked) <= 40
