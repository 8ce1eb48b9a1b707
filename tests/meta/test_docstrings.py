"""Everything public says in one line what it is."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[2] / "src"
COLUMNS = 99

DEFINITIONS = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def walk_public(node: ast.AST, name: str) -> Iterator[tuple[str, str | None]]:
    """Yields the name and docstring of a module and of its public definitions, all levels down."""
    if isinstance(node, (ast.Module, *DEFINITIONS)):
        yield name, ast.get_docstring(node)
    # What stands inside a function is nobody else's.
    if isinstance(node, (ast.Module, ast.ClassDef)):
        for child in node.body:
            if isinstance(child, DEFINITIONS) and not child.name.startswith("_"):
                yield from walk_public(child, f"{name}.{child.name}")


@pytest.mark.parametrize(
    "path", [pytest.param(p, id=str(p.relative_to(SOURCES))) for p in SOURCES.rglob("*.py")]
)
def test_public_definitions_have_a_one_line_claim(path: Path) -> None:
    """Each docstring starts with one line of at most 99 columns that ends like a sentence."""
    found = dict(walk_public(ast.parse(path.read_text()), path.stem))
    claims = {name: (text or "").partition("\n")[0] for name, text in found.items()}

    assert {name for name, claim in claims.items() if not claim.endswith((".", "?"))} == set()
    assert {name for name, claim in claims.items() if len(claim) > COLUMNS} == set()
