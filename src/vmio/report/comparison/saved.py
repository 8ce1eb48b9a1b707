"""Reads what `vmio bench --json` printed, to compare it with a later result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from msgspec import ValidationError, convert

from vmio.bench.regression import SavedComparison
from vmio.bounds import load_json
from vmio.errors import InputError
from vmio.report.envelope import SCHEMAS
from vmio.values import explain

if TYPE_CHECKING:
    from vmio.model.source import Source

__all__ = ["MEASURED", "parse_comparison"]

MEASURED: Final = frozenset(
    {
        *("iops_ratio", "iops_ratio_low", "iops_ratio_high", "confidence", "margin", "anytime"),
        *("verdict", "latency_p99_ratio", "latency_p999_ratio", "cpu_ratio", "a", "b", "pairs"),
        *("flush_p99_ratio", "host_share_a", "host_share_b"),
    }
)
"""The fields of a job that say how it was decided and what was found; the others define it."""
_LONGEST_REASON: Final = 300
_HINT: Final = "vmio bench A B --json > FILE writes one"


def parse_comparison(source: Source) -> SavedComparison:
    """Reads a saved comparison; fields that it does not need are not looked at.

    A later vmio may have written more of them, because fields may be added to a schema.

    Raises:
        InputError: It is not the result of a comparison, or of another version of its form.
    """
    name = source.name
    try:
        document = load_json(source.data)
    except ValueError as error:
        raise InputError(
            f"{name} is not JSON: {str(error)[:_LONGEST_REASON]}", hint=_HINT
        ) from error
    if not isinstance(document, dict) or document.get("kind") != "comparison":
        raise InputError(f"{name} is not the result of a comparison", hint=_HINT)
    if document.get("schema") != SCHEMAS["comparison"]:
        raise InputError(
            f"{name} is a result in a form that this vmio does not know",
            hint="measure again, or use the vmio that wrote it",
        )
    if not isinstance(data := document.get("data"), dict):
        raise InputError(f"{name} is not the result of a comparison: it has no data", hint=_HINT)
    table = _arrange(data) | {"file": name, "vmio_version": document.get("vmio")}
    try:
        return convert(table, SavedComparison)
    except ValidationError as error:
        reason = explain(error, "a result")[:_LONGEST_REASON]
        raise InputError(f"{name} is not the result of a comparison: {reason}") from error


def _arrange(data: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a document's data with the parts where `SavedComparison` has them."""
    jobs = data.get("jobs")
    return {
        **data,
        "a": _arrange_subject(data.get("a")),
        "b": _arrange_subject(data.get("b")),
        "jobs": [_arrange_job(job) for job in jobs] if isinstance(jobs, list) else jobs,
    }


def _arrange_subject(subject: object) -> object:
    """Returns a side with its layout, without its threads' numbers and its scratch files."""
    if not isinstance(subject, dict) or not isinstance(subject.get("topology"), dict):
        return subject
    layout = {key: value for key, value in subject["topology"].items() if key != "host_threads"}
    if isinstance(disks := layout.get("disks"), list):
        layout["disks"] = [
            {key: value for key, value in disk.items() if key not in {"file", "volume"}}
            for disk in disks
            if isinstance(disk, dict)
        ]
    return {**subject, "layout": layout}


def _arrange_job(job: object) -> object:
    """Returns a job with the settings that define it in one place."""
    if not isinstance(job, dict):
        return job
    settings = {key: value for key, value in job.items() if key not in {*MEASURED, "name"}}
    return {**job, "settings": settings}
