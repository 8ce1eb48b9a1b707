"""Documents that are made to take memory, time or the reader's life."""

from __future__ import annotations

import pytest

from vmio.bounds import MAX_DEPTH, check_document, load_json, load_toml

HUGE = "9" * 5000


@pytest.mark.parametrize(
    "text",
    [
        r'"\ud800"',
        r'{"\udc80": 1}',
        b'"\xed\xa0\x80"',
        '"\ud800"',
        "[" * 100_000,
        "[" * (MAX_DEPTH + 2) + "]" * (MAX_DEPTH + 2),
        '{"a":' * 90 + "1" + "}" * 90,
    ],
    ids=["surrogate", "in a key", "as bytes", "as text", "unclosed", "lists", "objects"],
)
def test_json_that_nobody_could_go_on_with_is_refused(text: str | bytes) -> None:
    """Half of a surrogate pair, which nothing can write, and nests that nothing can follow."""
    with pytest.raises(ValueError, match=r"surrogate|nested too deeply|invalid continuation"):
        load_json(text)


def test_json_number_of_any_length_is_read_as_qemu_reads_it() -> None:
    """Beyond 64 bits it is a floating-point number, which costs no time and prints."""
    assert load_json(f"[{HUGE}, 18446744073709551615]") == [float("inf"), (1 << 64) - 1]


@pytest.mark.parametrize(
    "text",
    [
        f"a = {HUGE}",
        f"a = 0x{'f' * 5000}",
        f"a = [{{b = {HUGE}}}]",
        ".".join(["a"] * 40_000) + " = 1",
        f"[{'.'.join(['a'] * 40_000)}]",
        "x = {" + " . ".join(['"a"'] * 40_000) + " = 1}",
        "a = " + "[" * 40_000,
        "a = " + "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1),
    ],
    ids=["digits", "hex", "inside", "key", "table", "inline", "unclosed", "lists"],
)
def test_toml_that_nobody_could_go_on_with_is_refused(text: str) -> None:
    """Numbers that TOML has not, and keys and lists that only a hostile file has."""
    with pytest.raises(ValueError, match=r"beyond 64 bits|nested too deeply"):
        load_toml(text.encode())


def test_toml_text_with_dots_is_no_nest() -> None:
    """A sentence, and a list of names with dots, are values."""
    words = "a. " * 200
    assert load_toml(f'x = "{words}"\ny = ["{words}", "b.c"]'.encode()) == {
        "x": words,
        "y": [words, "b.c"],
    }


def test_document_within_the_bounds_passes() -> None:
    """As deep and as large as is allowed."""
    document: object = {"é": [-(1 << 63), (1 << 64) - 1, 1e300, None, True]}
    for _ in range(MAX_DEPTH - 2):
        document = [document]
    check_document(document)
