"""A plan in words: the title, reason and changes of each step.

The notation supplies the words that name its manager's settings; this module adds those that all
notations share.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from vmio.formats.base import Guest, Setting, Words
from vmio.formats.registry import describe_step, edit, read_again, spell
from vmio.model.plan import Plan, Step
from vmio.model.source import apply_edits
from vmio.policy.spreads import choose_policy
from vmio.values import replace

__all__ = ["DescribedPlan", "DescribedStep", "describe_plan"]


class DescribedStep(Struct, frozen=True, kw_only=True):
    """A step with its words."""

    step: Step
    words: Words
    settings: tuple[Setting, ...]
    """Its changes, as the guest's own text has them; empty if a person makes the changes."""


class DescribedPlan(Struct, frozen=True, kw_only=True):
    """A plan with its words."""

    plan: Plan
    steps: tuple[DescribedStep, ...]

    @property
    def settings(self) -> tuple[Setting, ...]:
        """The changes of all steps."""
        return tuple(setting for each in self.steps for setting in each.settings)

    @property
    def by_hand(self) -> tuple[DescribedStep, ...]:
        """The steps that only a person can take."""
        return tuple(each for each in self.steps if each.step.obstacle)

    @property
    def summary(self) -> str:
        """The policy and the steps that vmio takes, in one line."""
        taken = (each.words.what for each in self.steps if each.settings)
        return f"{self.plan.policy}: {'; '.join(taken)}"


def describe_plan(guest: Guest, plan: Plan) -> DescribedPlan:
    """Returns a plan in words.

    Args:
        guest: The guest that the plan was made for, before any change.
        plan: The plan.
    """
    return DescribedPlan(plan=plan, steps=tuple(_describe_steps(guest, plan)))


def _describe_steps(guest: Guest, plan: Plan) -> Iterator[DescribedStep]:
    now = guest
    for step in plan.steps:
        settings: tuple[Setting, ...] = ()
        if step.changes and not step.obstacle:
            settings = spell(now, step.changes)
            data = apply_edits(now.vm.source, edit(now, step.changes))
            now = read_again(now, data)
        words = describe_step(guest, plan, step)
        if step.kind == "share-threads":
            policy = choose_policy(plan.policy).policy
            words = replace(
                words,
                why=f"{plan.policy} is: {policy.summary}; {words.why}",
                source=f"{policy.source}; {words.source}",
            )
        yield DescribedStep(step=step, words=words, settings=settings)
