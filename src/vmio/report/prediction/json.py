"""A prediction, or the predictions of a sweep, as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypedDict

from vmio.report.envelope import Count, render_document

if TYPE_CHECKING:
    from vmio.sim.simulator import Estimate, Prediction
    from vmio.sim.sweep import Grid, SweepPoint

__all__ = [
    "PredictionData",
    "SweepData",
    "describe_prediction",
    "render_prediction_json",
    "render_sweep_json",
]


class EstimateData(TypedDict):
    """A figure; if the outcome is bistable, the ends are the two outcomes."""

    mean: float | None
    """Mean over the seeds; null if the outcome is bistable."""
    low: float
    """The lower end of the 95 % interval of the mean."""
    high: float


class LoopData(TypedDict):
    """One event loop."""

    id: str
    """An IOThread's id, or `main loop`."""
    cpu_share: EstimateData
    """In processors: 1.0 is one processor all the time."""
    polling_share: EstimateData
    """Fraction of the time in which it polls."""
    work_share: EstimateData
    """Fraction of the time in which it uses a processor otherwise."""
    sleeps_per_request: EstimateData
    """Number per request of all loops."""
    polled_share: EstimateData
    """Fraction of its waits that ended while it polled."""


class PredictionData(TypedDict):
    """The predicted behaviour of a layout under a load; nothing was measured."""

    profile: str
    """The costs used."""
    workload: str
    """The load on each disk."""
    qemu_version: str
    seeds: Count
    requests: Count
    """The number measured in each run."""
    bistable: bool
    """Whether the outcome depends on the initial polling times, so that there is no mean."""
    iops: EstimateData
    latency_mean_ns: EstimateData
    latency_p50_ns: EstimateData
    latency_p95_ns: EstimateData
    latency_p99_ns: EstimateData
    cpu_share: EstimateData
    """All event loops together, in processors."""
    vcpu_share: EstimateData
    """Utilisation of the guest's vCPUs by these requests; near 1 the guest is the limit."""
    loops: list[LoopData]
    notes: list[str]
    """What the model does not take into account for this layout."""
    warnings: list[str]
    """Why it may not apply to a guest of this host."""


class ParameterData(TypedDict):
    """A parameter that was varied."""

    name: str
    today: int | None
    """The guest's current value; null if it has none, or several."""


class PointData(TypedDict):
    """A combination of values, and its prediction."""

    values: dict[str, int]
    """By the name of the parameter."""
    is_today: bool
    prediction: PredictionData


class SweepData(TypedDict):
    """Predictions for all combinations of some parameters' values."""

    parameters: list[ParameterData]
    points: list[PointData]


def render_prediction_json(prediction: Prediction) -> str:
    """Returns a prediction as a document."""
    return render_document("prediction", describe_prediction(prediction))


def render_sweep_json(grid: Grid, points: Sequence[SweepPoint]) -> str:
    """Returns the parameters, and the prediction for each of their combinations, as a document."""
    names = [sweep.parameter for sweep in grid.sweeps]
    data: SweepData = {
        "parameters": [{"name": each.parameter, "today": each.today} for each in grid.sweeps],
        "points": [
            {
                "values": dict(zip(names, point.values, strict=True)),
                "is_today": point.is_today,
                "prediction": describe_prediction(point.prediction),
            }
            for point in points
        ],
    }
    return render_document("sweep", data)


def describe_prediction(prediction: Prediction) -> PredictionData:
    """Returns a prediction's data."""

    def describe(value: Estimate) -> EstimateData:
        mean = None if prediction.bistable else value.mean
        return {"mean": mean, "low": value.low, "high": value.high}

    return {
        "profile": prediction.profile,
        "workload": prediction.workload,
        "qemu_version": prediction.qemu_version,
        "seeds": prediction.seeds,
        "requests": prediction.requests,
        "bistable": prediction.bistable,
        "iops": describe(prediction.iops),
        "latency_mean_ns": describe(prediction.latency_mean_ns),
        "latency_p50_ns": describe(prediction.latency_p50_ns),
        "latency_p95_ns": describe(prediction.latency_p95_ns),
        "latency_p99_ns": describe(prediction.latency_p99_ns),
        "cpu_share": describe(prediction.cpu_share),
        "vcpu_share": describe(prediction.vcpu_share),
        "loops": [
            {
                "id": loop.id,
                "cpu_share": describe(loop.cpu_share),
                "polling_share": describe(loop.polling_share),
                "work_share": describe(loop.work_share),
                "sleeps_per_request": describe(loop.sleeps_per_request),
                "polled_share": describe(loop.polled_share),
            }
            for loop in prediction.loops
        ],
        "notes": list(prediction.notes),
        "warnings": list(prediction.warnings),
    }
