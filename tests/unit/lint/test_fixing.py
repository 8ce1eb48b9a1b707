"""Fixes change the bytes that they name and no others, until nothing is left to fix."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vmio.errors import InputError
from vmio.lint.diagnostic import Applicability, Diagnostic, Fix, Severity
from vmio.lint.fixing import MAX_ROUNDS, apply_fixes, fix_source
from vmio.model.source import Edit, Source, Span


def make_fix(
    *edits: tuple[int, int, str], applicability: Applicability = Applicability.SAFE
) -> Diagnostic:
    """Returns a finding whose fix has edits given as start, end and text."""
    fix = Fix(
        applicability=applicability,
        message="do it",
        edits=tuple(Edit(span=Span(start=a, end=b), text=text) for a, b, text in edits),
    )
    return Diagnostic(
        code="XX001", name="x", severity=Severity.ERROR, message="m", source="1", fix=fix
    )


def make_source(data: bytes) -> Source:
    """Returns a source of some bytes."""
    return Source(name="100.conf", data=data)


def test_apply_fixes_leaves_unsafe_ones_until_asked() -> None:
    """An unsafe fix waits for the word, and a manual one is never applied."""
    source = make_source(b"abc")
    unsafe = make_fix((0, 1, "A"), applicability=Applicability.UNSAFE)
    manual = make_fix((1, 2, "B"), applicability=Applicability.MANUAL)
    safe = make_fix((2, 3, "C"))
    fixes = (unsafe, manual, safe)
    assert apply_fixes(source, fixes) == b"abC"
    assert apply_fixes(source, fixes, unsafe=True) == b"AbC"


def test_apply_fixes_makes_a_shared_edit_once() -> None:
    """Two findings with one remedy do not insert it twice."""
    fix = make_fix((3, 3, "!"))
    assert apply_fixes(make_source(b"abc"), (fix, fix)) == b"abc!"


def test_apply_fixes_skips_a_whole_fix_that_clashes() -> None:
    """Of two fixes that touch one place the first wins, and nothing of the other is applied."""
    fixes = (make_fix((0, 2, "X")), make_fix((1, 3, "Y"), (4, 5, "Z")))
    assert apply_fixes(make_source(b"abcde"), fixes) == b"Xcde"


def test_apply_fixes_takes_neighbours() -> None:
    """Edits that only touch do not clash."""
    fixes = (make_fix((0, 2, "")), make_fix((2, 4, "yy")))
    assert apply_fixes(make_source(b"abcde"), fixes) == b"yye"


@given(st.binary(max_size=40), st.data())
def test_apply_fixes_keeps_every_other_byte(data: bytes, draw: st.DataObject) -> None:
    """What is before and after an edit stays as it is, be it text or not."""
    start = draw.draw(st.integers(0, len(data)))
    end = draw.draw(st.integers(start, len(data)))
    fixed = apply_fixes(make_source(data), [make_fix((start, end, "é"))])
    assert fixed == data[:start] + "é".encode() + data[end:]


def test_fix_source_goes_on_until_nothing_is_left() -> None:
    """What one fix uncovers the next round fixes, and all that was made is told."""

    def check(text: Source) -> list[Diagnostic]:
        place = text.data.find(b"a")
        return [make_fix((place, place + 1, "b"))] if place >= 0 else []

    fixed = fix_source(make_source(b"aaa"), check)
    assert fixed.data == b"bbb"
    assert len(fixed.applied) == 3
    assert fixed.left == ()


def test_fix_source_ends_when_two_fixes_undo_each_other() -> None:
    """A text that comes round again ends the fixing, before the round that would repeat it."""

    def check(text: Source) -> list[Diagnostic]:
        return [make_fix((0, 1, "b" if text.data == b"a" else "a"))]

    fixed = fix_source(make_source(b"a"), check)
    assert fixed.data == b"b"
    assert len(fixed.applied) == len(fixed.left) == 1


def test_fix_source_ends_though_every_fix_uncovers_one() -> None:
    """A text that grows for ever is left after a bounded number of rounds."""
    fixed = fix_source(make_source(b""), lambda _: [make_fix((0, 0, "a"))])
    assert fixed.data == b"a" * MAX_ROUNDS


def test_fix_source_makes_no_round_that_ends_in_nonsense() -> None:
    """A text that could no longer be read is not what fixing leaves behind."""

    def check(text: Source) -> list[Diagnostic]:
        if not text.data:
            raise InputError("it is empty")
        return [make_fix((0, 1, ""))]

    fixed = fix_source(make_source(b"ab"), check)
    assert fixed.data == b"b"
    assert len(fixed.applied) == 1


def test_fix_source_stays_within_the_part_that_it_may_edit() -> None:
    """A fix that reaches out of that part is not made, nor one whose text moves its end."""
    source = make_source(b"a: 1\n[snap]\na: 1\n")

    def find_editable(text: Source) -> Span:
        return Span(start=0, end=text.data.index(b"["))

    def fix_with(*edits: tuple[int, int, str]) -> bytes:
        found = [make_fix(edit) for edit in edits]
        return fix_source(source, lambda _: found, find_editable=find_editable).data

    assert fix_with((15, 16, "2")) == source.data
    assert fix_with((4, 6, "")) == source.data
    assert fix_with((3, 4, "\n[x]\n")) == source.data
    assert fix_with((3, 4, "2"), (15, 16, "2")) == b"a: 2\n[snap]\na: 1\n"
