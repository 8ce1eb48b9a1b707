"""Plain traces, told by event loop."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmio.errors import InputError
from vmio.formats.qemu.trace import parse_event, parse_trace
from vmio.host.trace_file import read_lines
from vmio.sim.polling import PollSettings
from vmio.sim.trace import summarize_trace

TRACE = Path(__file__).parents[2] / "data" / "traces" / "start-10.0.2.txt.xz"


def read(data: bytes) -> list[bytes]:
    """Returns a trace's lines with their ends."""
    return data.splitlines(keepends=True)


def test_real_trace_fits_its_generation() -> None:
    """A trace of QEMU 10.0.2 from its start on agrees in every step and every budget."""
    loop, *_ = summarize_trace(parse_trace("t", read_lines(str(TRACE))), "handler", PollSettings())
    assert loop.phases > 1000
    assert loop.events_agreed == loop.grows + loop.shrinks > 1000
    assert loop.budgets_agreed == loop.phases
    assert loop.span_ns is not None
    assert loop.polling_ns is not None
    assert 0 < loop.polling_ns < loop.span_ns


def test_real_trace_does_not_fit_another_generation() -> None:
    """One polling time for the loop does not explain what handlers did each for itself."""
    loop, *_ = summarize_trace(parse_trace("t", read_lines(str(TRACE))), "loop", PollSettings())
    assert loop.budgets_agreed < loop.phases


def test_handlers_of_before_count_when_they_are_told() -> None:
    """A trace that begins later has no `poll_add`, so the handlers come from the caller."""
    text = b"poll_grow ctx 0xc old 0 new 4000\n"
    for zeros in (0, 1):
        (loop,) = summarize_trace(
            parse_trace("t", read(text)), "handler", PollSettings(), zeros=zeros
        )
        assert (loop.events_agreed, loop.span_ns) == (zeros, None)


def test_trace_of_other_events_is_refused() -> None:
    """A trace without polling is said to be one."""
    with pytest.raises(InputError, match="no polling"):
        summarize_trace(
            parse_trace("t", read(b"virtio_notify vdev 0x1 vq 0x2\n")), "loop", PollSettings()
        )


def test_hostile_trace_keeps_few_counts() -> None:
    """However many lengths and handlers a file has, few are kept, and no phase is lost."""
    lines = [f"poll_add ctx 0xc node 0x{n:x} fd {n} revents 0x1" for n in range(5000)]
    lines += [f"poll_grow ctx 0xc old 0 new {n}" for n in range(1, 5000)]
    lines += [f"run_poll_handlers_begin ctx 0xc max_ns {n} timeout -1" for n in range(1, 6000)]
    events = [event for line in lines if (event := parse_event(line)) is not None]
    (loop,) = summarize_trace(events, "handler", PollSettings())
    assert loop.phases == 5999
    assert len(loop.budgets) < 4200
    assert loop.grows == 4999
