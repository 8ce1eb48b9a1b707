"""The JSON of a comparison, and its description."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from vmio.bench.result import Comparison
from vmio.report.comparison.json import render_comparison_json

SCHEMA = Path(__file__).parents[4] / "docs" / "schema" / "comparison.md"


def list_paths(value: Any, path: str = "") -> set[str]:  # noqa: ANN401  # any JSON
    """Lists the fields of a document as the description names them: `jobs[].pairs[].a.iops`."""
    if isinstance(value, list):
        return {one for item in value for one in list_paths(item, f"{path}[]")} or {path}
    if isinstance(value, dict) and not path.endswith("topology"):
        start = f"{path}." if path else ""
        return {one for key, item in value.items() for one in list_paths(item, start + key)}
    return {path}


def test_render_comparison_json_tells_every_figure(comparison: Comparison) -> None:
    """Ratios, intervals, verdicts, pairs and threads can be read back as they were."""
    told = json.loads(render_comparison_json(comparison))
    assert told["schema"] == 1
    job = told["jobs"][1]
    ratio = comparison.jobs[1].iops_ratio
    assert (job["iops_ratio"], job["verdict"]) == (ratio.ratio, "faster")
    assert job["pairs"][0]["first"] == "A"
    assert job["pairs"][2]["b"]["iops"] == comparison.jobs[1].pairs[2].b.figures.iops
    assert job["b"]["threads"][1] == {
        "name": "iothread-virtioscsi0",
        "kind": "iothread",
        "cpu_share": pytest.approx(0.44),
    }
    assert told["b"]["topology"]["disks"][0]["served_by"] == ["iothread-virtioscsi0"]
    assert told["a"]["argv"][0] == "qemu-system-x86_64"


def test_comparison_json_is_described_field_by_field(comparison: Comparison) -> None:
    """The description names exactly the fields that there are, those of B as those of A."""
    told = list_paths(json.loads(render_comparison_json(comparison)))
    described = re.findall(r"^\| `([^`]+)`", SCHEMA.read_text(encoding="utf-8"), re.MULTILINE)
    assert {*described} == {
        re.sub(r"(^|\.)b\.", r"\1a.", path.removesuffix("[]")) for path in told
    }
