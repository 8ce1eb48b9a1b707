"""Plans as JSON; `vmio.formats.plan_file` writes the file that `vmio apply` reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TypedDict

from vmio.model.plan import Obstacle, StepKind, TakesEffect
from vmio.report.envelope import Count, render_document
from vmio.report.layout.json import TopologyData, describe_topology

if TYPE_CHECKING:
    from vmio.report.plan.text import Row
    from vmio.report.plan.words import DescribedPlan, DescribedStep

__all__ = [
    "PlanData",
    "PlansData",
    "PoliciesData",
    "render_plan_json",
    "render_plans_json",
    "render_policies_json",
]


class ChangeData(TypedDict):
    """A change of a config."""

    key: str
    """The setting, such as `scsi0`."""
    option: str
    """The option within a setting, such as `iothread`; empty for a setting without options."""
    old: str | None
    """The current value; null if not set."""
    new: str | None
    """The new value; null removes it."""


class LiveChangeData(TypedDict):
    """A property that can be set in a running QEMU at once."""

    path: str
    """The object's path, such as `/objects/iothread-virtioscsi0`."""
    property: str
    new: Count


class StepData(TypedDict):
    """One step: all its changes are made, or none."""

    kind: StepKind
    disks: list[str]
    """The disks that it concerns."""
    what: str
    why: str
    source: str
    """The document, source file or measurement behind the reason."""
    effect: str
    """The expected effect; empty if not known."""
    guest_notices: str
    """The visible change in the guest; empty if there is none."""
    takes_effect: TakesEffect
    """`live`: at once; `restart`: after a full stop and start of the guest."""
    changes: list[ChangeData]
    live: list[LiveChangeData]
    obstacle: Obstacle
    """Why a person has to make the changes; empty if vmio can make them."""
    by_hand: str
    """What a person has to do besides; empty if the changes are everything."""


class PlanData(TypedDict):
    """The steps for one guest under one policy."""

    vm: str
    config: str
    """The file that it was made from."""
    digest: str
    """SHA-1 of that file."""
    policy: str
    notes: list[str]
    steps: list[StepData]
    before: TopologyData
    after: TopologyData


class PlanRowData(TypedDict):
    """One of several plans."""

    name: str
    """The guest, or the policy in a comparison of policies."""
    plan: PlanData | None
    error: str
    """Why there is no plan; else empty."""


class PlansData(TypedDict):
    """Plans for several guests, or of several policies for one guest."""

    plans: list[PlanRowData]


class PolicyData(TypedDict):
    """A policy."""

    usage: str
    """The form that `--policy` accepts."""
    summary: str


class PoliciesData(TypedDict):
    """The available policies."""

    policies: list[PolicyData]


def render_plan_json(described: DescribedPlan) -> str:
    """Returns a plan as a document."""
    return render_document("plan", _describe_plan(described))


def render_plans_json(rows: Sequence[Row]) -> str:
    """Returns several plans as a document."""
    data: PlansData = {
        "plans": [
            {
                "name": row.name,
                "plan": _describe_plan(row.plan) if row.plan is not None else None,
                "error": row.error,
            }
            for row in rows
        ]
    }
    return render_document("plans", data)


def render_policies_json(policies: Iterable[tuple[str, str]]) -> str:
    """Returns the usage and the summary of each policy as a document."""
    data: PoliciesData = {
        "policies": [{"usage": usage, "summary": summary} for usage, summary in policies]
    }
    return render_document("policies", data)


def _describe_plan(described: DescribedPlan) -> PlanData:
    plan = described.plan
    return {
        "vm": plan.vm,
        "config": plan.config,
        "digest": plan.digest,
        "policy": plan.policy,
        "notes": list(plan.notes),
        "steps": [_describe_step(each) for each in described.steps],
        "before": describe_topology(plan.before),
        "after": describe_topology(plan.after),
    }


def _describe_step(each: DescribedStep) -> StepData:
    step, words = each.step, each.words
    return {
        "kind": step.kind,
        "disks": list(step.disks),
        "what": words.what,
        "why": words.why,
        "source": words.source,
        "effect": words.effect,
        "guest_notices": words.guest_notices,
        "takes_effect": step.takes_effect,
        "changes": [
            {"key": setting.key, "option": setting.option, "old": setting.old, "new": setting.new}
            for setting in each.settings
        ],
        "live": [
            {"path": change.path, "property": change.property, "new": change.new}
            for change in step.live
        ],
        "obstacle": step.obstacle,
        "by_hand": words.how,
    }
