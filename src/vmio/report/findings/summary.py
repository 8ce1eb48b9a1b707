"""The parts that all reports of findings share: pieces for each file, and totals.

A piece is made where a file is checked, which may be another process; only the piece and a
`Tally`, both small, are sent back. `assemble` joins the pieces one after the other, so no report
needs more memory for more files, except the table, which keeps a row for each.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct, field

from vmio.lint.diagnostic import CheckedFile, Diagnostic, Severity, may_apply

__all__ = [
    "Part",
    "Report",
    "RuleCount",
    "Summary",
    "Tally",
    "assemble",
    "count",
    "count_severities",
    "make_part",
    "make_tally",
    "readable",
    "render_summary",
]


_SEVERITIES = tuple(Severity)
"""Faster to go through than the class, as is needed for each file."""


class RuleCount(Struct, frozen=True):
    """The number of findings of one rule, in one file or in all."""

    code: str
    name: str
    severity: Severity
    """The highest severity found."""
    findings: int
    fixable: int
    """The number of findings with edits that `--fix` or `--unsafe-fixes` would make."""
    files: int = 1


class Tally(Struct, frozen=True):
    """The counts of one file."""

    name: str
    node: str = ""
    vm: str = ""
    vm_name: str = ""
    disks: int = 0
    rules: tuple[RuleCount, ...] = ()
    severities: tuple[int, ...] = (0,) * len(_SEVERITIES)
    """The number of findings of each severity, the highest first."""
    worst: str = ""
    """The code and name of the rule of the most harmful finding."""
    fixable: int = 0
    """How many findings `--fix` would fix."""
    unsafe_fixable: int = 0
    """How many more `--unsafe-fixes` would fix."""
    suppressed: int = 0
    stale: int = 0
    fixed: int = 0
    unfixed: int = 0
    refusal: str = ""
    """Why fixes could not be made."""
    error: str = ""
    """Why it could not be read."""
    status: int = 0
    """The exit status for the error."""


class Summary(Struct, kw_only=True):
    """The totals over all files so far."""

    files: int = 0
    fixable: int = 0
    unsafe_fixable: int = 0
    suppressed: int = 0
    stale: int = 0
    fixed: int = 0
    fixed_files: int = 0
    unfixed: int = 0
    worst_status: int = 0
    """The highest exit status of an error."""
    severities: Counter[Severity] = field(default_factory=Counter)
    rules: dict[str, RuleCount] = field(default_factory=dict)
    """By code."""
    errors: list[tuple[str, str]] = field(default_factory=list)
    """The files that could not be read, and why."""
    refusals: list[tuple[str, str]] = field(default_factory=list)
    """The files that could not be fixed, and why."""
    rows: list[Tally] = field(default_factory=list)
    """All files, if the report has a row for each."""

    @property
    def status(self) -> int:
        """The exit status: that of the worst error, else 1 if anything was found, else 0."""
        return self.find_status(Severity.INFO)

    def find_status(self, least: Severity) -> int:
        """Returns the exit status if only findings of at least that severity count."""
        failing = (self.severities[each] for each in Severity if each.rank <= least.rank)
        return self.worst_status or int(any(failing))

    def add(self, tally: Tally) -> None:
        """Counts one more file."""
        self.files += 1
        if tally.error:
            self.errors.append((tally.name, tally.error))
            self.worst_status = max(self.worst_status, tally.status)
        self.fixable += tally.fixable
        self.unsafe_fixable += tally.unsafe_fixable
        self.suppressed += tally.suppressed
        self.stale += tally.stale
        self.fixed += tally.fixed
        self.fixed_files += bool(tally.fixed)
        if tally.refusal:
            self.refusals.append((tally.name, tally.refusal))
            self.unfixed += tally.unfixed
        for severity, count in zip(_SEVERITIES, tally.severities, strict=True):
            if count:
                self.severities[severity] += count
        for rule in tally.rules:
            known = self.rules.get(rule.code)
            self.rules[rule.code] = rule if known is None else _merge(known, rule)

    def sort_rules(self) -> list[RuleCount]:
        """Returns the counts by rule, the most frequent first."""
        return sorted(self.rules.values(), key=lambda rule: (-rule.findings, rule.code))


class Report(ABC):
    """One form of report: an opening, a piece for each file, and a closing."""

    separator = ""
    """The separator between the pieces of two files."""
    has_rows = False
    """Whether the closing needs the tally of every file."""

    def render_start(self) -> str:
        """Returns the text before the first file."""
        return ""

    @abstractmethod
    def render_file(self, file: CheckedFile) -> str:
        """Returns the piece of one file; it depends only on that file."""

    @abstractmethod
    def render_end(self, summary: Summary) -> str:
        """Returns the text after the last file."""


Part = tuple[str, Tally]
"""A file's piece of a report, and its counts."""


def make_part(report: Report, file: CheckedFile) -> Part:
    """Returns one file's piece of a report and its counts."""
    return report.render_file(file), make_tally(file)


