"""Threads as the kernel describes them."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmio.errors import ToolError
from vmio.model.iothread import MAIN_LOOP
from vmio.observe.threads import (
    ThreadSample,
    compute_rates,
    find_role,
    parse_thread,
    read_threads,
)

STATUS = b"Name:\tx\nvoluntary_ctxt_switches:\t12\nnonvoluntary_ctxt_switches:\t3\n"
TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def make_stat(name: bytes = b"IO iot0", *, user: int = 5, system: int = 7) -> bytes:
    """Returns a line of /proc/PID/task/TID/stat."""
    before = b"S 1 1 1 0 -1 0 0 0 0 0 " + b"%d %d" % (user, system)
    return b"42 (" + name + b") " + before + b" 0 0 20 0 1 0 777 0 0\n"


def make_sample(
    thread_id: int = 1, *, at_s: float, cpu_s: float = 0.0, start: int = 0, sleeps: int = 0
) -> ThreadSample:
    """Returns a sample in which user time and delays follow the processor time."""
    return ThreadSample(
        thread_id=thread_id,
        name="t",
        start_ticks=start,
        at_ns=int(at_s * 1e9),
        cpu_ns=int(cpu_s * 1e9),
        user_ns=int(cpu_s * 1e9),
        system_ns=0,
        run_delay_ns=int(cpu_s * 1e8),
        voluntary_switches=sleeps,
        nonvoluntary_switches=0,
    )


def test_thread_is_read_with_nanoseconds() -> None:
    """Processor time and run delay come from schedstat, the split of time from stat."""
    sample = parse_thread(make_stat(), STATUS, b"123456789 5000 99\n", at_ns=1)

    assert sample == ThreadSample(
        thread_id=42,
        name="IO iot0",
        start_ticks=777,
        at_ns=1,
        cpu_ns=123456789,
        user_ns=5 * TICK_NS,
        system_ns=7 * TICK_NS,
        run_delay_ns=5000,
        voluntary_switches=12,
        nonvoluntary_switches=3,
    )


@pytest.mark.parametrize("name", [b"CPU 0/TCG", b"a) S 1 (b", b"((", b"", b"\xff"])
def test_thread_may_have_any_name(name: bytes) -> None:
    """Blanks and brackets in a name shift no field."""
    sample = parse_thread(make_stat(name), STATUS, b"", at_ns=1)

    assert sample.name == name.decode("utf-8", "replace")
    assert sample.start_ticks == 777


def test_thread_without_scheduler_statistics_is_read_in_ticks() -> None:
    """A kernel without schedstat tells the time in ticks, and nothing of delays."""
    sample = parse_thread(make_stat(), STATUS, b"", at_ns=1)

    assert sample.cpu_ns == 12 * TICK_NS
    assert sample.run_delay_ns is None


@given(st.binary(max_size=60), st.binary(max_size=60), st.binary(max_size=20))
def test_thread_of_junk_is_refused(stat: bytes, status: bytes, schedstat: bytes) -> None:
    """What is not a thread's files is a ValueError and nothing else."""
    with pytest.raises(ValueError, match=r"."):
        parse_thread(stat, status, schedstat, at_ns=1)


@contextmanager
def run_idle_thread() -> Iterator[int]:
    """Runs a thread that waits, and gives its id."""
    begun, end = threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        end.wait()

    thread = threading.Thread(target=wait)
    thread.start()
    begun.wait()
    try:
        yield thread.native_id or 0
    finally:
        end.set()
        thread.join()


def test_threads_of_this_process_are_read() -> None:
    """The first thread has the process's number, and a second one is seen while it lives."""
    with run_idle_thread() as other:
        samples = {sample.thread_id: sample for sample in read_threads(os.getpid())}
    assert {os.getpid(), other} <= samples.keys()
    assert samples[os.getpid()].cpu_ns > 0
    assert samples[other].start_ticks >= samples[os.getpid()].start_ticks

    after = {sample.thread_id for sample in read_threads(os.getpid())}
    assert other not in after


def test_process_that_is_gone_is_named() -> None:
    """A process that ended is an error that names it."""
    with pytest.raises(ToolError, match="cannot watch process 4194305"):
        read_threads(2**22 + 1)


def test_rates_are_differences_over_time() -> None:
    """Shares are of one processor, switches per second."""
    before = (make_sample(at_s=10, cpu_s=1, sleeps=100),)
    after = (make_sample(at_s=12, cpu_s=2, sleeps=300),)

    (rate,) = compute_rates(before, after)

    assert (rate.interval_s, rate.cpu_share, rate.user_share) == (2.0, 0.5, 0.5)
    assert (rate.run_delay_share, rate.voluntary_per_s) == (0.05, 100.0)


def test_rate_of_a_new_thread_counts_all_of_it() -> None:
    """A thread that began in between used all its time in between."""
    before = (make_sample(1, at_s=10),)
    after = (make_sample(1, at_s=12), make_sample(2, at_s=12, cpu_s=1))

    assert [rate.cpu_share for rate in compute_rates(before, after)] == [0.0, 0.5]


def test_rate_of_a_thread_with_a_used_number_starts_anew() -> None:
    """A thread with the number of one that ended is another thread."""
    before = (make_sample(1, at_s=10, cpu_s=100, start=5),)
    after = (make_sample(1, at_s=12, cpu_s=1, start=6),)

    assert [rate.cpu_share for rate in compute_rates(before, after)] == [0.5]


def test_thread_that_ended_has_no_rate() -> None:
    """Nobody can say what a thread used that is no longer there."""
    assert compute_rates((make_sample(at_s=10),), ()) == ()
    assert compute_rates((), (make_sample(at_s=10),)) == ()


def test_samples_of_one_moment_have_no_rate() -> None:
    """Without time in between there is nothing to divide by."""
    sample = make_sample(at_s=10)

    assert compute_rates((sample,), (sample,)) == ()


@pytest.mark.parametrize(
    ("thread_id", "name", "role"),
    [
        (1, "qemu-system-x86", ("main loop", MAIN_LOOP)),
        (2, "qemu-system-x86", ("iothread", "iothread-virtioscsi0")),
        (3, "qemu-system-x86", ("vcpu", "qemu-system-x86")),
        (4, "CPU 3/KVM", ("vcpu", "CPU 3/KVM")),
        (5, "worker", ("worker", "worker")),
        (6, "call_rcu", ("other", "call_rcu")),
    ],
)
def test_role_of_a_thread_is_found(thread_id: int, name: str, role: tuple[str, str]) -> None:
    """QEMU's own lists decide, and the name where they are silent."""
    iothreads = {2: "iothread-virtioscsi0"}

    assert find_role(thread_id, name, process=1, iothreads=iothreads, vcpus=(3,)) == role
