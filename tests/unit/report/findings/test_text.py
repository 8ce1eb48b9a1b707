"""Findings in a terminal show the place, and nothing in a file commands the terminal."""

from __future__ import annotations

from vmio.errors import InputError
from vmio.lint.diagnostic import (
    Applicability,
    CheckedFile,
    Diagnostic,
    Fix,
    Severity,
    Suppressed,
)
from vmio.model.source import Source, Span
from vmio.report.findings.summary import Summary, make_tally, render_summary
from vmio.report.findings.text import TextReport
from vmio.values import replace


def render_text(file: CheckedFile, *, colour: bool = False, columns: int = 0) -> str:
    """Returns a file's part of the text without its first line."""
    text = TextReport(colour=colour, columns=columns).render_file(file)
    return text.partition("\n")[2]


def render_lines(*files: CheckedFile, written: bool = True) -> tuple[str, ...]:
    """Returns what is said at the end."""
    summary = Summary()
    for file in files:
        summary.add(make_tally(file))
    return render_summary(summary, written=written)


def make_file(data: bytes, *spans: Span | None, message: str = "it is so") -> CheckedFile:
    """Returns a file with a finding for each span."""
    fix = Fix(applicability=Applicability.UNSAFE, message="change it")
    return CheckedFile(
        name="1.conf",
        source=Source(name="1.conf", data=data),
        diagnostics=tuple(
            Diagnostic(
                code="XX001",
                name="x",
                severity=Severity.WARNING,
                message=message,
                source="1.conf",
                span=span,
                notes=("mind this",),
                fix=fix,
            )
            for span in spans
        ),
    )


def test_render_text_points_at_the_place() -> None:
    """A finding has its place, its line, a caret under each character, its notes and its fix."""
    text = render_text(make_file(b"cores: 1\nname: db\n", Span(start=15, end=17)))
    assert text == (
        "1.conf:2:7: XX001 warning: it is so\n"
        "  2 | name: db\n"
        "    |       ^^\n"
        "    = note: mind this\n"
        "    = fix (unsafe): change it\n"
    )


def test_render_text_says_a_shared_remark_once() -> None:
    """A note or fix that several findings share stands under the first."""
    text = render_text(make_file(b"cores: 1\n", Span(start=0, end=1), Span(start=1, end=2)))
    assert text.count("XX001") == 2
    assert text.count("mind this") == text.count("change it") == 1


def test_render_text_without_a_place_shows_no_line() -> None:
    """What is missing from a file as a whole has no line to show."""
    assert render_text(make_file(b"cores: 1\n", None)) == (
        "1.conf: XX001 warning: it is so\n   = note: mind this\n   = fix (unsafe): change it\n"
    )


def test_render_text_of_a_clean_file_is_empty() -> None:
    """A file without findings prints nothing."""
    assert render_text(make_file(b"cores: 1\n")) == ""


def test_render_text_keeps_carets_under_wide_and_hidden_signs() -> None:
    """Wide signs, tabs and spelled-out control characters move the carets with the text."""
    data = "日\t\x1b[2Jx".encode()
    start = data.index(b"x")
    text = render_text(make_file(data, Span(start=start, end=start + 1)))
    _, line, carets, *_ = text.splitlines()
    assert line == "  1 | 日 \\x1b[2Jx"
    assert carets == "    | " + " " * 10 + "^"


def test_render_text_spells_out_control_characters_everywhere() -> None:
    """Neither a line nor a message nor a file's name reaches the terminal as a command."""
    checked = make_file(b"\x1b]0;x\x07\xc2\x9b\n", Span(start=0, end=2), message="a\x1bb\nc\udc80")
    text = render_text(checked)
    assert all(character.isprintable() for character in text.replace("\n", ""))
    assert "a\\x1bb c\\x80" in text


