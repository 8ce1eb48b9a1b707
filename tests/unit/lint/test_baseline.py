"""A baseline hides what it knows, however the file around it changes, and nothing else."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmio.errors import InputError
from vmio.lint.baseline import (
    MAX_BASELINE_BYTES,
    Baseline,
    Known,
    compare_baselines,
    hide_known,
    identify,
    merge_baselines,
    parse_baseline,
    render_baseline,
)
from vmio.lint.diagnostic import Diagnostic, Severity
from vmio.model.source import Source, Span
from vmio.values import replace

SOURCE = Source(name="1.conf", data=b"a: 1\r\nb: 2\r\n")
FINDING = Diagnostic(
    code="XX001",
    name="x",
    severity=Severity.ERROR,
    message="it is so",
    source="1.conf",
    subject="a",
    span=Span(start=0, end=5),
)
KNOWN = identify(FINDING, SOURCE)


def make_baseline(*known: Known, vm: str = "1") -> Baseline:
    """Returns a baseline that knows something of one VM."""
    return Baseline(name="known.json", vms={vm: Counter(known)})


def hide(
    baseline: Baseline, *findings: Diagnostic, source: Source = SOURCE, vm: str = "1"
) -> tuple[int, int, int]:
    """Returns how many findings are new, how many known, and how many gone."""
    new, known, gone = hide_known(findings, baseline, vm=vm, source=source, codes={"XX001"})
    return len(new), len(known), gone


def test_known_finding_is_hidden_with_its_reason() -> None:
    """What the baseline knows is set aside and says who knows it."""
    new, (known,), gone = hide_known(
        [FINDING], make_baseline(KNOWN), vm="1", source=SOURCE, codes={"XX001"}
    )
    assert (new, gone) == ((), 0)
    assert known.diagnostic is FINDING
    assert "known.json" in known.reason


def test_known_finding_is_found_again_on_another_line() -> None:
    """Lines before it, another message and another line end make it no new one."""
    moved = Source(name="1.conf", data=b"z: 0\na: 1\n")
    finding = replace(FINDING, span=Span(start=5, end=9), message="in other words")
    assert hide(make_baseline(KNOWN), finding, source=moved) == (0, 1, 0)


def test_known_finding_of_other_words_is_new() -> None:
    """When what it is about is written anew, in another VM or place, it is new."""
    other = Source(name="1.conf", data=b"a: 3\r\nb: 2\r\n")
    assert hide(make_baseline(KNOWN), FINDING, source=other) == (1, 0, 1)
    assert hide(make_baseline(KNOWN), FINDING, vm="2") == (1, 0, 0)
    assert hide(make_baseline(KNOWN), replace(FINDING, subject="b")) == (1, 0, 1)


def test_finding_known_once_hides_one() -> None:
    """Of two findings with the same words one stays if one is known."""
    assert hide(make_baseline(KNOWN), FINDING, FINDING) == (1, 1, 0)
    assert hide(make_baseline(KNOWN, KNOWN), FINDING, FINDING) == (0, 2, 0)


def test_finding_of_a_rule_that_did_not_run_is_not_gone() -> None:
    """Only what a rule that ran finds no more is gone."""
    other = Known("XX002", "a", KNOWN.fingerprint)
    assert hide(make_baseline(KNOWN, other)) == (0, 0, 1)


def test_merge_replaces_what_was_looked_at() -> None:
    """VMs that were checked lose what is gone; other VMs and other rules stay."""
    other_rule = Known("XX002", "a", "0")
    old = Baseline(vms={"1": {KNOWN: 1, other_rule: 1}, "2": {KNOWN: 1}, "3": {KNOWN: 1}})
    came = Known("XX001", "b", "0")
    new = merge_baselines(old, {"1": {came: 2}, "3": {}}, codes={"XX001"})
    assert new.vms == {"1": {other_rule: 1, came: 2}, "2": {KNOWN: 1}}
    assert len(new) == 4
    assert compare_baselines(old, new) == (2, 2)


def test_render_baseline_is_a_sorted_line_a_finding() -> None:
    """VMs come as people count them, so that a change shows as lines of its own."""
    baseline = Baseline(vms={"10": {KNOWN: 1}, "9": {KNOWN: 2}})
    lines = render_baseline(baseline).splitlines()
    assert [line.split('"vm": ')[1][:4] for line in lines[1:-1]] == ['"9",', '"9",', '"10"']
    assert len(lines) == 5


WORDS = st.text(max_size=20)


@given(
    st.dictionaries(
        WORDS,
        st.dictionaries(
            st.builds(Known, WORDS, WORDS, WORDS), st.integers(1, 3), min_size=1, max_size=4
        ),
        max_size=4,
    )
)
def test_baseline_is_read_as_it_was_written(vms: dict[str, dict[Known, int]]) -> None:
    """Whatever a VM or subject is called, it comes back."""
    baseline = Baseline(name="b", vms=vms)
    assert parse_baseline(Source(name="b", data=render_baseline(baseline).encode())) == baseline


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b'{"schema": 2, "findings": []}',
        b'{"schema": 1, "findings": [1]}',
        b'{"schema": 1, "findings": [{"rule": "XX001", "vm": 1}]}',
        b"\xff",
        b"[" * 100_000,
        b" " * (MAX_BASELINE_BYTES + 1),
    ],
    ids=["nothing", "list", "empty", "schema", "number", "types", "bytes", "deep", "huge"],
)
def test_parse_baseline_refuses_what_is_none(data: bytes) -> None:
    """What is no baseline ends in one line that names the file."""
    with pytest.raises(InputError, match=r"known\.json") as caught:
        parse_baseline(Source(name="known.json", data=data))
    assert "\n" not in caught.value.message


@given(st.binary(max_size=200))
def test_parse_baseline_raises_nothing_but_input_errors(data: bytes) -> None:
    """No bytes make it raise anything else."""
    with pytest.raises(InputError):
        parse_baseline(Source(name="known.json", data=data))
