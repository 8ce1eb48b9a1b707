"""A comparison as JSON.

The shape is stable within a `schema` number: fields may be added, none changes its meaning.
docs/schema/comparison.md tells what each of them says.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import attrs

from vmio.report.layout.json import describe_topology

if TYPE_CHECKING:
    from vmio.bench.result import Comparison, JobResult, Measurement, Subject, Summary

__all__ = ["SCHEMA", "describe_comparison", "render_comparison_json"]

SCHEMA = 1


def render_comparison_json(comparison: Comparison) -> str:
    """Returns a comparison as JSON text."""
    return json.dumps(
        describe_comparison(comparison), indent=2, ensure_ascii=False, allow_nan=False
    )


def describe_comparison(comparison: Comparison) -> dict[str, Any]:
    """Returns a comparison as plain dicts and lists, numbers with their units in their names."""
    return {
        "schema": SCHEMA,
        "vmio_version": comparison.vmio_version,
        "started_at": comparison.started_at,
        "duration_s": comparison.duration_s,
        "disk": comparison.disk,
        "volume": comparison.volume,
        "device": comparison.device,
        "accelerator": comparison.accelerator,
        "accelerator_reason": comparison.accelerator_reason,
        "qemu_version": comparison.qemu_version,
        "fio_version": comparison.fio_version,
        "guest": comparison.guest,
        "host": attrs.asdict(comparison.host),
        "a": _describe_subject(comparison.a),
        "b": _describe_subject(comparison.b),
        "jobs": [_describe_job(result) for result in comparison.jobs],
    }


def _describe_subject(subject: Subject) -> dict[str, Any]:
    return {
        "name": subject.name,
        "title": subject.title,
        "boot_s": subject.boot_s,
        "argv": list(subject.argv),
        "config_argv": list(subject.config_argv),
        "topology": describe_topology(subject.topology),
    }


def _describe_job(result: JobResult) -> dict[str, Any]:
    ratio = result.iops_ratio
    return attrs.asdict(result.job) | {
        "iops_ratio": ratio.ratio,
        "iops_ratio_low": ratio.low,
        "iops_ratio_high": ratio.high,
        "confidence": ratio.confidence,
        "verdict": ratio.verdict,
        "a": _describe_summary(result.a),
        "b": _describe_summary(result.b),
        "pairs": [
            {
                "first": pair.first,
                "a": _describe_measurement(pair.a),
                "b": _describe_measurement(pair.b),
            }
            for pair in result.pairs
        ],
    }


def _describe_summary(summary: Summary) -> dict[str, Any]:
    return attrs.asdict(summary) | {
        "requests_per_host_cpu_s": summary.requests_per_host_cpu_s,
        "threads": [attrs.asdict(load) for load in summary.threads],
    }


def _describe_measurement(measurement: Measurement) -> dict[str, Any]:
    figures = attrs.asdict(measurement.figures)
    del figures["fio_version"]
    return figures | {"threads": [attrs.asdict(load) for load in measurement.threads]}
