"""Late patterns are patterns, and each of vmio's is a regular expression."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path

import pytest

import vmio
from vmio.patterns import _LatePattern, compile_late

SOURCES = Path(vmio.__file__).parent
MODULES = tuple(
    ".".join(path.relative_to(SOURCES.parent).with_suffix("").parts)
    for path in sorted(SOURCES.rglob("*.py"))
    if "import compile_late" in path.read_text(encoding="utf-8")
)


def test_compile_late_matches_as_a_pattern_does() -> None:
    """Methods and attributes are those of the compiled pattern, flags and all."""
    late, now = compile_late(r"(a+)b", re.IGNORECASE), re.compile(r"(a+)b", re.IGNORECASE)
    found = late.fullmatch("AAb")
    assert found is not None
    assert found[1] == "AA"
    assert late.sub("-", "xabx") == now.sub("-", "xabx")
    assert (late.pattern, late.flags, late.groups) == (now.pattern, now.flags, now.groups)


def test_compile_late_takes_bytes() -> None:
    """A pattern of bytes finds bytes."""
    assert compile_late(rb"\s+").split(b"a b") == [b"a", b"b"]


def test_compile_late_waits_for_its_first_use() -> None:
    """What is no regular expression is told when it is used, not when it is written."""
    late = compile_late("(")
    with pytest.raises(re.error, match="missing"):
        late.search("x")


def test_late_pattern_goes_between_processes() -> None:
    """One that is part of what a worker is sent arrives there, used or not."""
    late = compile_late("a")
    for _ in range(2):
        assert pickle.loads(pickle.dumps(late)).search("ba") is not None  # noqa: S301 - our own
        late.flags  # noqa: B018 - used now


@pytest.mark.parametrize("name", MODULES)
def test_late_patterns_of_a_module_are_regular_expressions(name: str) -> None:
    """A slip that the import would have told of is told of here."""
    late = [*_find_late(vars(import_module(name)).values())]
    assert late
    for each in late:
        re.compile(*each._arguments)


def _find_late(values: Iterable[object]) -> Iterator[_LatePattern]:
    """Yields the patterns among values, and in tables of them."""
    for each in values:
        if isinstance(each, _LatePattern):
            yield each
        elif isinstance(each, tuple):
            yield from _find_late(each)
