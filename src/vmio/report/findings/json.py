"""Findings for programs.

The document is one object, as `docs/schema/findings.json` describes it. Fields may be added; those
that are there keep their names and meaning as long as `schema` is 1.
"""

from __future__ import annotations

import json
from typing import Any

from vmio import __version__
from vmio.errors import VmioError
from vmio.lint.diagnostic import CheckedFile, Diagnostic, Fix, Severity
from vmio.model.source import Source, Span
from vmio.report.findings.summary import Report, RuleCount, Summary, readable

__all__ = ["SCHEMA", "JsonReport"]

SCHEMA = 1


class JsonReport(Report):
    """One JSON document, written file by file."""

    separator = ",\n"

    def render_start(self) -> str:
        """Returns the document up to its first file."""
        return f'{{\n"schema": {SCHEMA},\n"vmio": {json.dumps(__version__)},\n"files": [\n'

    def render_file(self, file: CheckedFile) -> str:
        """Returns the object of a file."""
        return json.dumps(_describe_file(file), indent=2)

    def render_end(self, summary: Summary) -> str:
        """Returns the sums."""
        statistics = [_describe_rule(rule) for rule in summary.sort_rules()]
        counts = {
            "files": summary.files,
            "unreadable": len(summary.errors),
            "fixed": summary.fixed,
            "unfixed": summary.unfixed,
            **{severity.value: summary.severities[severity] for severity in Severity},
            "suppressed": summary.suppressed,
            "stale": summary.stale,
        }
        return (
            f'\n],\n"statistics": {json.dumps(statistics, indent=2)},\n'
            f'"counts": {json.dumps(counts, indent=2)}\n}}\n'
        )


def _describe_rule(rule: RuleCount) -> dict[str, Any]:
    return {
        "code": rule.code,
        "name": rule.name,
        "severity": rule.severity.value,
        "findings": rule.findings,
        "files": rule.files,
        "fixable": rule.fixable,
    }


def _describe_file(file: CheckedFile) -> dict[str, Any]:
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


def _describe_error(error: VmioError | None) -> dict[str, str] | None:
    if error is None:
        return None
    return {"message": readable(error.message), "hint": readable(error.hint)}


def _describe(diagnostic: Diagnostic, source: Source | None) -> dict[str, Any]:
    return {
        "code": diagnostic.code,
        "name": diagnostic.name,
        "severity": diagnostic.severity.value,
        "message": readable(diagnostic.message),
        "subject": diagnostic.subject,
        "location": _describe_location(diagnostic.span, source),
        "notes": [readable(note) for note in diagnostic.notes],
        "fix": _describe_fix(diagnostic.fix),
    }


def _describe_location(span: Span | None, source: Source | None) -> dict[str, int] | None:
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


def _describe_fix(fix: Fix | None) -> dict[str, Any] | None:
    if fix is None:
        return None
    return {
        "applicability": fix.applicability.value,
        "message": fix.message,
        "edits": [
            {"start_byte": edit.span.start, "end_byte": edit.span.end, "text": edit.text}
            for edit in fix.edits
        ],
    }
