"""Every verb's --json is what its schema says, and docs/schema is what the code makes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from vmio.bench.calibrate import Calibration
from vmio.bench.regression import SavedComparison, find_regressions
from vmio.bench.result import Comparison
from vmio.model.source import Source
from vmio.model.topology import Topology
from vmio.report.calibration.json import render_calibration_json
from vmio.report.comparison.json import render_comparison_json
from vmio.report.comparison.saved import parse_comparison
from vmio.report.envelope import SCHEMAS, Kind, render_document
from vmio.report.plan.ranking_json import render_ranking_json
from vmio.report.regressions.json import render_regressions_json
from vmio.report.schema import render_files
from vmio.sim.ranking import NamedLayout, rank_layouts
from vmio.sim.simulator import Prediction
from vmio.testing import call

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs" / "schema"
SHARED = str(ROOT / "examples" / "701.conf")
SINGLE = str(ROOT / "examples" / "virtio-scsi-single" / "701.conf")
LIBVIRT = str(ROOT / "tests" / "golden" / "qemu" / "libvirt-web.args")
QEMU = ("--set", "qemu_version=10.0.2", "--set", 'pve_qemu_version=""')
FEW = ("--seeds", "2", "--requests", "200")
TRACE = str(ROOT / "tests" / "data" / "traces" / "start-10.0.2.txt.xz")
RECORDING = str(ROOT / "tests" / "data" / "recordings" / "blk-10.0.2.txt.xz")
TYPES: dict[str, tuple[type, ...]] = {
    "array": (list,),
    "boolean": (bool,),
    "integer": (int,),
    "null": (type(None),),
    "number": (int, float),
    "object": (dict,),
    "string": (str,),
}


def find_fault(value: Any, part: Mapping[str, Any], schema: Mapping[str, Any], at: str) -> str:  # noqa: ANN401, C901 - JSON, and a line for each word of JSON Schema that there is
    """Returns the first place where a value is not what a schema says, or has more than that."""
    if "$ref" in part:
        name = part["$ref"].removeprefix("#/$defs/")
        return find_fault(value, schema["$defs"][name], schema, at)
    if "anyOf" in part:
        faults = [find_fault(value, each, schema, at) for each in part["anyOf"]]
        return "" if "" in faults else " or ".join(faults)
    if value not in part.get("enum", [value]) or value != part.get("const", value):
        return f"{at} is {value!r}"
    if "type" in part and type(value) not in TYPES[part["type"]]:
        return f"{at} is no {part['type']} but {value!r}"
    if isinstance(value, int | float) and value < part.get("minimum", value):
        return f"{at} is less than its minimum"
    if isinstance(value, str) and not re.search(part.get("pattern", ""), value):
        return f"{at} is {value!r}"
    pairs: list[tuple[str, Any, Mapping[str, Any]]] = []
    if isinstance(value, list):
        pairs = [(f"{at}[{index}]", each, part["items"]) for index, each in enumerate(value)]
    if isinstance(value, dict) and "properties" in part:
        if set(value) != set(part["required"]) or set(value) != set(part["properties"]):
            return f"{at} has {sorted(set(value) ^ set(part['properties']))} or has not"
        pairs = [(f"{at}.{key}", each, part["properties"][key]) for key, each in value.items()]
    elif isinstance(value, dict):
        pairs = [
            (f"{at}.{key}", each, part["additionalProperties"]) for key, each in value.items()
        ]
    return next(filter(None, (find_fault(one, part, schema, at) for at, one, part in pairs)), "")


def check_document(text: str, kind: Kind) -> Any:  # noqa: ANN401 - any JSON
    """Asserts that a text is one document of a kind, and returns its data."""
    document = json.loads(text, parse_constant=pytest.fail)
    schema = json.loads((DOCS / f"{kind}.json").read_bytes())
    assert find_fault(document, schema, schema, kind) == ""
    assert [*document] == ["schema", "vmio", "kind", "data"]
    assert document["schema"] == SCHEMAS[kind]
    return document["data"]


def test_folder_is_current() -> None:
    """docs/schema holds what `make docs` writes, and nothing else."""
    assert {path.name: path.read_text() for path in DOCS.iterdir()} == render_files(), "make docs"


def test_every_kind_has_a_schema() -> None:
    """No document is left out of the folder."""
    assert set(render_files()) == {"README.md", *(f"{kind}.json" for kind in SCHEMAS)}


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("diff", ("diff", SHARED, SINGLE, *QEMU)),
        ("explanation", ("explain", SHARED, *QEMU)),
        ("explanation", ("explain", LIBVIRT, *QEMU)),
        ("findings", ("check", SHARED, SINGLE, "missing.conf", *QEMU)),
        ("host", ("host", *QEMU, "--set", "cpu_models.a.b=nan", "--set", "cpu.count=4")),
        ("layout", ("show", SINGLE, *QEMU)),
        ("layout", ("show", LIBVIRT, *QEMU)),
        ("plan", ("plan", SHARED, *QEMU)),
        ("plans", ("plan", "--all", SHARED, SINGLE, "missing.conf", *QEMU)),
        ("plans", ("plan", "--compare", SHARED, *QEMU)),
        ("policies", ("plan", "--list-policies")),
        ("prediction", ("simulate", SINGLE, *QEMU, *FEW)),
        ("recording", ("replay", "--check", RECORDING, "--qemu", "10.0.2")),
        ("replay", ("replay", TRACE, "--qemu", "10.0.2", "--try", "poll_max_ns=65536")),
        ("rules", ("rule",)),
        ("rules", ("rule", "TH001")),
        ("sweep", ("simulate", SINGLE, *QEMU, *FEW, "--sweep", "poll_grow=1:2", "--jobs", "1")),
    ],
)
def test_verb_prints_what_its_schema_says(
    kind: Kind, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """Every object has exactly the fields of its schema, each of its type."""
    call(*words, "--json")
    check_document(capsys.readouterr().out, kind)


def test_change_and_its_undo_are_what_their_schemas_say(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change that is made, the list of it, and its undo."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    Path("701.conf").write_bytes(Path(SHARED).read_bytes())
    documents: tuple[tuple[Kind, tuple[str, ...]], ...] = (
        ("outcome", ("apply", "701.conf", "--policy", "per-disk", "--dry-run", *QEMU)),
        ("outcome", ("apply", "701.conf", "--policy", "per-disk", "--yes", *QEMU)),
        ("journals", ("undo", "--list")),
        ("undo", ("undo", "--yes")),
    )
    for kind, words in documents:
        assert call(*words, "--json") == 0
        assert check_document(capsys.readouterr().out, kind)


def test_measurements_are_what_their_schemas_say(
    comparison: Comparison, calibration: Calibration, make_prediction: Callable[..., Prediction]
) -> None:
    """What needs a QEMU or minutes to be made is written as described, too."""
    saved = check_comparison(comparison)
    check_document(render_regressions_json(find_regressions(saved, saved)), "regressions")
    check_document(render_calibration_json(calibration), "calibration")
    predictions = [make_prediction(300, 1), make_prediction((90, 110), (0.7, 1.4))]
    layouts = [(NamedLayout(names=("a",), topology=Topology()), found) for found in predictions]
    ranking = rank_layouts("latency", layouts, left_out=[("b", "one processor")])
    check_document(render_ranking_json(ranking), "ranking")


def check_comparison(comparison: Comparison) -> SavedComparison:
    """Asserts that a comparison is written as described, and reads it again."""
    text = render_comparison_json(comparison)
    check_document(text, "comparison")
    return parse_comparison(Source(name="old.json", data=text.encode()))


def test_half_a_character_is_spelled_out() -> None:
    """A byte that is not UTF-8 is written as its number, and other halves as their code."""
    document = json.loads(render_document("rules", {"rules": "é\udcff\ud800😀"}))
    assert document["data"]["rules"] == "é\\xff\\ud800😀"


def test_number_that_is_not_finite_is_refused() -> None:
    """JSON has no word for it."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        render_document("rules", {"rules": float("nan")})
