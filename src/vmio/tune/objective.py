"""What a search makes better, as one number for each pair of runs; pure.

A pair's figures are natural logarithms of ratios to the guest as it is, measured seconds before or
after; all are positive if the candidate is better.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Final, Literal, TypeVar, get_args

from msgspec import Struct

from vmio.bench.result import Measurement, Pair
from vmio.errors import UsageError
from vmio.values import check_between

__all__ = ["Gains", "Metric", "Objective", "find_front", "measure_gains", "parse_objective"]

Metric = Literal["iops", "p99", "cpu"]
"""Requests a second; the 99th percentile of the latency; host CPU time of a request."""

_METRICS: Final[tuple[Metric, ...]] = get_args(Metric)
_LARGEST_LOG: Final = 50.0
"""More than any ratio of two runs."""
_LARGEST_WEIGHT: Final = 100.0
_Key = TypeVar("_Key")


class Gains(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One pair of runs of one job: logarithms of ratios, above zero if the candidate is better."""

    iops: float
    p99: float
    cpu: float | None = None
    """None if no CPU time was sampled in one of the runs."""
    busy: bool = False
    """Whether the host was too busy during one of the runs to trust them."""

    def __post_init__(self) -> None:
        for metric in _METRICS:
            value = getattr(self, metric)
            if value is not None and math.isnan(value):
                raise ValueError(f"{metric} is not a number")
            check_between(metric, value, -_LARGEST_LOG, _LARGEST_LOG)


class Objective(Struct, frozen=True, kw_only=True):
    """What is to be better: one metric, or two with weights."""

    weights: tuple[tuple[Metric, float], ...]
    """Their sum is 1."""

    @property
    def name(self) -> str:
        """Returns it as it is written: `iops`, or `iops:0.67,cpu:0.33`."""
        if len(self.weights) == 1:
            return self.weights[0][0]
        return ",".join(f"{metric}:{weight:.2g}" for metric, weight in self.weights)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Returns the metrics that count."""
        return tuple(metric for metric, _ in self.weights)

    def score(self, jobs: Sequence[Gains]) -> float | None:
        """Returns the gain of one pair of runs of each job; None if a metric was not measured.

        It is the weighted mean over the metrics, and the mean over the jobs.
        """
        values = [self.average(metric, jobs) for metric in self.metrics]
        known = [value for value in values if value is not None]
        if len(known) < len(values):
            return None
        return math.fsum(w * v for (_, w), v in zip(self.weights, known, strict=True))

    @staticmethod
    def average(metric: Metric, jobs: Sequence[Gains]) -> float | None:
        """Returns the mean gain over jobs in one metric; None if it was not measured."""
        values: list[float | None] = [getattr(gains, metric) for gains in jobs]
        known = [value for value in values if value is not None]
        return math.fsum(known) / len(known) if known and len(known) == len(values) else None


def parse_objective(text: str) -> Objective:
    """Parses `iops`, `p99`, `cpu`, or two of them with weights such as `iops:2,cpu:1`.

    Raises:
        UsageError: It is neither.
    """
    weights: dict[Metric, float] = {}
    for part in text.split(","):
        name, colon, number = part.strip().partition(":")
        metric = next((each for each in _METRICS if each == name), None)
        is_weight = re.fullmatch(r"\d{1,3}(\.\d{1,3})?", number, re.ASCII) is not None
        weight = float(number) if is_weight else 1.0
        if (
            metric is None
            or metric in weights
            or (colon and not is_weight)
            or not 0 < weight <= _LARGEST_WEIGHT
        ):
            raise _refuse(text)
        weights[metric] = weight
    if len(weights) > 2:  # noqa: PLR2004  # a front of three cannot be drawn
        raise _refuse(text)
    total = math.fsum(weights.values())
    return Objective(weights=tuple((name, weight / total) for name, weight in weights.items()))


def _refuse(text: str) -> UsageError:
    return UsageError(
        f"{text[:60]!r} is not an objective",
        hint=f"it is {', '.join(_METRICS)}, or two of them with weights such as iops:2,cpu:1",
    )


def measure_gains(pair: Pair) -> Gains:
    """Returns what B of a pair is better in than A."""
    a, b = pair.a, pair.b
    return Gains(
        iops=_log_ratio(b.figures.iops, a.figures.iops),
        p99=_log_ratio(a.figures.latency_p99_ns, b.figures.latency_p99_ns),
        cpu=_log_ratio(_cost(a), _cost(b)) if _cost(a) > 0 and _cost(b) > 0 else None,
        busy=pair.busy,
    )


def find_front(points: Mapping[_Key, tuple[float, float]]) -> tuple[_Key, ...]:
    """Returns the points that none other is at least as good as in both and better in one.

    Args:
        points: The gains in two metrics, above zero if better.

    Returns:
        The Pareto front, the best in the first metric first.
    """
    front: list[_Key] = []
    highest = -math.inf
    # In falling order of the first: each that is the best so far in the second is on the front.
    for key, (_, second) in sorted(points.items(), key=lambda item: item[1], reverse=True):
        if second > highest:
            front.append(key)
            highest = second
    return tuple(front)


def _cost(run: Measurement) -> float:
    return run.host_cpu_share / run.figures.iops


def _log_ratio(numerator: float, denominator: float) -> float:
    value = math.log(numerator) - math.log(denominator)
    return max(-_LARGEST_LOG, min(_LARGEST_LOG, value))
