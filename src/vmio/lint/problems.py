"""What the rules about form share: each tells of one kind of problem that the reader had."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import ClassVar

from vmio.lint.diagnostic import Diagnostic, Severity
from vmio.lint.rule import Context, Rule
from vmio.model.source import Problem

__all__ = ["ProblemRule", "bus_of", "explain_reasons", "is_drive", "names_iothread", "reasons_of"]

_DRIVES = frozenset({"ide", "sata", "scsi", "virtio", "efidisk", "tpmstate"})


class ProblemRule(Rule):
    """A rule that reports every problem of one kind.

    Losing a drive is an error whatever the kind; the rule's own severity is for the rest.
    """

    kind: ClassVar[str]
    needs = "problems"

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per problem."""
        for problem in context.vm.problems:
            if problem.kind == self.kind and self.concerns(problem):
                yield self.report(
                    context,
                    self.explain(problem),
                    subject=problem.subject,
                    span=problem.span,
                    severity=Severity.ERROR if is_drive(problem) else None,
                )

    def concerns(self, problem: Problem) -> bool:  # noqa: ARG002 - for rules that leave some out
        """Returns whether it is this rule that reports a problem of its kind."""
        return True

    @abstractmethod
    def explain(self, problem: Problem) -> str:
        """Returns the finding's message."""


def bus_of(problem: Problem) -> str:
    """Returns a problem's subject without its number: `scsi` for `scsi0`."""
    return problem.subject.rstrip("0123456789")


def is_drive(problem: Problem) -> bool:
    """Returns whether a problem is about a drive, which is then lost."""
    return problem.subject != bus_of(problem) and bus_of(problem) in _DRIVES


def reasons_of(problem: Problem) -> tuple[str, ...]:
    """Returns why the reader did not take something, a line per reason, without its preamble."""
    lines = problem.message.splitlines()
    first = lines[0].partition(" - ")[2] or lines[0]
    return (*(() if first == "format error" else (first,)), *lines[1:])


def explain_reasons(problem: Problem) -> str:
    """Returns why the reader did not take something, in one line."""
    undefined = ": property is not defined in schema"
    return "; ".join(
        f"no {bus_of(problem)} drive has the option {reason.partition(undefined)[0]}"
        if undefined in reason
        else reason
        for reason in reasons_of(problem)
    )


def names_iothread(problem: Problem) -> bool:
    """Returns whether a drive was dropped because its bus has no option `iothread`."""
    return problem.kind == "option-not-on-bus" and any(
        reason.startswith("iothread: property is not defined") for reason in reasons_of(problem)
    )
