"""The page on accuracy has what the measurements in tests/data come to, with today's simulator."""

from __future__ import annotations

import importlib.util
import sys
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests/data/accuracy"


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program, with the compiled simulator: one page alone would not pay for compiling it."""
    spec = importlib.util.spec_from_file_location("accuracy_page", ROOT / "bench/accuracy.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "predict", partial(module.predict, compiled=True))
    return module


@pytest.mark.parametrize("name", ["unseen", "others", "listed"])
def test_page_has_what_the_measurements_come_to(
    name: str,
    program: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Every line that bench/accuracy.py prints is on the page, in its order."""
    words = ["accuracy.py", "--load", str(DATA / f"{name}.json"), "--profile", "default"]
    monkeypatch.setattr(sys, "argv", words)
    program.main()
    page = (ROOT / "docs/concepts/accuracy.md").read_text(encoding="utf-8")
    printed = capsys.readouterr().out
    assert printed.count("\n") > 30
    for block in printed.strip().split("\n\n"):
        assert block in page
