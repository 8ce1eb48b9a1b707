"""Tables tell of many VMs at a glance and fit where they are shown."""

from __future__ import annotations

from vmio.errors import InputError
from vmio.lint.diagnostic import CheckedFile, Diagnostic, Severity
from vmio.model.source import Source
from vmio.report.findings.summary import Report, Summary, assemble, make_part
from vmio.report.findings.table import StatisticsReport, TableReport


def make_file(vm: str, *severities: Severity, node: str = "", name: str = "") -> CheckedFile:
    """Returns a VM with a finding of each severity."""
    return CheckedFile(
        name=f"{vm}.conf",
        source=Source(name=f"{vm}.conf", data=b""),
        vm=vm,
        vm_name=name,
        node=node,
        disks=2,
        diagnostics=tuple(
            Diagnostic(
                code=f"XX00{severity.rank}",
                name=f"{severity}-rule",
                severity=severity,
                message="it is so",
                source=f"{vm}.conf",
            )
            for severity in severities
        ),
    )


def render(report: Report, *files: CheckedFile) -> str:
    """Returns a whole report."""
    return "".join(assemble(report, (make_part(report, file) for file in files), Summary()))


ERROR, WARNING, INFO = Severity


def test_table_has_a_row_for_each_vm_the_most_harmed_first() -> None:
    """What could not be read comes first, then the VMs by their harm; clean ones are counted."""
    lost = CheckedFile(name="9.conf", error=InputError("cannot read 9.conf"))
    files = (
        make_file("1", node="alpha"),
        make_file("2", WARNING, INFO, node="alpha", name="db"),
        make_file("3", ERROR, node="beta"),
        lost,
    )
    assert render(TableReport(), *files) == (
        "node   VM      name  disks  err  warn  info  worst\n"
        f"{'─' * 63}\n"
        "       9.conf            ·    ·     ·     ·  cannot read 9.conf\n"
        "beta   3                 2    1     ·     ·  XX000 error-rule\n"
        "alpha  2       db        2    ·     1     1  XX001 warning-rule\n"
        "1 VM without findings\n"
    )


def test_table_fits_the_terminal() -> None:
    """The last column is cut where the terminal ends, and a long name in its middle."""
    text = render(TableReport(columns=80), make_file("2", ERROR, node="n" * 99, name="日" * 40))
    assert all(len(line) + line.count("日") <= 80 for line in text.splitlines())
    assert "日…日" in text


def test_table_shows_nothing_that_a_terminal_obeys() -> None:
    """A name's control characters are spelled out."""
    text = render(TableReport(), make_file("2", ERROR, name="a\x1b[2Jb\nc\udcff"))
    assert all(sign.isprintable() for sign in text.replace("\n", ""))


def test_table_without_findings_counts_the_vms() -> None:
    """When nothing was found there is no table."""
    assert render(TableReport(), make_file("1"), make_file("2")) == "2 VMs without findings\n"


def test_statistics_count_by_rule() -> None:
    """Each rule has a row with its findings and VMs, the most frequent first."""
    text = render(
        StatisticsReport(), make_file("1", ERROR, INFO), make_file("2", INFO), make_file("3")
    )
    _, line, *rows = text.splitlines()
    assert set(line) == {"─"}
    assert [row.split() for row in rows] == [
        ["2", "2", "0", "XX002", "info", "info-rule"],
        ["1", "1", "0", "XX000", "error", "error-rule"],
    ]
    assert render(StatisticsReport(), make_file("3")) == ""


def test_table_has_statistics_under_it_when_asked() -> None:
    """Both tables can be had in one run."""
    text = render(TableReport(statistics=True), make_file("1", ERROR))
    assert "worst" in text
    assert "fixable" in text


def test_tables_paint_only_when_asked() -> None:
    """Colours are escape sequences around the same words."""
    painted = render(TableReport(colour=True, statistics=True), make_file("1", ERROR, WARNING))
    assert "\x1b[1;31m1\x1b[0m" in painted
    assert "\x1b[1;31merror\x1b[0m" in painted
    assert "\x1b" not in render(TableReport(statistics=True), make_file("1", ERROR))
