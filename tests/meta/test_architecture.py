"""ARCHITECTURE.md and CONTRIBUTING.md name files that exist."""

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SKIPPED = frozenset({".git", ".venv", "__pycache__", ".mypy_cache", ".ruff_cache"})
INVENTED = frozenset({
    "lint/rules/<family>/xx00n_name.py",
    "src/vmio/lint/rules/<family>/<code>_<name>.py",
    "tests/rules/cases/XX00N.md",
    "tests/rules/cases/VE00N.md",
})  # fmt: skip
"""Patterns for the names of new files."""


@cache
def list_paths() -> str:
    """Returns every file and folder of the repository, one a line, each after a slash."""
    found: list[str] = []
    folders = [ROOT]
    while folders:
        for path in folders.pop().iterdir():
            if path.name not in SKIPPED:
                found.append(f"/{path.relative_to(ROOT).as_posix()}")
                if path.is_dir() and not path.is_symlink():
                    folders.append(path)
    return "\n".join(found)


def exists(name: str) -> bool:
    """Returns whether a real path ends with a name, in which `<name>` stands for any name."""
    pattern = re.sub(r"<[a-zA-Z]+>", r"[^/\\n]+", name.rstrip("/"))
    return re.search(rf"(?m)/{pattern}$", list_paths()) is not None


@pytest.mark.parametrize("page", ["ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_page_names_only_files_that_exist(page: str) -> None:
    """Each path in backquotes is the end of a real one; `<name>` stands for any name."""
    text = (ROOT / page).read_text()
    text = re.sub(r"(?m)^ {4}.*$", "", text)
    named = re.findall(r"`((?:[\w<>.-]+/)+[\w<>.-]*|[\w<>.-]+\.(?:py|md|toml))(?:: \w+)?`", text)
    assert len(named) > 20
    missing = [name for name in named if name not in INVENTED and not exists(name)]
    assert missing == []
