"""Other settings on the waits of a trace."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmio.errors import InputError, UsageError
from vmio.formats.qemu.trace import parse_trace
from vmio.host.trace_file import read_lines
from vmio.sim.polling import PollSettings
from vmio.sim.trace import LoopTrace, summarize_trace
from vmio.sim.what_if import TriedSetting, WhatIf, parse_setting, suggest_settings

TRACE = Path(__file__).parents[2] / "data" / "traces" / "start-10.0.2.txt.xz"


def read(*tries: str) -> LoopTrace:
    """Returns the busiest loop of a real trace with settings tried on it."""
    events = parse_trace("t", read_lines(str(TRACE)))
    wanted = [parse_setting(text, PollSettings()) for text in tries]
    return summarize_trace(events, "handler", PollSettings(), tries=wanted)[0]


def test_setting_of_the_trace_comes_near_what_it_counted() -> None:
    """Of a real trace's waits as many are caught as its phases found something, within a tenth."""
    loop = read("poll_max_ns=0")
    as_it_was = loop.outcomes[0]
    assert as_it_was.waits == pytest.approx(loop.phases, rel=0.1)
    seen = 1 - loop.phases_in_vain / loop.phases
    assert as_it_was.caught / as_it_was.waits == pytest.approx(seen, abs=0.1)


def test_longer_maximum_catches_more_and_none_nothing() -> None:
    """On the same waits more polling catches more, and 0 sleeps for each."""
    loop = read("poll_max_ns=0", "poll_max_ns=131072", "poll_max_ns=1000000")
    as_it_was, none, longer, longest = loop.outcomes
    assert none.caught == none.polling_ns == none.vain_ns == 0
    assert as_it_was.caught < longer.caught < longest.caught
    assert as_it_was.polling_ns < longer.polling_ns < longest.polling_ns


def test_waits_are_adapted_to_as_the_algorithm_has_it() -> None:
    """A loop of 7.2 grows to a wait and then catches it."""
    what_if = WhatIf.begin(TriedSetting(name="a", settings=PollSettings()), "loop")
    for wait_ns in (5_000, 5_000, 5_000, 40_000, 5_000):
        what_if.take(wait_ns, "other")
    found = what_if.freeze()
    assert (found.waits, found.caught) == (5, 1)
    assert found.polling_ns == 4_000 + 5_000 + 8_000
    assert found.vain_ns == 4_000 + 8_000


@pytest.mark.parametrize(
    "text",
    [
        "",
        "poll_max_ns",
        "poll_max_ns=-1",
        "poll_max_ns=1,poll_max_ns=2",
        "speed=3",
        "poll_weight=64",
    ],
)
def test_wrong_setting_is_refused_in_a_line(text: str) -> None:
    """The message says which part of it, and how one reads."""
    with pytest.raises(UsageError) as caught:
        parse_setting(text, PollSettings())
    assert "\n" not in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("max_ns", [0, 1, 32_768, 2**62, 2**63 - 1])
def test_suggested_settings_poll_for_longer_and_are_settings(max_ns: int) -> None:
    """Each is twice the one before, and can be given as --try."""
    base = PollSettings(max_ns=max_ns, grow=3)
    suggested = suggest_settings(base)
    assert [parse_setting(each.name, base) for each in suggested] == list(suggested)
    longest_ns = [each.settings.max_ns for each in suggested]
    assert all(each > max_ns for each in longest_ns)
    assert len(longest_ns) == (4 if max_ns < 2**59 else 0)


def test_trace_without_times_has_nothing_to_try_on() -> None:
    """It is refused with what makes QEMU write times."""
    lines = [b"run_poll_handlers_begin ctx 0xc max_ns 4000 timeout -1\n"]
    wanted = [parse_setting("poll_max_ns=0", PollSettings())]
    with pytest.raises(InputError, match="no times") as caught:
        summarize_trace(parse_trace("t", lines), "loop", PollSettings(), tries=wanted)
    assert "timestamp=on" in caught.value.hint


@given(
    st.lists(
        st.tuples(st.integers(0, 10**10), st.sampled_from(["notifier", "other"])), max_size=60
    ),
    st.sampled_from(["loop", "handler", "weighted"]),
    st.builds(PollSettings, max_ns=st.integers(0, 10**7), grow=st.integers(0, 5)),
)
def test_no_wait_is_lost(waits, generation, settings) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Whatever comes, waits are caught or slept through, and no more is in vain than polled."""
    what_if = WhatIf.begin(TriedSetting(name="a", settings=settings), generation)
    for wait_ns, waiter in waits:
        what_if.take(wait_ns, waiter)
    found = what_if.freeze()
    assert 0 <= found.caught <= found.waits == len(waits)
    assert 0 <= found.vain_ns <= found.polling_ns
    assert found.polling_ns <= found.waits * settings.max_ns
