"""Findings of many VMs in tables: a row for each VM, or for each rule."""

from __future__ import annotations

from collections.abc import Sequence

from vmio.characters import printable
from vmio.lint.diagnostic import CheckedFile, Severity
from vmio.report.findings.summary import Report, Summary, Tally, count
from vmio.report.markup import shorten
from vmio.report.table import Cell, Column, render_table

__all__ = ["StatisticsReport", "TableReport"]

_NAME_COLUMNS = 12
"""Width of a name on the narrowest terminal."""
_WORST_COLUMNS = 36
"""Enough for a rule's code and name."""

_RED, _YELLOW, _CYAN = "1;31", "1;33", "36"
_COLOURS = {"err": _RED, "warn": _YELLOW, "info": _CYAN}
"""Severities by the headings of their columns, in order."""
_NONE = "·"


class TableReport(Report):
    """A row for each VM with findings, the most severe first."""

    has_rows = True

    def __init__(
        self, *, colour: bool = False, columns: int = 0, statistics: bool = False
    ) -> None:
        self.colour = colour
        self.columns = columns
        self.statistics = statistics

    def render_file(self, file: CheckedFile) -> str:  # noqa: ARG002 - a report's method
        """Returns nothing: the widths of columns depend on all rows."""
        return ""

    def render_end(self, summary: Summary) -> str:
        """Returns the table, and how many VMs are left out because they have no findings."""
        rows = [row for row in summary.rows if row.error or any(row.severities)]
        rows.sort(key=lambda row: (not row.error, [-number for number in row.severities]))
        text = _render_vms(rows, columns=self.columns, colour=self.colour) if rows else ""
        if clean := len(summary.rows) - len(rows):
            text += f"{count(clean, 'VM')} without findings\n"
        if self.statistics and summary.rules:
            text += "\n" + _render_rules(summary, columns=self.columns, colour=self.colour)
        return text


class StatisticsReport(Report):
    """A row for each rule with findings, the most frequent first."""

    def __init__(self, *, colour: bool = False, columns: int = 0) -> None:
        self.colour = colour
        self.columns = columns

    def render_file(self, file: CheckedFile) -> str:  # noqa: ARG002 - a report's method
        """Returns nothing."""
        return ""

    def render_end(self, summary: Summary) -> str:
        """Returns the table."""
        return (
            _render_rules(summary, columns=self.columns, colour=self.colour)
            if summary.rules
            else ""
        )


def _render_vms(rows: Sequence[Tally], *, columns: int, colour: bool) -> str:
    widest = max(_NAME_COLUMNS, columns // 6) if columns else 0
    has_nodes = any(row.node for row in rows)
    heads = [
        *([Column(head="node")] if has_nodes else []),
        Column(head="VM"),
        Column(head="name", leaves=2),
        Column(head="disks", right=True, narrow="drop", leaves=1),
        *(Column(head=head, right=True) for head in _COLOURS),
        Column(head="worst", narrow="cut", least=_WORST_COLUMNS),
    ]
    cells = [
        [
            *([_name(row.node, widest)] if has_nodes else []),
            _name(row.vm or row.name, widest),
            _name(row.vm_name, widest),
            *_list_counts(row),
            (row.error or _name_worst(row)).replace("\n", " "),
        ]
        for row in rows
    ]
    return render_table(heads, cells, width=columns, colour=colour)


def _list_counts(row: Tally) -> list[Cell]:
    if row.error:
        return [_NONE] * (1 + len(_COLOURS))
    counts = zip(row.severities, _COLOURS.values(), strict=True)
    return [
        str(row.disks or _NONE),
        *((str(number), code) if number else _NONE for number, code in counts),
    ]


def _name_worst(row: Tally) -> str:
    return f"{row.worst}; not fixed: {row.refusal}" if row.refusal else row.worst


def _render_rules(summary: Summary, *, columns: int, colour: bool) -> str:
    heads = [
        *(Column(head=head, right=True) for head in ("findings", "VMs", "fixable")),
        *(Column(head=head) for head in ("rule", "severity", "name")),
    ]
    painted = dict(zip(Severity, _COLOURS.values(), strict=True))
    cells: list[tuple[Cell, ...]] = [
        (
            *(f"{number:,}" for number in (rule.findings, rule.files, rule.fixable)),
            rule.code,
            (rule.severity.value, painted[rule.severity]),
            rule.name,
        )
        for rule in summary.sort_rules()
    ]
    return render_table(heads, cells, width=columns, colour=colour)


def _name(text: str, columns: int) -> str:
    return shorten(printable(text), columns) if columns else text
