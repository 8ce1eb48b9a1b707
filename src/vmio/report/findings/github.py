"""Findings as annotations of GitHub Actions: workflow commands in a job's log.

Source: GitHub's documentation of workflow commands; characters are escaped as GitHub's toolkit
does.
"""

from __future__ import annotations

from vmio.characters import printable
from vmio.lint.diagnostic import CheckedFile, Diagnostic, Severity
from vmio.model.source import Source
from vmio.report.findings.summary import Report, Summary

__all__ = ["GithubReport"]

_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}


class GithubReport(Report):
    """A command for each finding, and for each file that could not be read or fixed."""

    def render_file(self, file: CheckedFile) -> str:
        """Returns a line a finding."""
        lines = [_render(diagnostic, file.source) for diagnostic in file.diagnostics]
        for command, title, error in (
            ("error", "unreadable", file.error),
            ("warning", "not fixed", file.refusal),
        ):
            if error is not None:
                place = f"file={_escape_property(file.name)},title={title}"
                lines.append(f"::{command} {place}::{_escape(error.message)}")
        return "".join(f"{line}\n" for line in lines)

    def render_end(self, summary: Summary) -> str:  # noqa: ARG002 - as above
        """Returns nothing."""
        return ""


def _render(diagnostic: Diagnostic, source: Source | None) -> str:
    properties = [f"file={_escape_property(diagnostic.source)}"]
    if source is not None and diagnostic.span is not None:
        place = source.locate(diagnostic.span)
        properties += (
            f"line={place.line}",
            f"col={place.column}",
            f"endColumn={place.column + place.width}",
        )
    properties.append(f"title={_escape_property(f'{diagnostic.code} {diagnostic.name}')}")
    lines = [diagnostic.message, *diagnostic.notes]
    if diagnostic.fix is not None:
        lines.append(f"fix ({diagnostic.fix.applicability}): {diagnostic.fix.message}")
    message = "%0A".join(map(_escape, lines))
    return f"::{_COMMANDS[diagnostic.severity]} {','.join(properties)}::{message}"


def _escape(text: str) -> str:
    escaped = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return printable(escaped)


def _escape_property(text: str) -> str:
    return _escape(text).replace(":", "%3A").replace(",", "%2C")
