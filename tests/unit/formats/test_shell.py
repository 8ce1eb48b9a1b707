"""Words quoted for a shell."""

from __future__ import annotations

import contextlib
import shlex
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmio.characters import is_printable
from vmio.formats.shell import join_words, scan_words, split_words


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


WORDS = st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0")))


def scan(line: str) -> list[str]:
    """Returns the words of a line, as a command line is read."""
    text = line.encode("utf-8", "surrogateescape").decode("latin-1")
    return [
        word.text.encode("latin-1").decode("utf-8", "surrogateescape")
        for word in scan_words(text, dollars=True)
    ]


@given(WORDS)
def test_joined_words_are_shown_and_come_back(words: list[str]) -> None:
    """A line for people has nothing that a terminal obeys, and is read as the same words."""
    line = join_words(words)
    assert is_printable(line)
    assert scan(line) == words


HOSTILE = [
    "a b",
    "\x1b]0;t\x07'\\",
    "\u202ex\n\t\r\x01234",
    "日本\x9b",
    "\udcff1",
    "\U000e0041",
    "$'x'",
    "",
]


def test_joined_words_come_back_from_a_shell() -> None:
    """Bash reads the same bytes, in a locale without UTF-8 too."""
    for locale in ("C", "C.UTF-8"):
        done = subprocess.run(
            ["bash", "-c", f"printf '%s\\0' {join_words(HOSTILE)}"],
            capture_output=True,
            check=True,
            env={"LC_ALL": locale},
        )
        found = done.stdout.decode("utf-8", "surrogateescape").split("\0")[:-1]
        assert found == HOSTILE
    assert scan(join_words(HOSTILE)) == HOSTILE


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (r"$'a\nb' c", ["a\nb", "c"]),
        (r"x$'\'\\\"\?'y", ["x'\\\"?y"]),
        (r"$'\e\x41\u00e9\U1F680\cA\101\z'", ["\x1bAé🚀\x01A\\z"]),
        (r"$'a\0b'c", ["ac"]),
        ("a$b $ '$' \"$'\" \\$'x'", ["a$b", "$", "$", "$'", "$x"]),
    ],
)
def test_dollar_quotation_is_read_as_a_shell_does(text: str, words: list[str]) -> None:
    """Its escapes are those of POSIX, and a dollar elsewhere is one."""
    assert scan(text) == words


def test_dollar_quotation_without_an_end_is_refused() -> None:
    """A quote that is escaped ends nothing."""
    with pytest.raises(ValueError, match="no end"):
        scan(r"$'a\'")


def test_dollar_is_no_quotation_where_proxmox_splits() -> None:
    """A config's args are split as Proxmox VE does, which knows no such quotation."""
    assert split_words(r"$'a\n'") == [r"$a\n"]


def test_part_of_a_dollar_quotation_has_its_place() -> None:
    """A finding marks what stands in the file."""
    (word,) = scan_words(r"x$'a\033b'", dollars=True)
    assert word.text == "xa\x1bb"
    assert word.find(1, 3) == (3, 8)
