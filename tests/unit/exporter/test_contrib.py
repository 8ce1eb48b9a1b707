"""The dashboard and the rules, as far as they can be judged without Grafana and Prometheus."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any, get_args

import pytest

from vmio.exporter.metrics import GUEST_METRICS, HOST_METRICS
from vmio.observe.verdicts.values import VerdictKind

CONTRIB = Path(__file__).parents[3] / "contrib"
RULES = CONTRIB / "prometheus"
DASHBOARD: dict[str, Any] = json.loads((CONTRIB / "grafana/vmio.json").read_text("utf-8"))
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
QUERIES = [target["expr"] for panel in PANELS for target in panel.get("targets", ())]
SERIES = {
    f"{each.series}{suffix}"
    for each in (*GUEST_METRICS, *HOST_METRICS)
    for suffix in (("_bucket", "_sum", "_count") if each.kind == "histogram" else ("",))
}


@pytest.mark.parametrize("name", ["alerts.yml", "recording.yml", "../grafana/vmio.json"])
def test_only_metrics_of_the_table_are_asked_for(name: str) -> None:
    """A name that is misspelt would show nothing, and fire never."""
    text = (RULES / name).read_text(encoding="utf-8")
    recorded = set(re.findall(r"record: (\S+)", (RULES / "recording.yml").read_text("utf-8")))
    asked = set(re.findall(r"\b(?:\w+:)?vmio_\w+(?::\w+)?", text))
    assert asked
    assert asked - SERIES - recorded == set()


def test_verdicts_that_alerts_are_about_exist() -> None:
    """Each kind is one of vmio's."""
    kinds = re.findall(r'kind="([^"]+)"', (RULES / "alerts.yml").read_text(encoding="utf-8"))
    assert len(kinds) == len(set(kinds)) >= 5
    assert set(kinds) <= set(get_args(VerdictKind))


def test_every_alert_fires_and_stays_silent_in_a_test() -> None:
    """And tells what a person reads."""
    alerts = re.findall(r"- alert: (\w+)", (RULES / "alerts.yml").read_text(encoding="utf-8"))
    tests = (RULES / "alerts_test.yml").read_text(encoding="utf-8")
    cases = set(re.findall(r"alertname: (\w+)\n +exp_alerts:( \[\])?$", tests, re.MULTILINE))
    assert {(each, silent) for each in alerts for silent in ("", " []")} <= cases


def test_every_recording_rule_has_a_test() -> None:
    """What it records is compared with what was worked out by hand."""
    recorded = re.findall(r"record: (\S+)", (RULES / "recording.yml").read_text("utf-8"))
    tests = (RULES / "recording_test.yml").read_text(encoding="utf-8")
    assert [each for each in recorded if each not in tests] == []


def test_dashboard_can_be_imported_anywhere() -> None:
    """It names no data source, host or guest of its own, and each panel has its place."""
    assert DASHBOARD["id"] is None
    assert "__inputs" not in DASHBOARD
    ids = [panel["id"] for panel in PANELS]
    assert len(set(ids)) == len(ids)
    titles = [panel["title"] for panel in PANELS]
    assert len(set(titles)) == len(titles)
    sources = re.findall(r'"uid": "([^"]*)"', (CONTRIB / "grafana/vmio.json").read_text("utf-8"))
    assert set(sources) == {"${datasource}", "vmio"}
    variables = [each["name"] for each in DASHBOARD["templating"]["list"]]
    assert variables == ["datasource", "job", "instance", "guest"]


def test_panels_do_not_cover_each_other() -> None:
    """Each is within the grid of 24 columns."""
    places = [panel["gridPos"] for panel in PANELS]
    assert all(each["x"] + each["w"] <= 24 for each in places)
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below, (one, other)


def test_every_query_follows_the_variables() -> None:
    """Each selector but that of the exporter itself chooses the job, the host and the guest."""
    for query in QUERIES:
        for name, selector in re.findall(r"\b((?:vmio|process)_\w+)(\{[^}]*\})?", query):
            if name == "vmio_build_info":
                continue
            chosen = ["job", "instance"]
            if name not in {each.series for each in HOST_METRICS} and name.startswith("vmio_"):
                chosen.append("guest")
            assert [v for v in chosen if f'{v}=~"${v}"' not in selector] == [], query


def test_every_panel_says_what_it_shows() -> None:
    """In a sentence, with a unit where it draws."""
    for panel in PANELS:
        if panel["type"] != "row":
            assert panel["description"].endswith("."), panel["title"]
        if panel["type"] == "timeseries":
            assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
