"""The JSON of findings keeps its shape."""

from __future__ import annotations

import json

from vmio import __version__
from vmio.errors import InputError
from vmio.lint.diagnostic import Applicability, CheckedFile, Diagnostic, Fix, Severity
from vmio.model.source import Edit, Source, Span
from vmio.report.findings_json import render_json


def test_render_json_has_the_documented_shape() -> None:
    """Every documented field is there, by its name and in its unit."""
    finding = Diagnostic(
        code="XX001",
        name="x",
        severity=Severity.ERROR,
        message="it is so",
        source="1.conf",
        subject="é",
        span=Span(start=9, end=11),
        notes=("mind this",),
        fix=Fix(
            applicability=Applicability.SAFE,
            message="change it",
            edits=(Edit(span=Span(start=9, end=11), text="e"),),
        ),
    )
    lost = CheckedFile(name="2.conf", error=InputError("cannot read 2.conf", hint="look"))
    read = CheckedFile(
        name="1.conf",
        source=Source(name="1.conf", data="name: é é\n".encode()),
        diagnostics=(finding,),
    )
    assert json.loads(render_json([read, lost])) == {
        "schema": 1,
        "vmio": __version__,
        "files": [
            {
                "file": "1.conf",
                "error": None,
                "findings": [
                    {
                        "code": "XX001",
                        "name": "x",
                        "severity": "error",
                        "message": "it is so",
                        "subject": "é",
                        "location": {
                            "line": 1,
                            "column": 9,
                            "width": 1,
                            "start_byte": 9,
                            "end_byte": 11,
                        },
                        "notes": ["mind this"],
                        "fix": {
                            "applicability": "safe",
                            "message": "change it",
                            "edits": [{"start_byte": 9, "end_byte": 11, "text": "e"}],
                        },
                    }
                ],
            },
            {
                "file": "2.conf",
                "error": {"message": "cannot read 2.conf", "hint": "look"},
                "findings": [],
            },
        ],
        "counts": {"files": 2, "unreadable": 1, "error": 1, "warning": 0, "info": 0},
    }


def test_render_json_says_null_where_there_is_nothing() -> None:
    """A finding without place and fix says so by null."""
    finding = Diagnostic(
        code="XX001", name="x", severity=Severity.INFO, message="m", source="1.conf"
    )
    checked = CheckedFile(
        name="1.conf", source=Source(name="1.conf", data=b""), diagnostics=(finding,)
    )
    described = json.loads(render_json([checked]))["files"][0]["findings"][0]
    assert described["location"] is None
    assert described["fix"] is None
