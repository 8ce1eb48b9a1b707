"""A calibration as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from msgspec import structs

from vmio.report.envelope import Count, render_document

if TYPE_CHECKING:
    from vmio.bench.calibrate import Calibration
    from vmio.sim.fitting import Residual
    from vmio.sim.profile import Profile

__all__ = ["CalibrationData", "render_calibration_json"]


class ServiceTimesData(TypedDict):
    """The service times of a disk."""

    depth: Count
    """Requests in flight."""
    quantiles_ns: list[Count]
    """The shortest, the longest, and quantiles at even steps of probability between them."""


class ProfileData(TypedDict):
    """The costs that a prediction uses."""

    name: str
    is_this_host: bool
    host: str
    """Identifies the host."""
    accelerator: str
    """The accelerator of the measured guest, `kvm` or `tcg`; empty if not known."""
    processors: Count
    """Of the host."""
    costs: dict[str, Count]
    """The cost of each step, by its name in the profile's file, which ends in its unit."""
    service: list[ServiceTimesData]
    """In ascending order of depth."""
    sources: dict[str, str]
    """The source of a number, by its name."""


class MeasuredLoadData(TypedDict):
    """A load as measured, and as predicted with these costs."""

    workload: str
    poll_max_ns: Count | None
    """null for a load of the main loop."""
    iops: float
    """As measured, like each figure with a `predicted` one beside it."""
    iops_predicted: float
    latency_mean_ns: float
    latency_mean_predicted_ns: float
    cpu_share: float
    """Of the loaded event loop, in processors."""
    cpu_share_predicted: float
    interrupts: float
    """Interrupts of the guest for each request."""
    interrupts_predicted: float
    interrupted: float
    """Fraction of the time that the vCPU was on the processor that gets the disk's interrupts."""


class CalibrationData(TypedDict):
    """The costs on a host, and the accuracy of predictions made with them."""

    profile: ProfileData
    loads: list[MeasuredLoadData]


def render_calibration_json(found: Calibration) -> str:
    """Returns the profile, and the loads as measured and as predicted, as a document."""
    data: CalibrationData = {
        "profile": _describe_profile(found.profile),
        "loads": [_describe_load(each) for each in found.residuals],
    }
    return render_document("calibration", data)


def _describe_profile(profile: Profile) -> ProfileData:
    return {
        "name": profile.name,
        "is_this_host": profile.is_this_host,
        "host": profile.host,
        "accelerator": profile.accelerator,
        "processors": profile.processors,
        "costs": structs.asdict(profile.costs),
        "service": [
            {"depth": table.depth, "quantiles_ns": list(table.quantiles_ns)}
            for table in profile.service
        ],
        "sources": dict(profile.sources),
    }


def _describe_load(each: Residual) -> MeasuredLoadData:
    seen, predicted = each.observation, each.predicted
    iothreads = seen.topology.iothreads
    return {
        "workload": seen.workload.name,
        "poll_max_ns": iothreads[0].poll_max_ns if iothreads else None,
        "iops": seen.iops,
        "iops_predicted": predicted.iops,
        "latency_mean_ns": seen.latency_mean_ns,
        "latency_mean_predicted_ns": predicted.latency_mean_ns,
        "cpu_share": seen.loop_cpu_share,
        "cpu_share_predicted": predicted.loop_cpu_shares[0],
        "interrupts": seen.interrupts,
        "interrupts_predicted": predicted.interrupts,
        "interrupted": seen.interrupted,
    }
