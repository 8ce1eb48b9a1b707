"""What the rules about form share: each tells of one kind of problem that the reader had."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import ClassVar

from vmio.formats.proxmox.problems import is_drive
from vmio.lint.diagnostic import Diagnostic, Severity
from vmio.lint.rule import Context, Rule
from vmio.model.source import Problem

__all__ = ["ProblemRule"]


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
