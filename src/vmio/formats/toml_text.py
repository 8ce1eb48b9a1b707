"""What vmio's own TOML files have in common: strict types, errors with their key, and writing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import date, time
from typing import Any

import cattrs
from cattrs.errors import BaseValidationError, ForbiddenExtraKeysError

__all__ = ["explain", "make_converter", "render_toml"]


def make_converter() -> cattrs.Converter:
    """Returns what makes attrs classes of tables, and takes nothing that is nearly right."""
    converter = cattrs.Converter(forbid_extra_keys=True)
    for kind in (str, int, bool):
        converter.register_structure_hook(kind, _strict(kind))
    return converter


def explain(error: BaseException, what: str) -> str:
    """Returns the first thing that is wrong with a description of something, and at which key."""
    path: list[str] = []
    while isinstance(error, BaseValidationError) and not isinstance(
        error, ForbiddenExtraKeysError
    ):
        error = error.exceptions[0]
        for note in getattr(error, "__notes__", ()):
            key = getattr(note, "name", None) or getattr(note, "index", None)
            if key is not None:
                path.append(str(key)[:80])
    if isinstance(error, ForbiddenExtraKeysError):
        path.append(min(error.extra_fields)[:80])
        return f"{what} has no key '{'.'.join(path)}'"
    if isinstance(error, KeyError):
        return f"there is no '{'.'.join(path)}'"
    return f"'{'.'.join(path)}': {error}"


def render_toml(table: Mapping[str, Any]) -> str:
    """Returns a table as TOML, with an array on one line.

    tomli-w gives each item of an array a line: hundreds for the flags of a host's processors.
    """
    return "".join(_render_table((), table))


def _render_table(path: tuple[str, ...], table: Mapping[str, Any]) -> Iterator[str]:
    plain = {key: value for key, value in table.items() if not isinstance(value, Mapping)}
    inner = {key: value for key, value in table.items() if isinstance(value, Mapping)}
    # A table that only holds others needs no header; an empty one would be lost without.
    if path and (plain or not inner):
        yield f"\n[{'.'.join(map(_render_key, path))}]\n"
    for key, value in plain.items():
        yield f"{_render_key(key)} = {_render_value(value)}\n"
    for key, value in inner.items():
        yield from _render_table((*path, key), value)


def _render_key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key, re.ASCII) else _render_value(key)


def _render_value(value: object) -> str:
    match value:
        case list() | tuple():
            return f"[{', '.join(map(_render_value, value))}]"
        case Mapping():
            pairs = (
                f"{_render_key(key)} = {_render_value(inner)}" for key, inner in value.items()
            )
            return f"{{{', '.join(pairs)}}}"
        case float() | date() | time():
            # What a model of processors holds is not looked at, so it may be anything.
            return str(value)
        case _:
            # JSON's whole numbers, truths and strings are TOML's, but for one control character.
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _strict(kind: type) -> Any:  # noqa: ANN401 - cattrs' own hook type
    def structure(value: object, _: object) -> object:
        if type(value) is not kind:
            raise TypeError(f"expected {kind.__name__}, not {value!r:.80}")
        return value

    return structure
