"""No link of a page to another file is dead, and none to a heading."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_FOLDERS = ("bench", "contrib", "docs", "examples", "tests/data", "tools")
_FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^#+ +(.*)$", re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")

PAGES = [
    str(page.relative_to(ROOT))
    for pages in (ROOT.glob("*.md"), *((ROOT / name).rglob("*.md") for name in _FOLDERS))
    for page in sorted(pages)
]


@cache
def read_prose(page: Path) -> str:
    """Returns a page without its blocks of code."""
    return _FENCED.sub("", page.read_text(encoding="utf-8"))


@cache
def list_anchors(page: Path) -> frozenset[str]:
    """Returns the names of a page's headings, made as GitHub makes them."""
    headings = (
        _LINK.sub("", each).replace("[", "") for each in _HEADING.findall(read_prose(page))
    )
    return frozenset(re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings)


def find_dead(page: Path, text: str) -> list[str]:
    """Returns the links of a page's text that lead to nothing in this repository."""
    dead = []
    for link in _LINK.findall(text):
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        is_page = anchor and target.suffix == ".md"
        if not re.match(r"\w+:", link) and (
            not target.exists() or (is_page and anchor not in list_anchors(target))
        ):
            dead.append(link)
    return dead


def test_dead_links_are_found() -> None:
    """A file that is not there, a heading that is not there, and nothing else."""
    text = "[a](README.md) [b](docs/none.md) [c](README.md#none) [d](#try-it) [e](https://x.y/z)"
    assert find_dead(ROOT / "README.md", text) == ["docs/none.md", "README.md#none"]


@pytest.mark.parametrize("name", PAGES)
def test_links_of_a_page_lead_somewhere(name: str) -> None:
    """Each file is there, and on a page each heading."""
    assert find_dead(ROOT / name, read_prose(ROOT / name)) == []
