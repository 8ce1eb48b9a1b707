"""Polling as pictures."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from vmio.report.polling.pictures import adapt_to_waits, read_passes
from vmio.report.polling.svg import (
    LoopPass,
    RangePoint,
    TimesPanel,
    draw_loops,
    draw_ranges,
    draw_times,
)
from vmio.sim.profile import DEFAULT_PROFILE

COSTS = DEFAULT_PROFILE.costs
SLEPT = LoopPass(
    stale_ns=0,
    begin_ns=0,
    polled_ns=4_000,
    event_ns=50_000,
    woken_ns=72_000,
    end_ns=80_000,
    poll_ns=8_000,
)


def draw(passes: list[LoopPass], span_ns: int = 100_000, max_ns: int = 32_768) -> str:
    """Returns a picture of one loop, having seen that it is well-formed and within its frame."""
    text = draw_loops([("a", passes, 0)], title="t", desc="d", span_ns=span_ns, max_ns=max_ns)
    ET.fromstring(text)  # noqa: S314 - our own text
    places = [float(x) for x in re.findall(r' x1?="([-\d.]+)"', text)]
    assert min(places) >= 0
    assert max(places) <= 720
    return text


def count_bands(text: str, css: str) -> int:
    """Returns how many bands of a kind there are, without the legend's."""
    return len(re.findall(f'<rect class="{css}"', text)) - 1


def test_loop_without_passes_has_axes_only() -> None:
    """A loop that never ran is an empty row."""
    text = draw([])
    assert [count_bands(text, css) for css in ("poll", "sleep", "wake", "run", "empty")] == [0] * 5
    assert "polyline" not in text


def test_pass_that_slept_has_each_band_once() -> None:
    """Polling, sleep, wake-up and dispatch follow each other; the event is a tick above."""
    text = draw([SLEPT])
    assert [count_bands(text, css) for css in ("poll", "sleep", "wake", "run", "empty")] == [
        1, 1, 1, 1, 0
    ]  # fmt: skip
    assert len(re.findall('<line class="tick"', text)) == 2  # one is the legend's
    assert text.count("polyline") == 1


@pytest.mark.parametrize(("span_ns", "max_ns"), [(1, 1), (10**18, 2**63 - 1), (100_000, 0)])
def test_any_span_and_maximum_can_be_drawn(span_ns: int, max_ns: int) -> None:
    """A nanosecond, centuries, and an IOThread that never polls all stay within the frame."""
    assert "</svg>" in draw([SLEPT], span_ns, max_ns)


def test_what_lies_outside_is_left_out() -> None:
    """A pass after the end of what is shown has neither bands nor a tick."""
    late = LoopPass(
        stale_ns=10**9,
        begin_ns=10**9,
        polled_ns=10**9,
        event_ns=10**9,
        woken_ns=10**9 + 10,
        end_ns=10**9 + 20,
        poll_ns=1,
    )
    text = draw([late])
    assert [count_bands(text, css) for css in ("poll", "sleep", "wake", "run")] == [0] * 4
    assert len(re.findall('<line class="tick"', text)) == 1


@pytest.mark.parametrize("waits", [(), (5,), (0, 10**18)])
def test_times_of_no_one_and_any_wait_can_be_drawn(waits: tuple[int, ...]) -> None:
    """Each wait is a dot, full if the polling time reached it."""
    panel = TimesPanel(name="<a>", waits_ns=waits, budgets_ns=(5,) * len(waits), max_ns=32_768)
    text = draw_times(
        [panel], title="t", desc="d", columns=1, height=100, span_ns=(1_000, 1_000_000)
    )
    ET.fromstring(text)  # noqa: S314 - our own text
    caught = sum(wait <= 5 for wait in waits)
    assert panel.caught == caught
    assert text.count('<circle class="hit"') == caught + 1
    assert text.count('<circle class="miss"') == len(waits) - caught + 1
    assert "&lt;a&gt;" in text


@pytest.mark.parametrize("count", [0, 1, 3])
def test_ranges_of_any_number_of_points_can_be_drawn(count: int) -> None:
    """Each of two charts has a ground for each value whose outcome is one of two."""
    points = [
        RangePoint(
            value=10**at,
            latency_us=(1.0, 2.0),
            cpu_share=(0.0, 0.0),
            bistable=at == 0,
        )
        for at in range(count)
    ]
    text = draw_ranges(points, title="t", desc="d")
    ET.fromstring(text)  # noqa: S314 - our own text
    assert count_bands(text, "either") == 2 * min(count, 1)


@pytest.mark.parametrize("turn_ns", [0, COSTS.queue_run_ns])
def test_passes_are_read_as_the_simulator_wrote_them(turn_ns: int) -> None:
    """A wait no longer than its budget was caught; a longer one polled, slept and woke up.

    Between them the loop's own notification and an eventfd end waits, that of a kick with a turn.
    """
    own_ns = 120_000 + COSTS.self_kick_ns
    stale_ns = own_ns + 32_768 + COSTS.syscall_ns
    caught, slept = read_passes(
        [0, 100_000, 110_000, 120_000, 32_768, 32_768]
        + [0, 120_000, own_ns, own_ns, 32_768, 32_768]
        + [0, own_ns, stale_ns, stale_ns + turn_ns, 32_768, 32_768]
        + [0, 160_000, 260_000, 270_000, 32_768, 32_768]
        + [0] * 6,
        COSTS,
    )
    assert (caught.polled_ns, caught.woken_ns) == (110_000, 110_000)
    assert caught.stale_ns == caught.begin_ns
    assert (slept.polled_ns, slept.event_ns) == (192_768, 260_000 - COSTS.wake_ns)
    assert slept.stale_ns == own_ns + 32_768
    assert read_passes([], COSTS) == []


def test_generations_end_where_each_differs() -> None:
    """After long waits 7.2 is back at 0, 10.0 is at its maximum still, 11.1 is down to 1."""
    assert adapt_to_waits("loop", "").budgets_ns[-1] in (0, 4_000)
    handler = adapt_to_waits("handler", "")
    assert handler.budgets_ns[-1] == max(handler.budgets_ns) == 32_000
    assert adapt_to_waits("weighted", "").budgets_ns[-1] == 1
