"""Verdicts in words."""

from __future__ import annotations

from typing import get_args

import pytest

from vmio.model.plan import Change
from vmio.observe.verdicts.values import Doubt, Figure, Unit, Verdict, VerdictKind
from vmio.report.verdicts.words import describe_figure, describe_verdict, summarise_verdicts
from vmio.values import replace

VERDICT = Verdict(
    kind="iothread-full",
    subject="io0",
    severity="warning",
    evidence=(
        Figure(name="cpu", subject="io0", value=0.972, unit="processors", at_least=0.95),
        Figure(name="run delay", subject="io0", value=None, unit="share", at_most=0.03),
    ),
    source="somebody",
    step="map-queues",
    disks=("vd0",),
)


def test_verdict_is_told_with_its_figures_and_what_helps() -> None:
    """A figure has its unit and the threshold that it passed."""
    found = describe_verdict(VERDICT)

    assert found.title == "IOThread io0 has no time left"
    assert found.reason == "The requests of its disks wait for it."
    assert found.figures == (
        "cpu of io0: 0.97 processors (at least 0.95 processors)",
        "run delay of io0: not known (at most 3%)",
    )
    assert found.hint == "spread the disk's queues over several IOThreads: vd0"


@pytest.mark.parametrize(
    ("new", "hint"),
    [
        ("32768", "set poll-max-ns to 32768 on io0"),
        (None, "leave poll-max-ns at its default on io0"),
    ],
)
def test_change_is_what_helps(new: str | None, hint: str) -> None:
    """A single property is told instead of a step."""
    change = Change(subject="io0", property="poll_max_ns", old="1000000", new=new)

    assert describe_verdict(replace(VERDICT, step=None, change=change)).hint == hint


@pytest.mark.parametrize("kind", get_args(VerdictKind))
def test_each_kind_has_words(kind: VerdictKind) -> None:
    """In whole sentences; what nothing helps has no hint."""
    found = describe_verdict(
        replace(VERDICT, kind=kind, doubt="too few requests", step=None, in_doubt=True)
    )

    assert found.title
    assert "{" not in found.title
    assert found.reason.endswith("wait for processors.")
    assert not found.reason.startswith(" ")
    assert found.hint == ""


@pytest.mark.parametrize("doubt", [each for each in get_args(Doubt) if each])
def test_each_doubt_has_words(doubt: Doubt) -> None:
    """The reason says why the figures do not decide."""
    found = describe_verdict(replace(VERDICT, kind="cannot-tell", doubt=doubt))

    assert found.reason.endswith(".")


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1234.6, "requests/s", "1,235 requests/s"),
        (1048576.0, "bytes/s", "1 MiB/s"),
        (1_500_000.0, "ns", "1.5 ms"),
        (0.5, "s", "0.5 s"),
        (4.25, "requests", "4.25"),
        ("native", "text", "native"),
    ],
)
def test_figure_has_its_unit(value: float | str, unit: Unit, text: str) -> None:
    """As people write it."""
    figure = Figure(name="x", subject="y", value=value, unit=unit)

    assert describe_figure(figure) == f"x of y: {text}"


def test_most_urgent_verdict_is_told_in_a_few_words() -> None:
    """With how many more there are; none at all is an answer, too."""
    waits = replace(VERDICT, kind="waits-for-processors", subject="the guest")
    assert summarise_verdicts((VERDICT,)) == "io0 full"
    assert summarise_verdicts((waits, VERDICT, VERDICT)) == "waits for processors (+2)"
    assert summarise_verdicts(()) == "nothing limits it"


@pytest.mark.parametrize(
    ("kind", "doubt"),
    [
        *((each, "") for each in get_args(VerdictKind)),
        *(("cannot-tell", each) for each in get_args(Doubt) if each),
    ],
)
def test_few_words_fit_a_column(kind: VerdictKind, doubt: Doubt) -> None:
    """Every kind has them."""
    assert 5 < len(summarise_verdicts((replace(VERDICT, kind=kind, doubt=doubt),))) <= 40
