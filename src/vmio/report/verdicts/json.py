"""Verdicts as JSON, for every document that has some."""

from __future__ import annotations

from typing import Literal, TypedDict

from vmio.model.plan import StepKind
from vmio.observe.verdicts.values import Doubt, Figure, Severity, Unit, Verdict, VerdictKind
from vmio.report.verdicts.words import describe_verdict

__all__ = ["VerdictData", "describe_verdict_data"]


class FigureData(TypedDict):
    """A figure of a verdict's evidence, with the threshold that it passed if it has one."""

    name: str
    subject: str
    """A thread's name, a disk's id, or `the guest`."""
    value: float | str | None
    """Null if not known."""
    unit: Unit
    """`processors`: 1.0 is one processor all the time; `share`: 0 to 1."""
    at_least: float | None
    at_most: float | None


class VerdictData(TypedDict):
    """What limits a guest, or is worth knowing of it."""

    kind: VerdictKind
    subject: str
    """An IOThread's or a disk's id, `main loop`, or `the guest`."""
    severity: Severity
    """`warning`: it costs performance now; `info`: it is worth knowing."""
    title: str
    reason: str
    hint: str
    """What would help; empty if nothing in the configuration would."""
    evidence: list[FigureData]
    source: str
    """Where the thresholds come from."""
    step: StepKind | Literal["set-parameter"] | None
    """The kind of step of `vmio plan` that would change it; `set-parameter`: a single parameter,
    which `hint` names; null if none would."""
    disks: list[str]
    """The disks that such a step is about."""
    doubt: Doubt
    """Why the figures do not decide; empty unless `kind` is `cannot-tell`."""
    in_doubt: bool
    """Whether the figures are uncertain, because threads of the guest wait for processors."""


def describe_verdict_data(verdict: Verdict) -> VerdictData:
    """Returns a verdict as JSON has it."""
    words = describe_verdict(verdict)
    return {
        "kind": verdict.kind,
        "subject": verdict.subject,
        "severity": verdict.severity,
        "title": words.title,
        "reason": words.reason,
        "hint": words.hint,
        "evidence": [*map(_describe_figure, verdict.evidence)],
        "source": verdict.source,
        "step": "set-parameter" if verdict.change is not None else verdict.step,
        "disks": [*verdict.disks],
        "doubt": verdict.doubt,
        "in_doubt": verdict.in_doubt,
    }


def _describe_figure(figure: Figure) -> FigureData:
    return {
        "name": figure.name,
        "subject": figure.subject,
        "value": figure.value,
        "unit": figure.unit,
        "at_least": figure.at_least,
        "at_most": figure.at_most,
    }
