"""Rules as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, TypedDict

from vmio.report.envelope import render_document

if TYPE_CHECKING:
    from vmio.lint.pages import Page

__all__ = ["RulesData", "render_rules_json"]


class RuleData(TypedDict):
    """A rule, as its page describes it."""

    code: str
    name: str
    severity: str
    family: str
    summary: str
    """What it finds, in one sentence."""
    versions: str
    """The QEMU versions that it applies to; empty for all."""
    sections: dict[str, str]
    """Markdown text of each section, by heading."""


class RulesData(TypedDict):
    """The requested rule, or all."""

    rules: list[RuleData]


def render_rules_json(pages: Iterable[Page]) -> str:
    """Returns rules as a document."""
    data: RulesData = {
        "rules": [
            {
                "code": page.code,
                "name": page.name,
                "severity": page.severity,
                "family": page.family,
                "summary": page.summary,
                "versions": page.versions,
                "sections": dict(page.sections),
            }
            for page in pages
        ]
    }
    return render_document("rules", data)
