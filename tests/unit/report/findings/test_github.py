"""Annotations reach GitHub whole, and nothing in a config becomes another command."""

from __future__ import annotations

from vmio.errors import InputError
from vmio.lint.diagnostic import Applicability, CheckedFile, Diagnostic, Fix, Severity
from vmio.model.source import Source, Span
from vmio.report.findings.github import GithubReport


def make_finding(
    severity: Severity, *, span: Span | None, message: str = "it is so"
) -> Diagnostic:
    """Returns a finding in a file with an awkward name."""
    return Diagnostic(
        code="XX001",
        name="x",
        severity=severity,
        message=message,
        source="a:b,50%\n.conf",
        span=span,
        notes=("mind this",),
        fix=Fix(applicability=Applicability.SAFE, message="change it"),
    )


def render(*findings: Diagnostic, error: InputError | None = None) -> list[str]:
    """Returns the lines of a file with some findings."""
    source = Source(name="1", data=b"cores: 1\nname: db\n")
    file = CheckedFile(name="1,\udcff", source=source, diagnostics=findings, error=error)
    return GithubReport().render_file(file).splitlines()


def test_github_annotates_the_place() -> None:
    """A finding is one command with its place, its title and all of its words."""
    found = make_finding(Severity.WARNING, span=Span(start=15, end=17))
    (line,) = render(found)
    head, words = line.split(" x::")
    assert head == "::warning file=a%3Ab%2C50%25%0A.conf,line=2,col=7,endColumn=9,title=XX001"
    assert words == "it is so%0Amind this%0Afix (safe): change it"


def test_github_has_a_command_for_each_severity() -> None:
    """Errors, warnings and advice are told apart; without a place the file is annotated."""
    lines = render(*(make_finding(severity, span=None) for severity in Severity))
    assert [line.split()[0] for line in lines] == ["::error", "::warning", "::notice"]
    assert "line=" not in lines[0]


def test_github_lets_no_config_write_a_command() -> None:
    """A line end in a message is escaped, so that what follows it is no command."""
    found = make_finding(Severity.ERROR, span=None, message="a\r\n::set-output name=x::y%0A\x1b")
    (line,) = render(found)
    assert "a%0D%0A::set-output name=x::y%250A\\x1b" in line


def test_github_annotates_what_could_not_be_read() -> None:
    """A file that could not be read is an error of that file."""
    assert render(error=InputError("cannot read it: no")) == [
        "::error file=1%2C\\xff,title=unreadable::cannot read it: no"
    ]
