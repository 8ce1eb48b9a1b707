"""The forms of report by name; each is imported when it is needed."""

from __future__ import annotations

from collections.abc import Sequence

from vmio.lint.registry import Entry
from vmio.report.findings.summary import Report

__all__ = ["choose_report"]


def choose_report(
    output: str,
    *,
    statistics: bool = False,
    colour: bool = False,
    columns: int = 0,
    rules: Sequence[Entry] = (),
) -> Report:
    """Returns a report in the given form.

    Args:
        output: text, json, sarif, github, table, or diff for the changes of fixes.
        statistics: Whether text lists rules with their counts instead of findings.
        colour: Whether it is coloured for a terminal.
        columns: The terminal's width; 0 for no terminal.
        rules: The rules that run, for SARIF.
    """
    match output:
        case "diff":
            from vmio.report.findings.diff import DiffReport

            return DiffReport(colour=colour)
        case "json":
            from vmio.report.findings.json import JsonReport

            return JsonReport()
        case "sarif":
            from vmio.report.findings.sarif import SarifReport

            return SarifReport(rules)
        case "github":
            from vmio.report.findings.github import GithubReport

            return GithubReport()
        case "table":
            from vmio.report.findings.table import TableReport

            return TableReport(colour=colour, columns=columns, statistics=statistics)
        case _ if statistics:
            from vmio.report.findings.table import StatisticsReport

            return StatisticsReport(colour=colour, columns=columns)
        case _:
            from vmio.report.findings.text import TextReport

            return TextReport(colour=colour, columns=columns)
