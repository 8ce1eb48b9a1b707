"""The charts of a job: what they show is what was measured, and it stays inside."""

from __future__ import annotations

import re
from collections.abc import Callable
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vmio.bench.jobs import DEFAULT_JOBS, JobFigures
from vmio.bench.result import Comparison, JobResult, Measurement, Pair, ThreadLoad
from vmio.report.comparison.svg import (
    draw_host_cpu,
    draw_intervals,
    draw_latencies,
    draw_pairs,
    draw_ratios,
    draw_tails,
)
from vmio.report.figures import format_rate, format_ratio
from vmio.values import replace

DRAWERS = (*(draw_pairs, draw_ratios, draw_intervals, draw_tails, draw_latencies, draw_host_cpu),)
FIGURES = st.builds(
    JobFigures,
    iops=st.floats(1e-2, 1e9),
    bandwidth_bytes_per_s=st.floats(1, 1e12),
    requests=st.integers(1, 10**9),
    runtime_s=st.floats(0.1, 60),
    latency_mean_ns=st.floats(1, 1e12),
    latency_p50_ns=st.floats(1, 1e12),
    latency_p99_ns=st.floats(1, 1e12),
    latency_p999_ns=st.floats(1, 1e12),
    guest_cpu_user_share=st.floats(0, 1),
    guest_cpu_system_share=st.floats(0, 1),
)
LOADS = st.builds(
    ThreadLoad,
    name=st.sampled_from(["main loop", "io0"]),
    kind=st.sampled_from(["main loop", "iothread", "vcpu", "other"]),
    cpu_share=st.floats(0, 64),
    run_delay_share=st.floats(0, 64),
)
RUNS = st.builds(Measurement, figures=FIGURES, threads=st.lists(LOADS, max_size=3).map(tuple))
PAIRS = st.builds(Pair, first=st.sampled_from(["A", "B"]), a=RUNS, b=RUNS)


@settings(max_examples=50)
@given(st.lists(PAIRS, min_size=2, max_size=6))
def test_charts_keep_every_mark_inside(pairs: list[Pair]) -> None:
    """Whatever was measured, no mark and no label is drawn outside of the picture."""
    result = JobResult(job=DEFAULT_JOBS[0], pairs=tuple(pairs))
    for draw in DRAWERS:
        svg = draw(result, prefix="x")
        root = ET.fromstring(svg)  # noqa: S314  # our own output
        assert not re.search(r"\b(?:nan|inf)\b", svg.partition("</desc>")[2])
        for element in root.iter():
            for name in ("x", "x1", "x2", "cx"):
                assert -1 <= float(element.get(name, "0")) <= 321
            for name in ("y", "y1", "y2", "cy"):
                assert 0 <= float(element.get(name, "0")) <= 196


def test_draw_pairs_marks_every_run(comparison: Comparison) -> None:
    """Five circles for A, five diamonds for B, and the figures in words."""
    svg = draw_pairs(comparison.jobs[1], prefix="x")
    assert svg.count('<circle class="a"') == 5
    assert svg.count('<path class="b"') == 5
    assert "pair 1: A 17.4k, B 29.6k" in svg
    assert "busy" not in svg


def test_busy_pairs_are_marked(comparison: Comparison) -> None:
    """They are shaded where each pair has a place, hollow among the ratios, and named in words."""
    result = comparison.jobs[1]
    waiting = ThreadLoad(name="vCPU 0", kind="vcpu", cpu_share=0.5, run_delay_share=0.4)
    pairs = tuple(
        replace(pair, a=replace(pair.a, threads=(waiting,))) if number in {1, 3} else pair
        for number, pair in enumerate(result.pairs)
    )
    busy = replace(result, pairs=pairs)
    for draw in (draw_pairs, draw_tails):
        svg = draw(busy, prefix="x")
        bands = re.findall(r'<rect class="busy" x="([\d.]+)"', svg)
        assert bands == ["98.4", "203.2"]
        assert "pair 2 (busy host): A " in svg
        assert "pair; shaded: busy host" in svg
    svg = draw_ratios(busy, prefix="x")
    assert (svg.count('class="b hollow"'), svg.count('class="b faint"')) == (2, 3)


def test_draw_intervals_has_each_figure_that_is_compared(comparison: Comparison) -> None:
    """With its ratio, its interval and its verdict in words."""
    svg = draw_intervals(comparison.jobs[1], prefix="x")
    labels = ["IOPS", "p99", "p99.9", "CPU per request"]
    assert [label for label in re.findall(r">([^<]+)</text>", svg) if label in labels] == labels
    assert "IOPS 1.64 times (1.50 to 1.79), higher; p99 0.61 times" in svg
    assert svg.count('class="interval"') == 4


def test_draw_ratios_says_the_interval(comparison: Comparison) -> None:
    """The words for those who cannot see it are the verdict's."""
    assert "Mean ratio 1.64, 95% interval 1.50 to 1.79: faster." in draw_ratios(
        comparison.jobs[1], prefix="x"
    )


def test_interval_that_goes_on_has_an_arrowhead_at_that_end(
    make_comparison: Callable[..., Comparison],
) -> None:
    """One that ends inside of the picture has none."""
    assert "arrow" not in draw_ratios(make_comparison().jobs[1], prefix="x")
    wide = make_comparison(drop=3).jobs[1]
    rates = ((100.0, 100.0), (100.0, 150.0))
    pairs = tuple(
        replace(
            pair,
            a=replace(pair.a, figures=replace(pair.a.figures, iops=a)),
            b=replace(pair.b, figures=replace(pair.b.figures, iops=b)),
        )
        for pair, (a, b) in zip(wide.pairs, rates, strict=True)
    )
    result = JobResult(job=wide.job, pairs=pairs)
    svg = draw_ratios(result, prefix="x")
    line = re.search(r'class="interval" x1="([\d.]+)" y1="[\d.]+" x2="([\d.]+)"', svg)
    assert line is not None
    tips = [float(tip) for tip in re.findall(r'class="b arrow" d="M([\d.]+) ', svg)]
    assert tips == [float(line[1]), float(line[2])] == [12.0, 308.0]


def test_draw_host_cpu_adds_threads_up_by_kind(comparison: Comparison) -> None:
    """Both vCPUs are one part of the bar, and all IOThreads another."""
    svg = draw_host_cpu(comparison.jobs[1], prefix="x")
    assert "B: main loop 0.09, IOThreads 0.44, vCPUs 0.73, workers and others 0.02." in svg


def test_draw_host_cpu_takes_a_run_without_samples(
    make_comparison: Callable[..., Comparison],
) -> None:
    """A run too short to be sampled is drawn as nothing."""
    result = make_comparison().jobs[0]
    pairs = tuple(
        replace(pair, a=replace(pair.a, threads=()), b=replace(pair.b, threads=()))
        for pair in result.pairs
    )
    assert "A: main loop 0.00" in draw_host_cpu(JobResult(job=result.job, pairs=pairs), prefix="x")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (7.25, "7.25"), (999.4, "999"), (999.6, "1k"), (12345, "12.3k"), (5e6, "5M")],
)
def test_format_rate_has_three_digits(value: float, text: str) -> None:
    """Rates are as exact as they are known, with their thousands as letters."""
    assert format_rate(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(1.618, "1.62"), (12.34, "12.3"), (0.0678, "0.0678"), (1e300, ">1000")]
)
def test_format_ratio_keeps_what_matters(value: float, text: str) -> None:
    """A ratio has two decimals where it can be compared, and a bound where it cannot."""
    assert format_ratio(value) == text
