"""The JSON of a comparison."""

from __future__ import annotations

import json

import pytest

from vmio.bench.result import Comparison
from vmio.report.comparison.json import render_comparison_json


def test_render_comparison_json_tells_every_figure(comparison: Comparison) -> None:
    """Ratios, intervals, verdicts, pairs and threads can be read back as they were."""
    told = json.loads(render_comparison_json(comparison))["data"]
    job = told["jobs"][1]
    ratio = comparison.jobs[1].iops_ratio
    assert (job["iops_ratio"], job["verdict"]) == (ratio.ratio, "faster")
    assert (job["margin"], job["anytime"]) == (0.05, False)
    assert job["latency_p999_ratio"]["verdict"] == "lower"
    assert job["cpu_ratio"]["high"] < 1
    assert [each["verdict"] for each in told["jobs"]] == ["the same", "faster", "cannot tell"]
    assert (job["pairs"][0]["first"], job["pairs"][0]["busy"]) == ("A", False)
    assert job["pairs"][2]["b"]["iops"] == comparison.jobs[1].pairs[2].b.figures.iops
    assert job["b"]["threads"][1] == {
        "name": "iothread-virtioscsi0",
        "kind": "iothread",
        "cpu_share": pytest.approx(0.44),
        "run_delay_share": 0.0,
    }
    assert told["b"]["topology"]["disks"][0]["served_by"] == ["iothread-virtioscsi0"]
    assert told["a"]["argv"][0] == "qemu-system-x86_64"
