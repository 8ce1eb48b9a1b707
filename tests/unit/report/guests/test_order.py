"""The order of guests by what limits them."""

from __future__ import annotations

from vmio.observe.verdicts.values import Severity, Verdict, VerdictKind
from vmio.report.guests.order import rank_verdicts


def make(kind: VerdictKind, severity: Severity = "warning") -> Verdict:
    """Returns a verdict without evidence."""
    return Verdict(kind=kind, subject="io0", severity=severity, evidence=(), source="somebody")


def test_worst_comes_first_and_what_nothing_limits_last() -> None:
    """Warnings by their urgency, then what is worth knowing, then what nobody could judge."""
    ranked = [
        (make("waits-for-processors"),),
        (make("main-loop-full"), make("limit-binds")),
        (make("main-loop-full"),),
        (make("polling-wasted"),),
        (make("vcpus-full", "info"),),
        (make("cannot-tell", "info"),),
        None,
        (),
    ]
    assert sorted((*ranked[4:], *ranked[:4]), key=rank_verdicts) == ranked
