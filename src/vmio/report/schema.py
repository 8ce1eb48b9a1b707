"""The schemas of all JSON documents, and the page that describes them.

`python -m vmio.report.schema FOLDER` writes them; a test compares them.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping
from enum import StrEnum
from functools import lru_cache
from inspect import cleandoc
from pathlib import Path
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Final,
    Literal,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from vmio.report.apply.json import JournalsData, OutcomeData, UndoData
from vmio.report.autopilot.json import AutopilotData
from vmio.report.calibration.json import CalibrationData
from vmio.report.comparison.json import ComparisonData
from vmio.report.diff.json import DiffData
from vmio.report.envelope import SCHEMAS, Kind
from vmio.report.explanation.json import ExplanationData, ExplanationsData
from vmio.report.findings.json import FindingsData
from vmio.report.guests.json import GuestsData
from vmio.report.history.json import HistoryData
from vmio.report.host.json import HostData
from vmio.report.layout.json import LayoutData, LayoutsData
from vmio.report.live.json import TopData
from vmio.report.plan.json import PlanData, PlansData, PoliciesData
from vmio.report.plan.ranking_json import RankingData
from vmio.report.prediction.json import PredictionData, SweepData
from vmio.report.regressions.json import RegressionsData
from vmio.report.replay.json import RecordingData, ReplayData
from vmio.report.rules.json import RulesData
from vmio.report.tuning.json import TuningData

__all__ = ["main", "render_files"]

_DOCUMENTS: Final[Mapping[Kind, tuple[type, str]]] = {
    "autopilot": (AutopilotData, "vmio autopilot status --json"),
    "calibration": (CalibrationData, "vmio calibrate --json"),
    "comparison": (ComparisonData, "vmio bench A B --json"),
    "diff": (DiffData, "vmio diff A B --json"),
    "explanation": (ExplanationData, "vmio explain VM --json"),
    "explanations": (ExplanationsData, "vmio explain --json"),
    "findings": (FindingsData, "vmio check --json"),
    "guests": (GuestsData, "vmio ps --json"),
    "history": (HistoryData, "vmio report FILE --json"),
    "host": (HostData, "vmio host --json"),
    "journals": (JournalsData, "vmio undo --list --json"),
    "layout": (LayoutData, "vmio show VM --json"),
    "layouts": (LayoutsData, "vmio show FOLDER --json"),
    "outcome": (OutcomeData, "vmio apply PLAN --json"),
    "plan": (PlanData, "vmio plan VM --json"),
    "plans": (PlansData, "vmio plan --all --json, vmio plan VM --compare --json"),
    "policies": (PoliciesData, "vmio plan --list-policies --json"),
    "prediction": (PredictionData, "vmio simulate VM --json"),
    "ranking": (RankingData, "vmio plan VM --rank FIGURE --json"),
    "recording": (RecordingData, "vmio replay --check RECORDING --json"),
    "regressions": (RegressionsData, "vmio bench --compare OLD.json NEW.json --json"),
    "replay": (ReplayData, "vmio replay TRACE --json"),
    "rules": (RulesData, "vmio rule --json"),
    "sweep": (SweepData, "vmio simulate VM --sweep PARAMETER=RANGE --json"),
    "top": (TopData, "vmio top --json"),
    "tuning": (TuningData, "vmio tune VM --json"),
    "undo": (UndoData, "vmio undo --json"),
}
"""The data type of each kind, and the call that prints it."""

_PLAIN: Final[Mapping[Any, str]] = {
    bool: "boolean",
    float: "number",
    int: "integer",
    NoneType: "null",
    str: "string",
}

_INTRODUCTION: Final = """\
# JSON documents

Every `--json` prints one document with the same four fields:

| Field | Type | Meaning |
|---|---|---|
| `schema` | integer | The version of the shape of this kind's data |
| `vmio` | string | The vmio that wrote it |
| `kind` | string | What the document is about: one of those below |
| `data` | object | The report itself, as described below for each kind |

