"""Threads' loads between two moments."""

from __future__ import annotations

import pytest

from vmio.bench.threads import find_window, summarise_threads
from vmio.observe.sample import Role, Sample, ThreadSample
from vmio.values import replace

NAMES: dict[int, tuple[Role, str]] = {
    100: ("main loop", "main loop"),
    101: ("iothread", "iothread-virtioscsi0"),
    102: ("vcpu", "vCPU 0"),
    103: ("vcpu", "vCPU 1"),
    201: ("other", "call_rcu"),
}


def sample(at_s: float, **used_ms: int) -> Sample:
    """Returns a sample from milliseconds by thread, such as t100=5."""
    threads = []
    for key, used in used_ms.items():
        role, name = NAMES.get(int(key[1:]), ("worker", "worker"))
        threads.append(
            ThreadSample(thread_id=int(key[1:]), name=name, role=role, cpu_ns=used * 1_000_000)
        )
    return Sample(monotonic_ns=round(at_s * 1e9), wall_ns=0, threads=tuple(threads))


def test_summarise_threads_names_and_orders_them() -> None:
    """The main loop comes first, then IOThreads, vCPUs by number, and all others together."""
    first = sample(10.0, t100=0, t101=100, t102=0, t103=0, t200=50)
    last = sample(12.0, t100=200, t101=1100, t102=2000, t103=20, t200=150, t201=60)
    loads = summarise_threads([first, last], start_s=10, end_s=12)
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
    loads = summarise_threads(samples, start_s=1.5, end_s=3.5)
    assert loads[0].cpu_share == pytest.approx(0.5)


def test_summarise_threads_says_nothing_without_a_difference() -> None:
    """One sample is no interval."""
    assert summarise_threads([sample(1, t100=5)], start_s=0, end_s=2) == ()


def test_window_has_its_ends() -> None:
    """Samples at the very moments are inside; one alone is no window."""
    samples = [sample(at_s) for at_s in (1, 2, 3, 4)]
    assert find_window(samples, start_s=2, end_s=3) == tuple(samples[1:3])
    assert find_window(samples, start_s=2.5, end_s=3) == ()


def test_summarise_threads_tells_how_long_they_waited() -> None:
    """Run delay is a share of the time, and that of short-lived threads is added up."""

    def waiting(at_s: float, **waited_ms: int) -> Sample:
        used = sample(at_s, **waited_ms)
        threads = tuple(replace(one, run_delay_ns=one.cpu_ns, cpu_ns=0) for one in used.threads)
        return replace(used, threads=threads)

    first, last = (
        waiting(10.0, t100=0, t200=0, t201=0),
        waiting(12.0, t100=500, t200=200, t201=400),
    )
    loads = summarise_threads([first, last], start_s=10, end_s=12)
    assert {load.name: round(load.run_delay_share, 3) for load in loads} == {
        "main loop": 0.25,
        "workers": 0.3,
    }
