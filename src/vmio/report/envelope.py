"""The envelope of every JSON document: its kind, the schema of that kind, and its data.

The data of a kind is a `TypedDict` in the module that makes it: mypy checks it, and docs/schema is
generated from it. Within a schema number fields may be added, but none is removed or changes its
meaning.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypedDict

from vmio import __version__

__all__ = ["SCHEMAS", "Count", "GuestData", "Kind", "begin_document", "render_document"]

Kind = Literal[
    "autopilot",
    "calibration",
    "comparison",
    "diff",
    "explanation",
    "explanations",
    "findings",
    "guests",
    "history",
    "host",
    "journals",
    "layout",
    "layouts",
    "outcome",
    "plan",
    "plans",
    "policies",
    "prediction",
    "ranking",
    "recording",
    "regressions",
    "replay",
    "rules",
    "sweep",
    "top",
    "tuning",
    "undo",
]

SCHEMAS: Final[Mapping[Kind, int]] = {
    "autopilot": 1,
    "calibration": 2,
    "comparison": 3,
    "diff": 2,
    "explanation": 2,
    "explanations": 1,
    "findings": 2,
    "guests": 1,
    "history": 1,
    "host": 2,
    "journals": 2,
    "layout": 2,
    "layouts": 1,
    "outcome": 2,
    "plan": 2,
    "plans": 1,
    "policies": 1,
    "prediction": 2,
    "ranking": 2,
    "recording": 1,
    "regressions": 1,
    "replay": 2,
    "rules": 2,
    "sweep": 2,
    "top": 1,
    "tuning": 1,
    "undo": 2,
}
"""Kinds that existed before the envelope start at 2."""

Count = Annotated[int, ("minimum", 0)]


class GuestData(TypedDict):
    """The guest that a document is about."""

    vm: str
    """The guest's name."""
    origin: Annotated[str, ("enum", ("plan", "command", "running"))]
    """`plan`: the layout of a config; `command`: that of a command line; `running`: that which a
    running QEMU reports."""


_SURROGATES: Final = re.compile("[\ud800-\udfff]")
"""Surrogates. A byte that is not UTF-8 is one of U+DC80 to U+DCFF."""


def render_document(kind: Kind, data: Mapping[str, Any], *, in_a_line: bool = False) -> str:
    r"""Returns a document, without a newline at its end.

    A byte that is not UTF-8, in a file's name for example, is written as `\xff`, because many
    readers refuse a lone surrogate.

    Args:
        kind: What it is about.
        data: Its data.
        in_a_line: Whether it is one line, as in a stream of documents.

    Raises:
        ValueError: A number is not finite.
    """
    indent = None if in_a_line else 2
    head = {"schema": SCHEMAS[kind], "vmio": __version__, "kind": kind}
    text = json.dumps(head | {"data": data}, indent=indent, ensure_ascii=False, allow_nan=False)
    return _SURROGATES.sub(_spell_out, text)


def begin_document(kind: Kind) -> str:
    """Returns a document up to its data; the caller writes the data and a closing brace."""
    return (
        f'{{\n"schema": {SCHEMAS[kind]},\n"vmio": {json.dumps(__version__)},\n'
        f'"kind": {json.dumps(kind)},\n"data": '
    )


def _spell_out(found: re.Match[str]) -> str:
    code = f"{ord(found[0]):04x}"
    return rf"\\x{code[2:]}" if code >= "dc80" and code <= "dcff" else rf"\\u{code}"
