"""What a running layout's threads have used, where this host knows them."""

from __future__ import annotations

import asyncio
import os
from typing import Any, cast

import pytest

from vmio.model.iothread import MAIN_LOOP
from vmio.model.topology import HostThread, Topology
from vmio.observe import running
from vmio.observe.running import read_running


def read(monkeypatch: pytest.MonkeyPatch, *threads: HostThread) -> list[bool]:
    """Returns of which of the threads that a monitor reports the processor time is known."""

    async def read_live(_connection: object, *, pid: int | None) -> Topology:
        assert pid is None
        return Topology(host_threads=threads)

    monkeypatch.setattr(running, "read_live", read_live)
    topology = asyncio.run(read_running(cast("Any", None)))
    assert [each.thread_id for each in topology.host_threads] == [
        each.thread_id for each in threads
    ]
    return [each.cpu_ns is not None for each in topology.host_threads]


def test_threads_of_this_host_have_their_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that the process does not have, or no more, has none."""
    main = HostThread(serves=MAIN_LOOP, thread_id=os.getpid())
    other = HostThread(serves="io0", thread_id=2**30)
    assert read(monkeypatch, main, other) == [True, False]


def test_threads_without_a_process_have_no_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their numbers may be those of another host, or the process has just ended."""
    own = HostThread(serves="io0", thread_id=os.getpid())
    gone = HostThread(serves=MAIN_LOOP, thread_id=2**30)
    assert read(monkeypatch, own) == [False]
    assert read(monkeypatch, gone, own) == [False, False]