def assemble(report: Report, parts: Iterable[Part], summary: Summary) -> Iterator[str]:
    """Yields a report piece by piece, and adds each file to a summary."""
    yield report.render_start()
    separator = ""
    for piece, tally in parts:
        summary.add(tally)
        if report.has_rows:
            summary.rows.append(tally)
        if piece:
            yield f"{separator}{piece}"
            separator = report.separator
    yield report.render_end(summary)


def render_summary(summary: Summary, *, written: bool = True) -> tuple[str, ...]:
    """Returns the closing lines: the counts, and the number of fixed, hidden or gone findings.

    Args:
        summary: All files.
        written: Whether fixes were written, or only computed.
    """
    unreadable = len(summary.errors)
    text = count_severities(summary.severities)
    lines = []
    if summary.fixed:
        verb = "fixed" if written else "would fix"
        made = f"{count(summary.fixed, 'finding')} in {count(summary.fixed_files, 'file')}"
        lines.append(f"{verb} {made}")
    if summary.refusals:
        verb = "could not fix" if written else "would not fix"
        left = f"{count(summary.unfixed, 'finding')} in {count(len(summary.refusals), 'file')}"
        lines.append(f"{verb} {left}")
    if summary.fixed or summary.refusals:
        text += " left" if written else " would be left"
    text += f" in {count(summary.files - unreadable, 'file')}"
    if unreadable:
        text += f", {count(unreadable, 'file')} unreadable"
    lines.append(text)
    if fixable := _describe_fixable(summary):
        lines.append(fixable)
    if summary.suppressed:
        lines.append(f"{count(summary.suppressed, 'accepted finding')} not shown")
    if summary.stale:
        verb = "is" if summary.stale == 1 else "are"
        lines.append(
            f"{count(summary.stale, 'finding')} of the baseline {verb} gone;"
            " vmio baseline --update removes them"
        )
    return tuple(lines)


def _describe_fixable(summary: Summary) -> str:
    """Returns how many findings could be fixed; empty if fixing was tried and refused."""
    if summary.refusals:
        return ""
    parts = [f"{summary.fixable:,} fixable with --fix"] if summary.fixable else []
    if summary.unsafe_fixable:
        what = "more" if parts else "fixable"
        parts.append(f"{summary.unsafe_fixable:,} {what} with --unsafe-fixes")
    return ", ".join(parts)


def count_severities(found: Mapping[Severity, int]) -> str:
    """Returns how many findings there are of each severity, such as `1 error, 2 warnings`."""
    parts = [count(found[one], one.value) for one in Severity if found.get(one)]
    return ", ".join(parts) or "no findings"


def count(number: int, noun: str) -> str:
    """Returns a number with its noun."""
    return f"{number:,} {noun}{'' if number == 1 or noun == 'info' else 's'}"


def readable(text: str) -> str:
    r"""Returns a text that may be a file's name as valid UTF-8, with other bytes as `\xff`."""
    if text.isascii():
        return text
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def make_tally(file: CheckedFile) -> Tally:
    """Returns the counts of a file."""
    by_code: dict[str, list[Diagnostic]] = {}
    for diagnostic in file.diagnostics:
        by_code.setdefault(diagnostic.code, []).append(diagnostic)
    found = [diagnostic.severity for diagnostic in file.diagnostics]
    first = file.diagnostics[0] if file.diagnostics else None
    return Tally(
        name=file.name,
        node=file.node,
        vm=file.vm,
        vm_name=file.vm_name,
        disks=file.disks,
        rules=tuple(_count(same) for same in by_code.values()),
        severities=tuple(map(found.count, _SEVERITIES)),
        fixable=(safe := sum(may_apply(each.fix, unsafe=False) for each in file.diagnostics)),
        unsafe_fixable=sum(may_apply(each.fix, unsafe=True) for each in file.diagnostics) - safe,
        worst=f"{first.code} {first.name}" if first is not None else "",
        suppressed=len(file.suppressed),
        stale=file.stale,
        fixed=len(file.fixed),
        unfixed=len(file.unfixed),
        refusal=file.refusal.message if file.refusal is not None else "",
        status=file.error.exit_status if file.error is not None else 0,
        error=file.error.message if file.error is not None else "",
    )


def _rank(severity: Severity) -> int:
    return severity.rank


def _count(same: list[Diagnostic]) -> RuleCount:
    return RuleCount(
        code=same[0].code,
        name=same[0].name,
        severity=min((one.severity for one in same), key=_rank)
        if len(same) > 1
        else same[0].severity,
        findings=len(same),
        fixable=sum(may_apply(one.fix, unsafe=True) for one in same),
    )


def _merge(one: RuleCount, other: RuleCount) -> RuleCount:
    return RuleCount(
        code=one.code,
        name=one.name,
        severity=one.severity
        if one.severity is other.severity
        else min(one.severity, other.severity, key=_rank),
        findings=one.findings + other.findings,
        fixable=one.fixable + other.fixable,
        files=one.files + other.files,
    )
