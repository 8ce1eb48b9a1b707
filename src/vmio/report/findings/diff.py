"""The changes that fixes make, as a unified diff of each file."""

from __future__ import annotations

from vmio.lint.diagnostic import CheckedFile
from vmio.report.diff.unified import render_unified_diff
from vmio.report.findings.summary import Report, Summary

__all__ = ["DiffReport"]


class DiffReport(Report):
    """The diff of each file; nothing for an unchanged file."""

    def __init__(self, *, colour: bool = False) -> None:
        self.colour = colour

    def render_file(self, file: CheckedFile) -> str:
        """Returns the diff between a file and its fixed text."""
        if file.before is None or file.source is None:
            return ""
        return render_unified_diff(file.before, file.source.data, colour=self.colour)

    def render_end(self, summary: Summary) -> str:  # noqa: ARG002 - the sums are talk
        """Returns nothing."""
        return ""
