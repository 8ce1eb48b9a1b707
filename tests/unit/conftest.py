"""What the unit tests share: predictions made by hand, and a host on which no guest runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from vmio.host import running
from vmio.sim.simulator import Estimate, LoopEstimate, Prediction


@pytest.fixture(autouse=True)
def no_guests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps the QEMUs that run beside the tests out of what verbs find without an address."""
    monkeypatch.setattr(running, "ROOT", Path("/nowhere"))


def _make_prediction(
    latency_us: float | tuple[float, float],
    cpu: float | tuple[float, float],
    *,
    notes: tuple[str, ...] = (),
    loop: str = "iot0",
) -> Prediction:
    """Returns a prediction; one with a range in it is bistable."""

    def estimate(value: float | tuple[float, float]) -> Estimate:
        low, high = value if isinstance(value, tuple) else (value, value)
        return Estimate(mean=(low + high) / 2, low=low, high=high)

    spans = [each if isinstance(each, tuple) else (each, each) for each in (latency_us, cpu)]
    latency_ns = estimate((spans[0][0] * 1000, spans[0][1] * 1000))
    share = estimate(0.5)
    return Prediction(
        profile="bench-host, not this host",
        workload="4k-randread-qd1",
        qemu_version="10.0.2",
        seeds=5,
        requests=5000,
        bistable=isinstance(latency_us, tuple) or isinstance(cpu, tuple),
        iops=Estimate(
            mean=1e9 / (latency_ns.mean or 1),
            low=1e9 / (latency_ns.high or 1),
            high=1e9 / (latency_ns.low or 1),
        ),
        latency_mean_ns=latency_ns,
        latency_p50_ns=latency_ns,
        latency_p95_ns=latency_ns,
        latency_p99_ns=latency_ns,
        cpu_share=estimate(cpu),
        vcpu_share=share,
        loops=(
            LoopEstimate(
                id=loop,
                cpu_share=estimate(cpu),
                polling_share=estimate(0),
                work_share=estimate(cpu),
                sleeps_per_request=share,
                polled_share=share,
            ),
        ),
        notes=notes,
    )


@pytest.fixture(scope="session")
def make_prediction() -> Callable[..., Prediction]:
    """Returns what makes predictions by hand, of latencies in µs and processors."""
    return _make_prediction
