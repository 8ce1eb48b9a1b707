"""Findings for programs.

The document is one object. Fields may be added; those below keep their names and meaning as long
as `schema` is 1::

    schema      1
    vmio        the version that wrote it
    files       one object per file, in the order given:
      file        its name
      error       null, or why it could not be read: {message, hint}
      findings    the most harmful first, then in the order of the text:
        code, name  of the rule
        severity    error | warning | info
        message     one line
        subject     the device, object or setting that it is about, such as "scsi0"; "" if none
        location    null, or {line, column, width, start_byte, end_byte}
        notes       lines of text
        fix         null, or {applicability: safe | unsafe | display, message, edits}; each edit
                    is {start_byte, end_byte, text} and replaces these bytes of the file
    counts      {files, unreadable, error, warning, info}

Units: lines and columns from 1, columns and width in characters; bytes from 0, the end excluded.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

from vmio import __version__
from vmio.lint.diagnostic import CheckedFile, Diagnostic, Fix, Severity
from vmio.model.source import Source, Span

__all__ = ["SCHEMA", "render_json"]

SCHEMA = 1


def render_json(files: Iterable[CheckedFile]) -> str:
    """Returns the findings of all files as one JSON document."""
    checked = tuple(files)
    found = Counter(d.severity for file in checked for d in file.diagnostics)
    document = {
        "schema": SCHEMA,
        "vmio": __version__,
        "files": [_describe_file(file) for file in checked],
        "counts": {
            "files": len(checked),
            "unreadable": sum(file.error is not None for file in checked),
            **{severity.value: found[severity] for severity in Severity},
        },
    }
    return json.dumps(document, indent=2) + "\n"


def _describe_file(file: CheckedFile) -> dict[str, Any]:
    error = file.error
    return {
        "file": file.name,
        "error": None if error is None else {"message": error.message, "hint": error.hint},
        "findings": [_describe(diagnostic, file.source) for diagnostic in file.diagnostics],
    }


def _describe(diagnostic: Diagnostic, source: Source | None) -> dict[str, Any]:
    return {
        "code": diagnostic.code,
        "name": diagnostic.name,
        "severity": diagnostic.severity.value,
        "message": diagnostic.message,
        "subject": diagnostic.subject,
        "location": _describe_location(diagnostic.span, source),
        "notes": list(diagnostic.notes),
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
