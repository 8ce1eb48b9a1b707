"""Threads' loads between two moments."""

from __future__ import annotations

import os
import time

import pytest

from vmio.bench.threads import Sample, name_threads, read_sample, summarise_threads
from vmio.errors import ToolError

NAMES = name_threads(100, {101: "iothread-virtioscsi0"}, {103: 1, 102: 0})


def sample(at_s: float, **used_ms: int) -> Sample:
    """Returns a sample from milliseconds by thread, such as t100=5."""
    return Sample(
        at_s=at_s, cpu_ns={int(name[1:]): ms * 1_000_000 for name, ms in used_ms.items()}
    )


def test_summarise_threads_names_and_orders_them() -> None:
    """The main loop comes first, then IOThreads, vCPUs by number, and all others together."""
    first = sample(10.0, t100=0, t101=100, t102=0, t103=0, t200=50)
    last = sample(12.0, t100=200, t101=1100, t102=2000, t103=20, t200=150, t201=60)
    loads = summarise_threads([first, last], NAMES, start_s=10, end_s=12)
    assert [(load.name, load.kind, round(load.cpu_share, 3)) for load in loads] == [
        ("main loop", "main loop", 0.1),
        ("iothread-virtioscsi0", "iothread", 0.5),
        ("vCPU 0", "vcpu", 1.0),
        ("vCPU 1", "vcpu", 0.01),
        ("workers", "other", 0.08),
    ]


def test_summarise_threads_counts_inside_only() -> None:
    """What was used before and after the measured part does not count."""
    samples = [sample(t, t100=used) for t, used in ((1, 900), (2, 1000), (3, 1500), (4, 9999))]
    loads = summarise_threads(samples, NAMES, start_s=1.5, end_s=3.5)
    assert loads[0].cpu_share == pytest.approx(0.5)


def test_summarise_threads_says_nothing_without_a_difference() -> None:
    """One sample is no interval."""
    assert summarise_threads([sample(1, t100=5)], NAMES, start_s=0, end_s=2) == ()


def test_read_sample_sees_this_very_process() -> None:
    """The kernel's count of the running thread grows as it works."""
    before = read_sample(os.getpid(), at_s=0.0).cpu_ns
    deadline_s = time.process_time() + 0.02
    while time.process_time() < deadline_s:
        pass
    after = read_sample(os.getpid(), at_s=1.0).cpu_ns
    assert sum(after.values()) > sum(before.values())


def test_read_sample_notices_a_process_that_has_ended() -> None:
    """No process has this number."""
    with pytest.raises(ToolError, match="has ended"):
        read_sample(2**30, at_s=0.0)
