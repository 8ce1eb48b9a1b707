"""The Python API: what it exports, its pages in docs/api, and the programs in examples/."""

from __future__ import annotations

import ast
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from vmio import app

ROOT = Path(__file__).parents[3]


def test_api_exports_what_it_names() -> None:
    """Every public name can be had, those that are imported later too, and each is listed once."""
    assert len(set(app.__all__)) == len(app.__all__)
    assert [name for name in app.__all__ if getattr(app, name, None) is None] == []


def test_api_has_types_for_what_is_imported_later() -> None:
    """What a type checker takes from where is where it is imported from."""
    tree = ast.parse(Path(app.__file__).read_text(encoding="utf-8"))
    typed = {
        each.module: {alias.name for alias in each.names}
        for block in tree.body
        if isinstance(block, ast.If)
        for each in block.body
        if isinstance(each, ast.ImportFrom)
    }

    assert typed == {module: set(names) for module, names in app._LATER.items()}


def test_api_has_no_other_names() -> None:
    """A name that is not exported is an error like any module's."""
    with pytest.raises(AttributeError, match="has no attribute 'load_dreams'"):
        _ = app.load_dreams  # type: ignore[attr-defined]


def test_api_functions_of_the_name_of_a_module_are_functions() -> None:
    """`app.check` is the function, whatever was imported before."""
    names = ("apply", "calibrate", "check", "diff", "explain", "simulate", "undo")
    assert all(callable(getattr(app, name)) for name in names)


def test_api_pages_are_those_of_the_code() -> None:
    """docs/api is what `make docs` writes."""
    made = runpy.run_path(str(ROOT / "tools" / "document_api.py"))["render_pages"]()
    pages = {
        path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs/api").glob("*.md")
    }

    assert pages == made, "run `make docs`"


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("check_folder.py", ["examples"], "TH001"),
        (
            "print_command.py",
            ["examples/701.conf", "per-disk", "10.0.2"],
            "-object iothread,id=iothread-virtioscsi1",
        ),
        ("compare_layouts.py", ["examples/701.conf", "10.0.2"], "per-disk"),
    ],
)
def test_example_runs(name: str, arguments: list[str], expected: str) -> None:
    """Each program in examples/ does what its first line says."""
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / name, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )

    assert done.returncode == 0, done.stderr
    assert expected in done.stdout.replace("'", "")