Within a schema number fields may be added; none is removed or changes its meaning. The unit of a
number is the end of its name; a `share` of CPU is in processors, so 1.0 is one processor all the
time. All numbers are finite. A byte that is not UTF-8, in a file's name for example, is written as
`\\xff`.

The schemas are JSON Schema 2020-12. This folder is generated from the code by `make docs`.
"""

_CHANGES: Final = """\
## Changes

Since schema 2 the report is in `data`; before, its fields were beside `schema`. Other changes:

- *comparison*: `vmio_version` is `vmio` of the document. Since schema 3 `verdict` is `the same` or
  `cannot tell` instead of `no clear difference`, and depends on the interval alone.
- *explanation*: `stations` of a disk is `stages`.
- *findings*: `files`, `statistics` and `counts` are in `data`; the `applicability` of a fix that
  only a person may make is `manual` instead of `display`.
- *host*: `schema` of the host's file is removed.
- *outcome*, *undo*: the result for a single config is in `configs` only, as for several.
- *plan*: no longer the file that `vmio apply` reads; `vmio plan -o` writes that.
- *prediction*, *ranking*, *sweep*: `predicted` is removed, because the kind says it.
- *replay*: each of `budgets` is an object with `budget_ns` and `phases`.
- *rules*: always a list, even for one rule; `versions` is new.
- *sweep*: the same shape for one parameter and several: `parameters`, and `values` of each point.
"""


def render_files() -> dict[str, str]:
    """Returns the text of every generated file by its name."""
    schemas = {kind: _make_schema(kind) for kind in _DOCUMENTS}
    return {"README.md": _render_page(schemas)} | {
        f"{kind}.json": json.dumps(schema, indent=2) + "\n" for kind, schema in schemas.items()
    }


def main(folder: str) -> None:
    """Writes every file into a folder."""
    for name, text in render_files().items():
        Path(folder, name).write_text(text, encoding="utf-8")


def _make_schema(kind: Kind) -> dict[str, Any]:
    data, call = _DOCUMENTS[kind]
    definitions: dict[str, Any] = {}
    properties = {
        "schema": {"const": SCHEMAS[kind]},
        "vmio": {"type": "string", "description": "The version that wrote it."},
        "kind": {"const": kind},
        "data": _translate(data, definitions),
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"What {call} prints",
        "description": "Fields may be added; none is removed or changes its meaning.",
        "type": "object",
        "required": [*properties],
        "properties": properties,
        "$defs": definitions,
    }


def _translate(hint: Any, definitions: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401 - a type
    """Returns a type's schema, and adds the objects in it to the definitions."""
    if hint in _PLAIN:
        return {"type": _PLAIN[hint]}
    if is_typeddict(hint):
        name = _name_object(hint)
        if name not in definitions:
            definitions[name] = {}  # keeps its place before the objects in it
            definitions[name] |= _translate_object(hint, definitions)
        return {"$ref": f"#/$defs/{name}"}
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return {"enum": [each.value for each in hint]}
    arguments = get_args(hint)
    match get_origin(hint):
        case origin if origin is Annotated:
            return _translate(arguments[0], definitions) | dict(arguments[1:])
        case origin if origin is Literal:
            return {"enum": [*arguments]}
        case origin if origin in {Union, UnionType}:
            return {"anyOf": [_translate(each, definitions) for each in arguments]}
        case origin if origin is list:
            return {"type": "array", "items": _translate(arguments[0], definitions)}
        case origin if origin is dict:
            values = _translate(arguments[1], definitions)
            return {"type": "object", "additionalProperties": values}
        case origin:
            raise TypeError(f"no schema for {hint}, a {origin}")


def _name_object(data: type) -> str:
    return data.__name__.removesuffix("Data")


def _translate_object(data: type, definitions: dict[str, Any]) -> dict[str, Any]:
    hints = get_type_hints(data, include_extras=True)
    said = dict(_read_field_docs(data.__module__, data.__name__))
    return {
        "description": cleandoc(data.__doc__ or ""),
        "type": "object",
        "required": [*hints],
        "properties": {
            name: _translate(hint, definitions)
            | ({"description": said[name]} if name in said else {})
            for name, hint in hints.items()
        },
    }


