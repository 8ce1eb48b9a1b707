"""Which characters are shown as they are."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmio.characters import disarm_lines, is_printable, natural_key, printable, printable_lines

TEXT = st.text(st.characters(codec=None, exclude_categories=()))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b]0;x\x07\0", r"a\x1b]0;x\x07\x00"),
        ("a\n\r\tb", r"a\n\r\tb"),
        ("\x7f\x85\x9b2J", r"\u007f\u0085\u009b2J"),
        ("\u202eabc\u2066\u061c\u200f", r"\u202eabc\u2066\u061c\u200f"),
        (
            "a\u200bb\xad\ufeff\u2060\u200d\ufe0f\u3164",
            r"a\u200bb\u00ad\ufeff\u2060\u200d\ufe0f\u3164",
        ),
        ("\u2028\u2029\ufffe\ue000", r"\u2028\u2029\ufffe\ue000"),
        ("\U000e0041\U000e0100", r"\U000e0041\U000e0100"),
        ("\udcff\ud800", r"\xff\ud800"),
    ],
)
def test_what_is_not_shown_is_spelled_out(text: str, shown: str) -> None:
    """Controls, directions, what is invisible and what is no character come in their numbers."""
    assert printable(text) == shown
    assert not is_printable(text)


@pytest.mark.parametrize("text", ["", "scsi0: a,b=1", r"C:\x1b", "Gäste-日本 → µs █ 🚀 e\u0301"])
def test_what_is_shown_stays(text: str) -> None:
    """Words of any language are as they were, and so are backslashes."""
    assert printable(text) == printable_lines(text) == text
    assert is_printable(text)


@given(TEXT)
def test_a_field_is_one_line_of_what_is_shown(text: str) -> None:
    """Whatever comes in, nothing that a terminal obeys goes out; a second time changes none."""
    shown = printable(text)
    assert shown.isprintable()
    assert not {unicodedata.category(sign) for sign in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert printable(shown) == shown
    shown.encode()


def test_no_line_is_a_command_to_a_ci() -> None:
    """Colons at the beginning of a line are spelled out, elsewhere they stay."""
    text = "::error::x\n  ::stop-commands::y\na::b ::c\n:d"
    assert disarm_lines(text) == "\\u003a:error::x\n  \\u003a:stop-commands::y\na::b ::c\n:d"


@given(TEXT)
def test_lines_keep_newlines_and_tabs_only(text: str) -> None:
    """A text of several lines is its lines, each spelled out."""
    lines = ["\t".join(printable(cell) for cell in line.split("\t")) for line in text.split("\n")]
    assert printable_lines(text) == "\n".join(lines)


def test_names_sort_as_people_count() -> None:
    """Numbers in them count as numbers, as far as nine digits of one go."""
    names = ["scsi10", "scsi2", "vCPU 10", "vCPU 9", "a", "", "7", f"x{'9' * 5000}", "x1"]
    ordered = sorted(names, key=natural_key)
    assert ordered == ["", "7", "a", "scsi2", "scsi10", "vCPU 9", "vCPU 10", "x1", names[-2]]
