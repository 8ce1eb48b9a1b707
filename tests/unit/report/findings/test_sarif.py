"""SARIF says where a finding is, in units that it names, and what would settle it."""

from __future__ import annotations

import json
from typing import Any

from vmio.errors import InputError
from vmio.lint.diagnostic import (
    Applicability,
    CheckedFile,
    Diagnostic,
    Fix,
    Severity,
    Suppressed,
)
from vmio.lint.registry import find_rule
from vmio.model.source import Edit, Source, Span
from vmio.report.findings.sarif import SarifReport
from vmio.report.findings.summary import Summary, assemble, make_part
from vmio.values import replace

TEXT = "name: é😀x\r\nscsi0: a:b,aio=native\r\n".encode()
FINDING = Diagnostic(
    code="TH001",
    name="iothread-ignored-by-controller",
    severity=Severity.WARNING,
    message="it is so",
    source="a b/1,%\n\udcff.conf",
    subject="scsi0",
    span=Span(start=TEXT.index(b"\xf0"), end=TEXT.index(b"\r")),
    notes=("mind this",),
    fix=Fix(
        applicability=Applicability.SAFE,
        message="cut it",
        edits=(Edit(span=Span(start=TEXT.index(b"\r"), end=TEXT.index(b"a:b")), text="é"),),
    ),
)
FILE = CheckedFile(
    name=FINDING.source,
    source=Source(name=FINDING.source, data=TEXT),
    diagnostics=(FINDING,),
    vm="1",
)


def render(*files: CheckedFile) -> dict[str, Any]:
    """Returns the only run of a document."""
    report = SarifReport([find_rule("CA001"), find_rule("TH001")])
    parts = (make_part(report, file) for file in files)
    document = json.loads("".join(assemble(report, parts, Summary())))
    assert document["version"] == "2.1.0"
    (run,) = document["runs"]
    assert isinstance(run, dict)
    return run


def test_sarif_points_at_the_place_in_characters_and_bytes() -> None:
    """Columns count characters, beyond the first plane too, and offsets count bytes."""
    run = render(FILE)
    assert run["columnKind"] == "unicodeCodePoints"
    (result,) = run["results"]
    (location,) = result["locations"]
    assert location["physicalLocation"]["region"] == {
        "startLine": 1,
        "startColumn": 8,
        "endLine": 1,
        "endColumn": 10,
        "byteOffset": 8,
        "byteLength": 5,
    }
    assert location["logicalLocations"] == [{"fullyQualifiedName": "1/scsi0"}]


def test_sarif_writes_a_name_as_a_uri() -> None:
    """Every byte that a URI cannot hold is percent-encoded; an absolute name is a file's URI."""
    (result,) = render(FILE)["results"]
    place = result["locations"][0]["physicalLocation"]["artifactLocation"]
    assert place == {"uri": "a%20b/1%2C%25%0A%FF.conf"}
    absolute = replace(FINDING, source="/etc/pve/1.conf")
    (result,) = render(replace(FILE, diagnostics=(absolute,)))["results"]
    place = result["locations"][0]["physicalLocation"]["artifactLocation"]
    assert place == {"uri": "file:///etc/pve/1.conf"}


def test_sarif_tells_the_rule_of_a_result() -> None:
    """A result refers to its rule by its place in the list, and the rule's page is there."""
    run = render(FILE)
    (result,) = run["results"]
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == ["CA001", "TH001"]
    assert (result["ruleId"], result["ruleIndex"], result["level"]) == ("TH001", 1, "warning")
    rule = rules[1]
    assert rule["name"] == "iothread-ignored-by-controller"
    assert rule["defaultConfiguration"] == {"level": "warning"}
    assert "## Fix safety" in rule["help"]["markdown"]
    assert all(rule[key]["text"] for key in ("shortDescription", "fullDescription", "help"))


def test_sarif_tells_the_fix() -> None:
    """A fix names the bytes that go, over the end of a line too, and the text that comes."""
    (result,) = render(FILE)["results"]
    (fix,) = result["fixes"]
    assert fix["description"] == {"text": "cut it (safe)"}
    (change,) = fix["artifactChanges"]
    (replacement,) = change["replacements"]
    region = replacement["deletedRegion"]
    assert (region["startLine"], region["startColumn"]) == (1, 10)
    assert (region["endLine"], region["endColumn"]) == (2, 8)
    assert (region["byteOffset"], region["byteLength"]) == (13, 9)
    assert replacement["insertedContent"] == {"text": "é"}


def test_sarif_finds_a_finding_again_after_lines_moved() -> None:
    """The fingerprint stays when other lines come, and changes with the words it is about."""
    moved = replace(FINDING, span=Span(start=FINDING.span.start + 2, end=FINDING.span.end + 2))  # type: ignore[union-attr]
    later = replace(FILE, source=Source(name="1", data=b"a\n" + TEXT), diagnostics=(moved,))
    other = replace(FILE, source=Source(name="1", data=TEXT.replace(b"x", b"y")))
    marks = [
        render(file)["results"][0]["partialFingerprints"]["vmioFinding/v1"]
        for file in (FILE, later, other)
    ]
    assert marks[0] == marks[1] != marks[2]


def test_sarif_tells_of_accepted_findings_and_unreadable_files() -> None:
    """An accepted finding is a suppressed result; a file that was not read is a notification."""
    accepted = replace(
        FILE, diagnostics=(), suppressed=(Suppressed(diagnostic=FINDING, reason="so be it"),)
    )
    lost = CheckedFile(name="2.conf", error=InputError("cannot read 2.conf"))
    run = render(accepted, lost)
    (result,) = run["results"]
    assert result["suppressions"] == [
        {"kind": "external", "status": "accepted", "justification": "so be it"}
    ]
    (invocation,) = run["invocations"]
    assert invocation["executionSuccessful"] is False
    (notification,) = invocation["toolExecutionNotifications"]
    assert notification["message"] == {"text": "cannot read 2.conf"}


def test_sarif_of_a_whole_file_names_its_first_line() -> None:
    """What has no place of its own stands at the first line, since services ask for one."""
    whole = replace(FINDING, span=None, fix=None, subject="")
    (result,) = render(replace(FILE, diagnostics=(whole,), vm=""))["results"]
    assert result["locations"][0]["physicalLocation"]["region"] == {"startLine": 1}
    assert "logicalLocations" not in result["locations"][0]
    assert "fixes" not in result


def test_sarif_of_nothing_is_a_successful_run() -> None:
    """An empty run has no results and went well."""
    run = render()
    assert run["results"] == []
    assert run["invocations"][0]["executionSuccessful"] is True
