"""Findings as SARIF 2.1.0, which code scanning services and editors read.

Units: columns are counted in Unicode characters (`columnKind`), offsets in bytes.
Source: OASIS, Static Analysis Results Interchange Format Version 2.1.0 with errata 01.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from hashlib import sha256
from typing import Any
from urllib.parse import quote

from vmio import __version__
from vmio.lint.baseline import fingerprint
from vmio.lint.diagnostic import CheckedFile, Diagnostic, Severity
from vmio.lint.pages import Page, parse_page
from vmio.lint.registry import Entry, load_rule
from vmio.model.source import Edit, Source, Span
from vmio.report.findings.summary import Report, Summary, readable

__all__ = ["SarifReport"]

_SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}


class SarifReport(Report):
    """One run with a result for each finding, accepted ones included.

    Args:
        rules: The rules that run, in the order of their descriptions.
    """

    separator = ",\n"

    def __init__(self, rules: Sequence[Entry]) -> None:
        self.rules = tuple(rules)
        self.indices = {entry.code: index for index, entry in enumerate(rules)}

    def render_start(self) -> str:
        """Returns the document up to its first result."""
        head = f'"$schema": {json.dumps(_SCHEMA)},\n"version": "2.1.0"'
        return f'{{\n{head},\n"runs": [{{\n"results": [\n'

    def render_file(self, file: CheckedFile) -> str:
        """Returns a file's results, one after the other."""
        results = [self._describe(diagnostic, file) for diagnostic in file.diagnostics]
        for one in file.suppressed:
            suppression = {
                "kind": "external",
                "status": "accepted",
                "justification": readable(one.reason),
            }
            results.append(self._describe(one.diagnostic, file) | {"suppressions": [suppression]})
        return self.separator.join(json.dumps(result, indent=1) for result in results)

    def render_end(self, summary: Summary) -> str:
        """Returns the rules, and the files that could not be read or fixed."""
        invocation = {
            "executionSuccessful": not summary.errors,
            "toolExecutionNotifications": [
                *(_notify(name, "error", message) for name, message in summary.errors),
                *(
                    _notify(name, "warning", f"not fixed: {message}")
                    for name, message in summary.refusals
                ),
            ],
        }
        tool = {
            "driver": {
                "name": "vmio",
                "version": __version__,
                "semanticVersion": __version__,
                "rules": [_describe_rule(parse_page(load_rule(rule))) for rule in self.rules],
            }
        }
        return (
            f'\n],\n"columnKind": "unicodeCodePoints",\n'
            f'"invocations": {json.dumps([invocation], indent=1)},\n'
            f'"tool": {json.dumps(tool, indent=1)}\n}}]\n}}\n'
        )

    def _describe(self, diagnostic: Diagnostic, file: CheckedFile) -> dict[str, Any]:
        where = _locate_file(diagnostic.source)
        # A finding about a whole file has no place, but services require a line.
        region: dict[str, int] = {"startLine": 1}
        if diagnostic.span is not None and file.source is not None:
            region = _describe_region(diagnostic.span, file.source)
        name = "/".join(word for word in (file.vm, diagnostic.subject) if word)
        location: dict[str, Any] = {"physicalLocation": {"artifactLocation": where}}
        location["physicalLocation"]["region"] = region
        if name:
            location["logicalLocations"] = [{"fullyQualifiedName": readable(name)}]
        result: dict[str, Any] = {
            "ruleId": diagnostic.code,
            "ruleIndex": self.indices.get(diagnostic.code, -1),
            "level": _LEVELS[diagnostic.severity],
            "message": {"text": readable("\n".join((diagnostic.message, *diagnostic.notes)))},
            "locations": [location],
            "partialFingerprints": {"vmioFinding/v1": _fingerprint(diagnostic, file)},
        }
        fix = diagnostic.fix
        if fix is not None and fix.edits and file.source is not None:
            change = {
                "artifactLocation": where,
                "replacements": [_describe_edit(edit, file.source) for edit in fix.edits],
            }
            words = f"{fix.message} ({fix.applicability})"
            result["fixes"] = [{"description": {"text": words}, "artifactChanges": [change]}]
        return result


def _notify(name: str, level: str, message: str) -> dict[str, Any]:
    return {
        "level": level,
        "message": {"text": readable(message)},
        "locations": [{"physicalLocation": {"artifactLocation": _locate_file(name)}}],
    }


def _describe_rule(page: Page) -> dict[str, Any]:
    fixed = ("What it does", "Why is this bad", "Fix safety", "References")
    markdown = "\n\n".join(f"## {heading}\n\n{text}" for heading, text in page.sections)
    plain = "\n\n".join(page.find_section(heading) for heading in fixed)
    return {
        "id": page.code,
        "name": page.name,
        "shortDescription": {"text": page.summary},
        "fullDescription": {"text": page.find_section("Why is this bad")},
        "help": {"text": plain, "markdown": markdown},
        "defaultConfiguration": {"level": _LEVELS[Severity(page.severity)]},
        "properties": {"tags": [page.family]},
    }


def _locate_file(name: str) -> dict[str, str]:
    path = quote(os.fsencode(name))
    return {"uri": f"file://{path}" if path.startswith("/") else path}


def _describe_region(span: Span, source: Source) -> dict[str, int]:
    start, end = (source.locate(Span(start=place, end=place)) for place in (span.start, span.end))
    return {
        "startLine": start.line,
        "startColumn": start.column,
        "endLine": end.line,
        "endColumn": end.column,
        "byteOffset": span.start,
        "byteLength": span.end - span.start,
    }


def _describe_edit(edit: Edit, source: Source) -> dict[str, Any]:
    return {
        "deletedRegion": _describe_region(edit.span, source),
        "insertedContent": {"text": edit.text},
    }


def _fingerprint(diagnostic: Diagnostic, file: CheckedFile) -> str:
    words = (diagnostic.code, file.vm, diagnostic.subject, fingerprint(diagnostic, file.source))
    return sha256("\0".join(words).encode("utf-8", "surrogateescape")).hexdigest()[:32]