def test_render_text_shows_a_part_of_a_long_line() -> None:
    """Of a line that no terminal can show, the part around the place is shown."""
    data = b"args: " + b"a" * 5000 + b"HERE" + b"b" * 5000
    start = data.index(b"HERE")
    text = render_text(make_file(data, Span(start=start, end=start + 4)))
    _, line, carets, *_ = text.splitlines()
    assert line.index("HERE") == carets.index("^^^^")
    assert len(line) < 140
    assert line.count("…") == 2


def test_render_text_paints_only_when_asked() -> None:
    """Colours are escape sequences around the very same words."""
    checked = make_file(b"cores: 1\n", Span(start=0, end=5))
    plain, painted = render_text(checked), render_text(checked, colour=True)
    assert "\x1b" not in plain
    assert "\x1b[1;33mwarning\x1b[0m" in painted


def test_text_report_heads_a_file_with_its_vm() -> None:
    """The first line of a file says which VM it is, where, and how much is wrong with it."""
    found = make_file(b"a\n", Span(start=0, end=1), Span(start=0, end=1))
    named = replace(found, vm="701", vm_name="stor\x1bage", node="alpha")
    assert TextReport().render_file(found).startswith("1.conf: 2 warnings\n1.conf:1:1: ")
    head = TextReport().render_file(named).partition("\n")[0]
    assert head == "701 stor\\x1bage on alpha: 2 warnings"


def test_render_text_cuts_a_line_to_the_terminal() -> None:
    """On a narrow terminal the part around the place is what fits."""
    data = b"args: " + b"a" * 100 + b"HERE" + b"b" * 100
    text = render_text(make_file(data, Span(start=106, end=110)), columns=80)
    _, line, carets, *_ = text.splitlines()
    assert line.index("HERE") == carets.index("^^^^")
    assert len(line) <= 80


def test_render_summary_counts_by_severity() -> None:
    """The closing line counts findings, files and what could not be read."""
    found = make_file(b"a\n", Span(start=0, end=1), Span(start=0, end=1))
    lost = CheckedFile(name="2.conf", error=InputError("no"))
    assert render_lines(found) == ("2 warnings in 1 file",)
    assert render_lines(found, found, lost) == ("4 warnings in 2 files, 1 file unreadable",)
    assert render_lines(make_file(b"a\n")) == ("no findings in 1 file",)


def test_render_summary_tells_of_what_is_not_shown() -> None:
    """What was fixed, what is accepted and what a baseline knows in vain has a line each."""
    found = make_file(b"a\n", Span(start=0, end=1))
    (finding,) = found.diagnostics
    quiet = replace(
        found,
        fixed=(finding, finding),
        suppressed=(Suppressed(diagnostic=finding, reason="so be it"),),
        stale=1,
    )
    assert render_lines(quiet) == (
        "fixed 2 findings in 1 file",
        "1 warning left in 1 file",
        "1 accepted finding not shown",
        "1 finding of the baseline is gone; vmio baseline --update removes them",
    )
    assert render_lines(quiet, written=False)[:2] == (
        "would fix 2 findings in 1 file",
        "1 warning would be left in 1 file",
    )


def test_render_summary_counts_what_could_be_fixed() -> None:
    """Safe fixes apart from others; where fixes were refused none are promised."""
    summary = Summary(files=1, fixable=3, unsafe_fixable=1)
    assert render_summary(summary)[-1] == "3 fixable with --fix, 1 more with --unsafe-fixes"
    assert render_summary(replace(summary, fixable=0))[-1] == "1 fixable with --unsafe-fixes"
    assert len(render_summary(replace(summary, refusals=[("a", "no")]))) == 2


def test_messages_wrap_between_words_on_a_terminal() -> None:
    """A continued line is indented; where nothing is a terminal a message is one line."""
    file = make_file(b"a\n", Span(start=0, end=1), message=" ".join(["word"] * 40))
    lines = render_text(file, columns=60).splitlines()
    assert max(map(len, lines)) <= 60
    assert lines[1].startswith("    word word")
    assert render_text(file).splitlines()[0].count("word") == 40