def _read_field_docs(module: str, name: str) -> Iterator[tuple[str, str]]:
    """Yields the fields of a class and its bases that have a docstring."""
    names = _parse_module(module)
    found = names[name]
    if isinstance(found, str):  # the module that it is imported from
        yield from _read_field_docs(found, name)
        return
    for base in found.bases:
        if isinstance(base, ast.Name) and base.id != "TypedDict":
            yield from _read_field_docs(module, base.id)
    for field, below in zip(found.body, found.body[1:], strict=False):
        match field, below:
            case (
                ast.AnnAssign(target=ast.Name(id=key)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                yield key, " ".join(text.split())
            case _:
                pass


@lru_cache
def _parse_module(module: str) -> dict[str, ast.ClassDef | str]:
    """Returns the classes of a module, and the source modules of imported names."""
    from importlib.util import find_spec

    spec = find_spec(module)
    assert spec is not None and spec.origin is not None  # noqa: S101, PT018 - it is imported
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    names: dict[str, ast.ClassDef | str] = {}
    for node in tree.body:
        match node:
            case ast.ClassDef(name=name):
                names[name] = node
            case ast.ImportFrom(module=str(origin), names=aliases):
                names |= {alias.name: origin for alias in aliases}
            case _:
                pass
    return names


def _render_page(schemas: Mapping[Kind, Mapping[str, Any]]) -> str:
    lines = [_INTRODUCTION, "| Kind | Schema | Printed by |", "|---|---|---|"]
    lines += [
        f"| [{kind}](#{kind}) | [{SCHEMAS[kind]}]({kind}.json) | {_quote_calls(call)} |"
        for kind, (_, call) in _DOCUMENTS.items()
    ]
    lines += ["", _CHANGES.rstrip()]
    described: dict[str, Any] = {
        _name_object(data): schemas[kind]["$defs"][_name_object(data)]
        for kind, (data, _) in _DOCUMENTS.items()
    }
    for kind, schema in schemas.items():
        data, calls = _DOCUMENTS[kind]
        root = _name_object(data)
        if root.lower() != kind:
            raise TypeError(f"{root} is the data of {kind}, whose heading it is found by")
        lines += ["", f"## {kind}", "", f"Printed by {_quote_calls(calls)}."]
        lines += _render_object(schema["$defs"][root])
        for name, definition in schema["$defs"].items():
            if described.setdefault(name, definition) != definition:
                raise TypeError(f"two different objects are called {name}")
            if described[name] is definition and name != root:
                lines += ["", f"### {name}", *_render_object(definition)]
    return "\n".join(lines) + "\n"


def _quote_calls(calls: str) -> str:
    return ", ".join(f"`{call}`" for call in calls.split(", "))


def _render_object(definition: Mapping[str, Any]) -> Iterator[str]:
    yield from ("", definition["description"], "")
    yield from ("| Field | Type | Meaning |", "|---|---|---|")
    for field, schema in definition["properties"].items():
        text = schema.get("description", "").removesuffix(".")
        yield f"| `{field}` | {_name_type(schema)} | {text} |"


def _name_type(schema: Mapping[str, Any]) -> str:
    match schema:
        case {"$ref": str(target)}:
            name = target.rpartition("/")[2]
            return f"[{name}](#{name.lower()})"
        case {"anyOf": options}:
            return " or ".join(map(_name_type, options))
        case {"enum": values}:
            return ", ".join(f"`{value}`" for value in values)
        case {"type": "array", "items": items}:
            return f"list of {_name_type(items)}"
        case {"type": "object", "additionalProperties": values}:
            return f"object of {_name_type(values)}"
        case _:
            return str(schema["type"])


if __name__ == "__main__":
    import sys

    main(*sys.argv[1:])
