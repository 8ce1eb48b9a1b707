"""Numbers and truth as Perl takes them."""

from __future__ import annotations

import pytest

from vmio.formats.proxmox.perl import compute, is_integer, is_number, is_true, parse_boolean


@pytest.mark.parametrize("text", ["0", "5", "+5", "-5", "007", "-0"])
def test_whole_numbers(text: str) -> None:
    """A sign and zeros may stand before the digits; every whole number is a number too."""
    assert is_integer(text)
    assert is_number(text)


@pytest.mark.parametrize("text", [".5", "3.", "1.5", "1e2", "+.5E-3", "-3.e+1"])
def test_other_numbers(text: str) -> None:
    """Digits on one side of the point are enough, and an exponent may follow."""
    assert is_number(text)
    assert not is_integer(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "e2",
        "1e",
        "1e+",
        " 1",
        "1 ",
        "--1",
        "1,5",
        "0x1",
        "inf",
        "nan",
        "1_0",
        "\u0661",
        "1\n",
    ],
)
def test_texts_that_are_no_numbers(text: str) -> None:
    """Neither Python's other spellings nor blanks, names or the digits of other scripts count."""
    assert not is_number(text)
    assert not is_integer(text)


@pytest.mark.parametrize("text", ["9" * 5000, "1e999", "." + "9" * 5000])
def test_numbers_beyond_all_use_are_refused(text: str) -> None:
    """A number that no QEMU takes costs nothing and overflows nothing."""
    assert not is_number(text)


@pytest.mark.parametrize(
    ("text", "truth"),
    [("0", False), ("", False), (None, False), ("0.0", True), ("00", True), ("-0", True)],
)
def test_truth_is_that_of_the_text(text: str | None, *, truth: bool) -> None:
    """What counts as zero is true unless it is written as one plain `0`."""
    assert is_true(text) is truth


@pytest.mark.parametrize(
    ("text", "whole"),
    [("1.9", 1), ("-1.9", -1), (".5", 0), ("1e2", 100), ("+5", 5), ("007", 7), ("-0.0", 0)],
)
def test_fractions_are_cut_towards_zero(text: str, whole: int) -> None:
    """A number is multiplied first and cut then."""
    assert compute(text) == whole
    assert compute(text, 10) == int(float(text) * 10)


@pytest.mark.parametrize(
    ("word", "truth"), [("Yes", True), ("ON", True), ("off", False), ("0", False), ("2", None)]
)
def test_words_for_a_boolean(word: str, *, truth: bool | None) -> None:
    """Four words each stand for yes and no, in any case; nothing else does."""
    assert parse_boolean(word) is truth
