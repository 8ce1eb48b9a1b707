"""The JSON of findings keeps its shape."""

from __future__ import annotations

import json

from vmio import __version__
from vmio.errors import InputError
from vmio.lint.diagnostic import (
    Applicability,
    CheckedFile,
    Diagnostic,
    Fix,
    Severity,
    Suppressed,
)
from vmio.model.source import Edit, Source, Span
from vmio.report.findings.json import JsonReport
from vmio.report.findings.summary import Summary, assemble, make_part


def render_json(files: list[CheckedFile]) -> str:
    """Returns the document of some files."""
    report = JsonReport()
    return "".join(assemble(report, (make_part(report, file) for file in files), Summary()))


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
        node="alpha",
        vm="1",
        vm_name="db",
        disks=2,
        stale=3,
    )
    document = json.loads(render_json([read, lost]))
    assert {**document, "data": None} == {
        "schema": 2,
        "vmio": __version__,
        "kind": "findings",
        "data": None,
    }
    assert document["data"] == {
        "files": [
            {
                "file": "1.conf",
                "node": "alpha",
                "vm": "1",
                "name": "db",
                "disks": 2,
                "error": None,
                "refusal": None,
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
                "suppressed": [],
                "stale": 3,
            },
            {
                "file": "2.conf",
                "node": "",
                "vm": "",
                "name": "",
                "disks": 0,
                "error": {"message": "cannot read 2.conf", "hint": "look"},
                "refusal": None,
                "findings": [],
                "suppressed": [],
                "stale": 0,
            },
        ],
        "statistics": [
            {
                "code": "XX001",
                "name": "x",
                "severity": "error",
                "findings": 1,
                "files": 1,
                "fixable": 1,
            }
        ],
        "counts": {
            "files": 2,
            "unreadable": 1,
            "fixed": 0,
            "unfixed": 0,
            "error": 1,
            "warning": 0,
            "info": 0,
            "suppressed": 0,
            "stale": 3,
        },
    }


def test_render_json_says_null_where_there_is_nothing() -> None:
    """A finding without place and fix says so by null."""
    finding = Diagnostic(
        code="XX001", name="x", severity=Severity.INFO, message="m", source="1.conf"
    )
    checked = CheckedFile(
        name="1.conf", source=Source(name="1.conf", data=b""), diagnostics=(finding,)
    )
    described = json.loads(render_json([checked]))["data"]["files"][0]["findings"][0]
    assert described["location"] is None
    assert described["fix"] is None


def test_render_json_tells_why_a_finding_is_accepted() -> None:
    """An accepted finding is there with its reason and does not count."""
    finding = Diagnostic(
        code="XX001", name="x", severity=Severity.INFO, message="m", source="1.conf"
    )
    checked = CheckedFile(
        name="1.conf", suppressed=(Suppressed(diagnostic=finding, reason="so be it"),)
    )
    document = json.loads(render_json([checked]))["data"]
    assert document["files"][0]["suppressed"][0]["reason"] == "so be it"
    assert (document["counts"]["info"], document["counts"]["suppressed"]) == (0, 1)


def test_render_json_holds_no_lone_surrogate() -> None:
    """A file's name that is not UTF-8 is spelled out, as many readers refuse half a sign."""
    lost = CheckedFile(name="a\udcff", error=InputError("cannot read a\udcff"))
    (described,) = json.loads(render_json([lost]))["data"]["files"]
    assert described["file"] == "a\\xff"
    assert described["error"]["message"] == "cannot read a\\xff"


def test_render_json_of_nothing_is_a_document() -> None:
    """An empty run has no files and no findings."""
    document = json.loads(render_json([]))["data"]
    assert document["files"] == document["statistics"] == []
