"""What counts as better, and how it is written."""

from __future__ import annotations

import math

import pytest

from vmio.bench.jobs import JobFigures
from vmio.bench.result import Measurement, Pair, ThreadLoad
from vmio.errors import UsageError
from vmio.tune.objective import Gains, find_front, measure_gains, parse_objective


def make_run(iops: float, p99_ns: float, cpu: float) -> Measurement:
    """Returns a run with these figures."""
    figures = JobFigures(
        iops=iops,
        bandwidth_bytes_per_s=1.0,
        requests=1,
        runtime_s=1.0,
        latency_mean_ns=1.0,
        latency_p50_ns=1.0,
        latency_p99_ns=p99_ns,
        latency_p999_ns=1.0,
        guest_cpu_user_share=0.0,
        guest_cpu_system_share=0.0,
    )
    return Measurement(
        figures=figures,
        threads=(ThreadLoad(name="main loop", kind="main loop", cpu_share=cpu),),
    )


def test_gains_are_above_zero_if_the_candidate_is_better() -> None:
    """Twice the requests, half the latency and half the CPU of a request each are log 2."""
    pair = Pair(first="A", a=make_run(100, 1000, 0.5), b=make_run(200, 500, 0.5))
    gains = measure_gains(pair)
    assert gains.iops == pytest.approx(math.log(2))
    assert gains.p99 == pytest.approx(math.log(2))
    assert gains.cpu == pytest.approx(math.log(2))


def test_gains_lack_the_cpu_that_was_not_sampled() -> None:
    """A run without CPU time has no CPU time of a request, rather than none at all."""
    pair = Pair(first="A", a=make_run(100, 1000, 0.0), b=make_run(200, 500, 0.5))
    assert measure_gains(pair).cpu is None
    assert parse_objective("cpu").score([measure_gains(pair)]) is None


@pytest.mark.parametrize(
    ("text", "name"),
    [("iops", "iops"), ("p99", "p99"), ("iops:2,cpu:1", "iops:0.67,cpu:0.33"), ("p99,cpu", None)],
)
def test_objective_is_parsed(text: str, name: str | None) -> None:
    """One metric, or two whose weights add up to one."""
    objective = parse_objective(text)
    assert math.fsum(weight for _, weight in objective.weights) == pytest.approx(1)
    assert objective.name == (name or "p99:0.5,cpu:0.5")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "speed",
        "iops,iops",
        "iops:",
        "iops:0",
        "iops:-1",
        "iops:nan",
        "iops,p99,cpu",
        "cpu:1e9",
    ],
)
def test_objective_refuses_others(text: str) -> None:
    """Nothing else is one, and no weight is zero, negative or no number."""
    with pytest.raises(UsageError, match="is not an objective"):
        parse_objective(text)


def test_score_weighs_metrics_and_averages_jobs() -> None:
    """Two jobs and two metrics come to one number."""
    objective = parse_objective("iops:3,cpu:1")
    jobs = [Gains(iops=0.4, p99=9.0, cpu=0.0), Gains(iops=0.0, p99=9.0, cpu=0.8)]
    assert objective.score(jobs) == pytest.approx(0.75 * 0.2 + 0.25 * 0.4)


@pytest.mark.parametrize("value", [math.nan, math.inf, 51.0])
def test_gains_refuse_what_no_run_can_give(value: float) -> None:
    """A journal with a number that is none is not read."""
    with pytest.raises(ValueError, match="iops"):
        Gains(iops=value, p99=0.0)


def test_front_has_what_nothing_is_better_than() -> None:
    """A point as good in one and worse in the other is not on it."""
    points = {"a": (1.0, 0.0), "b": (0.5, 0.5), "c": (0.5, 0.4), "d": (0.0, 1.0), "e": (0.0, 0.2)}
    assert find_front(points) == ("a", "b", "d")
    assert find_front({}) == ()
