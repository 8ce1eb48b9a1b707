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
    """One stage on the path of a request."""

    name: str
    """`volume`, `opened`, `over`, `cache`, `engine`, `limits`, `device`, `controller`, `queues` or
    `thread`; a disk that several threads serve has a `thread` stage for each."""
    text: str


class ExplainedSettingData(TypedDict):
    """One setting of a disk."""

    name: str
    written: str
    """The value in the config; empty if not set."""
    verdict: Verdict
    """`default`: not set in the config."""
    value: str
    """The value in force; empty if it has no effect."""
    by: str
    """Who uses it, ignores it, or chose it."""
    why: str
    became: list[str]
    """The part of the command line that sets it."""
    remedies: list[str]
    """How to make it take effect, or improve it."""


class DiskFindingData(TypedDict):
    """A finding about a disk."""

    code: str
    severity: Severity
    message: str
    fix: str | None


class ExplainedDiskData(TypedDict):
    """Everything known about a disk."""

    disk: str
    dropped: str | None
    """Why the guest does not get the disk; null if it does."""
    line: str
    """The disk's text in the config; empty if it has none."""
    place: str
    """The file and the line."""
    stages: list[StageData]
    """From the volume to the thread."""
    settings: list[ExplainedSettingData]
    """The settings in the config, in its order, then the others."""
    guest: list[str]
    """What the guest sees."""
    arguments: list[str]
    """The parts of the command line that create the disk."""
    findings: list[DiskFindingData]


class ExplanationData(GuestData):
    """The requested disk, or all."""

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
