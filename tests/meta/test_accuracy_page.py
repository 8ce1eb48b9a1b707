"""The page on accuracy has what the measurements in tests/data come to, with today's simulator."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests/data/accuracy"


@pytest.mark.parametrize("name", ["unseen", "others", "listed"])
def test_page_has_what_the_measurements_come_to(name: str) -> None:
    """Every line that bench/accuracy.py prints is on the page, in its order."""
    ran = subprocess.run(
        [sys.executable, "bench/accuracy.py", "--load", str(DATA / f"{name}.json"),
         "--profile", "default"],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    page = (ROOT / "docs/concepts/accuracy.md").read_text(encoding="utf-8")
    assert ran.stdout.count("\n") > 30
    for block in ran.stdout.strip().split("\n\n"):
        assert block in page
