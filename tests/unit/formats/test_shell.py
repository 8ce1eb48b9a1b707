"""Words quoted for a shell."""

from __future__ import annotations

import contextlib
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmio.formats.shell import split_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a  b\n\tc ", ["a", "b", "c"]),
        ("a'b c'\"d e\"\\ f", ["ab cd e f"]),
        ("'' \"\" a", ["", "", "a"]),
        (r'"a\"b\\c\d"', [r'a"b\c\d']),
        ("a \\\n  -b\\\nc", ["a", "-bc"]),
        ('"a\\\nb"', ["ab"]),
        ("", []),
    ],
)
def test_words_are_those_of_a_shell(text: str, words: list[str]) -> None:
    """Quotes and backslashes mean what they mean in a shell."""
    assert split_words(text) == words


@pytest.mark.parametrize("text", ["'a", 'a "b', "a\\", '"\\"'])
def test_open_quotation_is_refused(text: str) -> None:
    """A text that a shell would ask the rest of is no list of words."""
    with pytest.raises(ValueError, match="no end"):
        split_words(text)


@given(st.lists(st.text()))
def test_quoted_words_come_back(words: list[str]) -> None:
    """What the standard library quotes is split into the same words."""
    assert split_words(shlex.join(words)) == words


@given(st.text(alphabet="a b'\"\\\t\xa0\v#"))
def test_words_are_those_of_the_standard_library(text: str) -> None:
    """Any text is split as shlex splits it, or refused as it refuses it."""
    try:
        expected: list[str] | None = shlex.split(text)
    except ValueError:
        expected = None
    found = None
    with contextlib.suppress(ValueError):
        found = split_words(text)
    assert found == expected
