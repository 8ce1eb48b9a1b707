"""Findings as JSON, written file by file."""

from __future__ import annotations

import json
from typing import Annotated, TypedDict

from vmio.errors import VmioError
from vmio.lint.diagnostic import Applicability, CheckedFile, Diagnostic, Fix, Severity
from vmio.model.source import Source, Span
from vmio.report.envelope import Count, begin_document
from vmio.report.findings.summary import Report, RuleCount, Summary, readable

__all__ = ["FindingsData", "JsonReport"]

_FromOne = Annotated[int, ("minimum", 1)]


class ReasonData(TypedDict):
    """Why something was not done."""

    message: str
    hint: str
    """What to do about it; empty if not known."""


class LocationData(TypedDict):
    """A place in a file."""

    line: _FromOne
    column: _FromOne
    """In characters."""
    width: _FromOne
    """In characters."""
    start_byte: Count
    """From 0."""
    end_byte: Count
    """The byte after the last one."""


class EditData(TypedDict):
    """A replacement of bytes in a file."""

    start_byte: Count
    end_byte: Count
    text: str
    """The new text of these bytes."""


class FixData(TypedDict):
    """A change that resolves a finding."""

    applicability: Applicability
    """`safe`: vmio may apply it by itself; `unsafe`: on request; `manual`: only by a person."""
    message: str
    edits: list[EditData]
    """Empty if only a person can decide what to write."""


class FindingData(TypedDict):
    """What a rule found at one place."""

    code: Annotated[str, ("pattern", "^[A-Z]{2}[0-9]{3}$")]
    name: str
    """The rule's name."""
    severity: Severity
    """`error`: the guest does not start or loses a disk, or data is at risk; `warning`: a setting
    has no effect, or something is clearly slower than it should be; `info`: advice that depends on
    what vmio does not know."""
    message: str
    subject: str
    """The device, object or setting, such as `scsi0`; empty if none."""
    location: LocationData | None
    notes: list[str]
    fix: FixData | None


class SuppressedData(FindingData):
    """A finding that is in the baseline or that vmio.toml excepts."""

    reason: str


class FileData(TypedDict):
    """A file that was checked."""

    file: str
    node: str
    """The VM's host; empty if not known."""
    vm: str
    """The manager's id of the VM: Proxmox VE's number."""
    name: str
    """The VM's name."""
    disks: Count
    error: ReasonData | None
    """Why the file could not be read."""
    refusal: ReasonData | None
    """Why fixes were not made in the file, or would not be."""
    findings: list[FindingData]
    """Most harmful first, then in the order of the text."""
    suppressed: list[SuppressedData]
    stale: Count
    """Findings of this VM that are in the baseline and are gone."""


class RuleCountData(TypedDict):
    """How often a rule was found."""

    code: str
    name: str
    severity: Severity
    """The highest severity found."""
    findings: Count
    files: Count
    fixable: Count
    """Findings that `--fix` or `--unsafe-fixes` would fix."""


class CountsData(TypedDict):
    """The totals over all files."""

    files: Count
    unreadable: Count
    fixed: Count
    unfixed: Count
    """Findings whose fix was refused."""
    error: Count
    warning: Count
    info: Count
    suppressed: Count
    stale: Count


class FindingsData(TypedDict):
    """The findings in some files."""

    files: list[FileData]
    """In the order in which they were checked."""
    statistics: list[RuleCountData]
    """The rules with findings, most frequent first."""
    counts: CountsData


class JsonReport(Report):
    """One JSON document, written file by file."""

    separator = ",\n"

    def render_start(self) -> str:
        """Returns the document up to its first file."""
        return f'{begin_document("findings")}{{\n"files": [\n'

    def render_file(self, file: CheckedFile) -> str:
        """Returns the object of a file."""
        return json.dumps(_describe_file(file), indent=2)

    def render_end(self, summary: Summary) -> str:
        """Returns the totals."""
        statistics = [_describe_rule(rule) for rule in summary.sort_rules()]
        counts: CountsData = {
            "files": summary.files,
            "unreadable": len(summary.errors),
            "fixed": summary.fixed,
            "unfixed": summary.unfixed,
            "error": summary.severities[Severity.ERROR],
            "warning": summary.severities[Severity.WARNING],
            "info": summary.severities[Severity.INFO],
            "suppressed": summary.suppressed,
            "stale": summary.stale,
        }
        return (
            f'\n],\n"statistics": {json.dumps(statistics, indent=2)},\n'
            f'"counts": {json.dumps(counts, indent=2)}\n}}\n}}\n'
        )


def _describe_rule(rule: RuleCount) -> RuleCountData:
    return {
        "code": rule.code,
        "name": rule.name,
        "severity": rule.severity,
        "findings": rule.findings,
        "files": rule.files,
        "fixable": rule.fixable,
    }


def _describe_file(file: CheckedFile) -> FileData:
    return {
        "file": readable(file.name),
        "node": readable(file.node),
        "vm": readable(file.vm),
        "name": file.vm_name,
        "disks": file.disks,
        "error": _describe_error(file.error),
        "refusal": _describe_error(file.refusal),
        "findings": [_describe(diagnostic, file.source) for diagnostic in file.diagnostics],
        "suppressed": [
            {**_describe(one.diagnostic, file.source), "reason": readable(one.reason)}
            for one in file.suppressed
        ],
        "stale": file.stale,
    }


def _describe_error(error: VmioError | None) -> ReasonData | None:
    if error is None:
        return None
    return {"message": readable(error.message), "hint": readable(error.hint)}


def _describe(diagnostic: Diagnostic, source: Source | None) -> FindingData:
    return {
        "code": diagnostic.code,
        "name": diagnostic.name,
        "severity": diagnostic.severity,
        "message": readable(diagnostic.message),
        "subject": diagnostic.subject,
        "location": _describe_location(diagnostic.span, source),
        "notes": [readable(note) for note in diagnostic.notes],
        "fix": _describe_fix(diagnostic.fix),
    }


def _describe_location(span: Span | None, source: Source | None) -> LocationData | None:
    if span is None or source is None:
        return None
    location = source.locate(span)
    return {
        "line": location.line,
        "column": location.column,
        "width": location.width,
        "start_byte": span.start,
        "end_byte": span.end,
    }


def _describe_fix(fix: Fix | None) -> FixData | None:
    if fix is None:
        return None
    return {
        "applicability": fix.applicability,
        "message": fix.message,
        "edits": [
            {"start_byte": edit.span.start, "end_byte": edit.span.end, "text": edit.text}
            for edit in fix.edits
        ],
    }
