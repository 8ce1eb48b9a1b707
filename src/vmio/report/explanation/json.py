"""Explanations of disks as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypedDict

from vmio.lint.diagnostic import Severity
from vmio.lint.explain import Explanation, Setting
from vmio.model.topology import Verdict
from vmio.report.envelope import GuestData, render_document
from vmio.report.explanation.guest import ExplainedGuest
from vmio.report.explanation.words import (
    describe_remedies,
    describe_setting,
    list_sights,
    list_stages,
    name_actor,
)

__all__ = [
    "ExplanationData",
    "ExplanationsData",
    "render_explanation_json",
    "render_explanations_json",
]


class StageData(TypedDict):
    """One stage on the way of a request."""

    name: str
    """`volume`, `opened`, `over`, `cache`, `engine`, `limits`, `device`, `controller`, `queues` or
    `thread`; where several threads serve the disk, each has a stage."""
    text: str


class ExplainedSettingData(TypedDict):
    """One setting of a disk."""

    name: str
    written: str
    """As it is written; empty where nothing is."""
    verdict: Verdict
    """`default`: it is not written."""
    value: str
    """What is in force; empty where it has no effect."""
    by: str
    """Who heeds it, ignores it, or chose it."""
    why: str
    became: list[str]
    """What says it on the command line."""
    remedies: list[str]
    """What would make it take effect, or better."""


class DiskFindingData(TypedDict):
    """What a rule found about a disk."""

    code: str
    severity: Severity
    message: str
    fix: str | None


class ExplainedDiskData(TypedDict):
    """All that is known of a disk."""

    disk: str
    dropped: str | None
    """Why the guest does not get it; null if it does."""
    line: str
    """What is written of the disk as a whole; empty where nothing is."""
    place: str
    """The file and the line."""
    stages: list[StageData]
    """From the volume to the thread."""
    settings: list[ExplainedSettingData]
    """What is written, in its order, and then what is not."""
    guest: list[str]
    """What the guest sees."""
    arguments: list[str]
    """What makes the disk on the command line."""
    findings: list[DiskFindingData]


class ExplanationData(GuestData):
    """The disk that was asked for, or all."""

    disks: list[ExplainedDiskData]


class ExplainedGuestData(ExplanationData):
    """One guest of several."""

    path: str
    """Its config, or `pid:NUMBER`."""
    node: str
    """The host that it belongs to; empty where that is not known."""
    error: str | None
    """Why it cannot be read."""


class ExplanationsData(TypedDict):
    """The disks of several guests."""

    guests: list[ExplainedGuestData]


def render_explanations_json(guests: Iterable[ExplainedGuest]) -> str:
    """Returns the explanations of several guests as a document."""
    data: ExplanationsData = {
        "guests": [
            {
                "vm": guest.name,
                "origin": guest.origin,
                "path": guest.path,
                "node": guest.node,
                "disks": list(map(_describe, guest.stories)),
                "error": guest.error.message if guest.error is not None else None,
            }
            for guest in guests
        ]
    }
    return render_document("explanations", data)


def render_explanation_json(explanations: Sequence[Explanation], *, vm: str, origin: str) -> str:
    """Returns explanations as a document."""
    data: ExplanationData = {
        "vm": vm,
        "origin": origin,
        "disks": list(map(_describe, explanations)),
    }
    return render_document("explanation", data)


def _describe(explanation: Explanation) -> ExplainedDiskData:
    way = explanation.way
    return {
        "disk": explanation.disk,
        "dropped": explanation.dropped or None,
        "line": explanation.line,
        "place": explanation.place,
        "stages": [
            {"name": stage.name, "text": stage.text}
            for stage in (list_stages(way) if way is not None else ())
        ],
        "settings": list(map(_describe_setting, explanation.settings)),
        "guest": list(list_sights(way)) if way is not None else [],
        "arguments": list(explanation.arguments),
        "findings": [
            {
                "code": finding.code,
                "severity": finding.severity,
                "message": finding.message,
                "fix": finding.fix.message if finding.fix is not None else None,
            }
            for finding in explanation.findings
        ],
    }


def _describe_setting(setting: Setting) -> ExplainedSettingData:
    return {
        "name": setting.name,
        "written": setting.written,
        "verdict": setting.verdict,
        "value": setting.value,
        "by": name_actor(setting.by),
        "why": describe_setting(setting),
        "became": list(setting.became),
        "remedies": list(describe_remedies(setting)),
    }
