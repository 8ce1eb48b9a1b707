"""Findings of many VMs in tables: a row for each VM, or for each rule."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from vmio.characters import disarm_lines, printable
from vmio.lint.diagnostic import CheckedFile, Severity
from vmio.report.colours import paint
from vmio.report.findings.summary import Report, Summary, Tally, count
from vmio.report.markup import display_width, shorten

__all__ = ["StatisticsReport", "TableReport"]

_PIPE_COLUMNS = 200
"""How wide a table is where no terminal says."""
_NAME_COLUMNS = 12
"""So much of a name is shown on the narrowest terminal."""
_LEAST_COLUMNS = 12
"""So much of a row's last column is always shown."""

_BOLD, _RED, _YELLOW, _CYAN = "1", "1;31", "1;33", "36"
_COLOURS = {"err": _RED, "warn": _YELLOW, "info": _CYAN}
"""By the headings of the severities' columns, in their order."""
_GAP = "   "


class TableReport(Report):
    """A row for each VM that something was found of, the most harmed first."""

    has_rows = True

    def __init__(
        self, *, colour: bool = False, columns: int = 0, statistics: bool = False
    ) -> None:
        self.colour = colour
        self.columns = columns or _PIPE_COLUMNS
        self.statistics = statistics

    def render_file(self, file: CheckedFile) -> str:  # noqa: ARG002 - a report's method
        """Returns nothing: a table's columns are as wide as all of its rows need."""
        return ""

    def render_end(self, summary: Summary) -> str:
        """Returns the table, and how many VMs are not in it because nothing was found."""
        rows = [row for row in summary.rows if row.error or any(row.severities)]
        rows.sort(key=lambda row: (not row.error, [-number for number in row.severities]))
        text = _render_vms(rows, columns=self.columns, colour=self.colour) if rows else ""
        if clean := len(summary.rows) - len(rows):
            text += f"{count(clean, 'VM')} without findings\n"
        if self.statistics and summary.rules:
            text += "\n" + _render_rules(summary, colour=self.colour)
        return text


class StatisticsReport(Report):
    """A row for each rule that found something, the most frequent first."""

    def __init__(self, *, colour: bool = False) -> None:
        self.colour = colour

    def render_file(self, file: CheckedFile) -> str:  # noqa: ARG002 - a report's method
        """Returns nothing."""
        return ""

    def render_end(self, summary: Summary) -> str:
        """Returns the table."""
        return _render_rules(summary, colour=self.colour) if summary.rules else ""


def _render_vms(rows: Sequence[Tally], *, columns: int, colour: bool) -> str:
    table = [["node", "VM", "name", "disks", *_COLOURS, "worst"]]
    widest = max(_NAME_COLUMNS, columns // 6)
    for row in rows:
        numbers = [str(number or "·") for number in (row.disks, *row.severities)]
        table.append(
            [
                _cell(row.node, widest),
                _cell(row.vm or row.name, widest),
                _cell(row.vm_name, widest),
                *(["·"] * 4 if row.error else numbers),
                printable((row.error or _name_worst(row)).replace("\n", " ")),
            ]
        )
    if not any(row.node for row in rows):
        table = [cells[1:] for cells in table]
    right = {"disks", *_COLOURS}
    return _render_table(table, right=right, columns=columns, colour=colour)


def _name_worst(row: Tally) -> str:
    return f"{row.worst}; not fixed: {row.refusal}" if row.refusal else row.worst


def _render_rules(summary: Summary, *, colour: bool) -> str:
    table = [["findings", "VMs", "fixable", "rule", "severity", "name"]]
    for rule in summary.sort_rules():
        numbers = (f"{number:,}" for number in (rule.findings, rule.files, rule.fixable))
        table.append([*numbers, rule.code, rule.severity.value, rule.name])
    right = {"findings", "VMs", "fixable"}
    return _render_table(table, right=right, columns=_PIPE_COLUMNS, colour=colour)


def _cell(text: str, columns: int) -> str:
    return shorten(printable(text), columns)


def _render_table(
    table: Sequence[Sequence[str]], *, right: Iterable[str], columns: int, colour: bool
) -> str:
    """Returns a table whose last column is cut where the width ends."""
    head = table[0]
    widths = [max(display_width(cells[at]) for cells in table) for at in range(len(head) - 1)]
    rest = columns - sum(widths) - len(_GAP) * len(widths)
    rest = max(rest, _LEAST_COLUMNS)
    lines = []
    for number, cells in enumerate(table):
        padded = []
        for title, cell, width in zip(head, cells, widths, strict=False):
            blanks = " " * (width - display_width(cell))
            shown = _paint(title, cell, is_head=number == 0) if colour else cell
            padded.append(blanks + shown if title in right else shown + blanks)
        last = _cut(cells[-1], rest)
        padded.append(_paint(head[-1], last, is_head=number == 0) if colour else last)
        lines.append(f"{_GAP.join(padded).rstrip()}\n")
    if not colour:
        width = max(display_width(line.rstrip("\n")) for line in lines)
        lines.insert(1, f"{'─' * width}\n")
    return disarm_lines("".join(lines))


def _cut(text: str, columns: int) -> str:
    """Returns the beginning of a text, as much as fits."""
    if display_width(text) <= columns:
        return text
    text = text[: columns - 1]
    while display_width(text) > columns - 1:
        text = text[:-1]
    return f"{text}…"


def _paint(title: str, cell: str, *, is_head: bool) -> str:
    code = _BOLD if is_head else ""
    if not is_head and title in _COLOURS and cell != "·":
        code = _COLOURS[title]
    elif not is_head and title == "severity":
        code = tuple(_COLOURS.values())[Severity(cell).rank]
    return paint(cell, code)
