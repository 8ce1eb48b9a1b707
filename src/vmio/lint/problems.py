"""The base of rules that report one kind of problem found by a reader."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import ClassVar, Literal

from vmio.lint.diagnostic import Diagnostic, Fix, Severity
from vmio.lint.rule import Context, Rule
from vmio.model.source import Problem

__all__ = ["ProblemRule"]


class ProblemRule(Rule):
    """A rule that reports every problem of one kind."""

    kind: ClassVar[str]
    needs: ClassVar[Literal["", "problems"]] = "problems"

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per problem."""
        for problem in context.vm.problems:
            if problem.kind == self.kind:
                yield self.report(
                    context,
                    self.explain(problem),
                    subject=problem.subject,
                    span=problem.span,
                    severity=self.grade(problem),
                    fix=self.propose(problem),
                )

    @abstractmethod
    def explain(self, problem: Problem) -> str:
        """Returns the finding's message."""

    def grade(self, problem: Problem) -> Severity | None:  # noqa: ARG002 - for rules that differ
        """Returns the finding's severity; None for the rule's own."""
        return None

    def propose(self, problem: Problem) -> Fix | None:  # noqa: ARG002 - for rules that know one
        """Returns a fix for the finding, if one is known."""
        return None
