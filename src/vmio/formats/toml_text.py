"""TOML as vmio writes it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import date, time
from typing import Any

__all__ = ["render_toml"]


def render_toml(table: Mapping[str, Any]) -> str:
    """Returns a table as TOML, with an array on one line.

    tomli-w gives each item of an array a line: hundreds for the flags of a host's processors.
    """
    return "".join(_render_table((), table))


def _render_table(path: tuple[str, ...], table: Mapping[str, Any]) -> Iterator[str]:
    plain = {key: value for key, value in table.items() if not isinstance(value, Mapping)}
    inner = {key: value for key, value in table.items() if isinstance(value, Mapping)}
    # A table that only contains others needs no header; an empty one would be lost without it.
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
            # The content of a processor model is not checked, so it may be anything.
            return str(value)
        case _:
            # JSON's integers, booleans and strings are TOML's, except for one control character.
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
