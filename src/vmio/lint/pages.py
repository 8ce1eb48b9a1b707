"""A rule's page as data and as Markdown, made from its docstring or its entry in a table.

`python -m vmio.lint.pages FOLDER` writes the pages of every rule; a test compares them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from msgspec import Struct

from vmio.lint.registry import FAMILIES, NOTATIONS_SHOWN, RULES, load_rule
from vmio.lint.rule import Rule

__all__ = ["SECTIONS", "Page", "main", "parse_page", "render_index", "render_page", "render_pages"]

SECTIONS = (
    "What it does",
    "Why is this bad",
    "Example",
    "Use instead",
    "Fix safety",
    "References",
)
"""What every rule's page has, in this order."""

_HEADING = re.compile(r"^## (.+)\n\n", re.MULTILINE)
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Page(Struct, frozen=True, kw_only=True):
    """A rule's page, parsed."""

    code: str
    name: str
    severity: str
    family: str
    summary: str
    """One sentence."""
    versions: str
    """The QEMU releases that it applies to; empty for every release."""
    blanks: Mapping[str, str]
    """Why the rule finds nothing in a notation, by the notation; empty if it applies."""
    sections: tuple[tuple[str, str], ...]
    """Heading and Markdown text."""

    def find_section(self, heading: str) -> str:
        """Returns the text under a heading, empty if there is none."""
        return dict(self.sections).get(heading, "")

    def find_fences(self, heading: str) -> dict[str, str]:
        """Returns the fenced texts under a heading by label; the label of a config is empty."""
        return dict(_FENCE.findall(self.find_section(heading)))


def parse_page(rule: type[Rule]) -> Page:
    """Parses a rule's page."""
    summary, *parts = _HEADING.split(rule.describe())
    return Page(
        code=rule.code,
        name=rule.name,
        severity=rule.severity.value,
        family=FAMILIES[rule.code[:2]].title,
        summary=summary.strip(),
        versions=str(rule.versions or ""),
        blanks={notation: rule.explain_blank(notation) for notation in NOTATIONS_SHOWN},
        sections=tuple(
            (heading, text.strip()) for heading, text in zip(parts[::2], parts[1::2], strict=True)
        ),
    )


def render_page(page: Page) -> str:
    """Returns a rule's page in Markdown."""
    sections = "".join(f"\n## {heading}\n\n{text}\n" for heading, text in page.sections)
    head = f"# {page.code} {page.name}\n\n{page.summary}\n\n"
    holds = f" Holds for {page.versions}." if page.versions else ""
    return f"{head}Family: {page.family}. Severity: {page.severity}.{holds}\n{sections}"


def render_index(pages: tuple[Page, ...]) -> str:
    """Returns the list of all rules in Markdown, family by family."""
    lines = [
        "# Rules",
        "",
        "What `vmio check` looks for. `vmio rule CODE` prints the same pages. This folder is made",
        "from the rules' docstrings by `python -m vmio.lint.pages docs/rules`.",
    ]
    for letters, family in FAMILIES.items():
        lines += ["", f"## {letters}: {family.title}", "", "| Code | Name | Severity | |"]
        lines.append("|---|---|---|---|")
        lines += [
            f"| [{page.code}]({page.code}.md) | {page.name} | {page.severity} | {page.summary} |"
            for page in pages
            if page.code.startswith(letters)
        ]
    return "\n".join([*lines, *_render_matrix(pages)]) + "\n"


def _render_matrix(pages: tuple[Page, ...]) -> Iterator[str]:
    """Yields the lines of a table of rules and notations."""
    notations = NOTATIONS_SHOWN
    yield from (
        "",
        "## Where each rule holds",
        "",
        "The notations of guests, and why a rule finds nothing in one of them.",
        "",
        f"| Code | {' | '.join(notations)} | Why not |",
        f"|---|{'---|' * len(notations)}---|",
    )
    for page in pages:
        cells = ("" if page.blanks[notation] else "yes" for notation in notations)
        reasons = dict.fromkeys(filter(None, page.blanks.values()))
        yield f"| [{page.code}]({page.code}.md) | {' | '.join(cells)} | {' '.join(reasons)} |"


def render_pages() -> dict[str, str]:
    """Returns the text of every generated page by its file name."""
    pages = tuple(parse_page(load_rule(entry)) for entry in RULES)
    return {"README.md": render_index(pages)} | {
        f"{page.code}.md": render_page(page) for page in pages
    }


def main(folder: str) -> None:
    """Writes every page into a folder."""
    for name, text in render_pages().items():
        Path(folder, name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    import sys

    main(*sys.argv[1:])
