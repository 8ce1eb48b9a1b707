"""Host descriptions: TOML to `Host`, and back."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, time
from typing import Any

import cattrs
from cattrs.errors import BaseValidationError, ForbiddenExtraKeysError

from vmio.errors import InputError
from vmio.model.host import Host
from vmio.model.source import Source

__all__ = ["host_to_dict", "parse_host", "render_host"]

_MAX_BYTES = 1024 * 1024


def parse_host(
    source: Source | None,
    overrides: Sequence[tuple[str, str]] = (),
    *,
    base: Host | None = None,
) -> Host:
    """Reads a host description.

    Args:
        source: The TOML text; None for the base with nothing but the overrides replaced.
        overrides: Dotted keys with their values as TOML writes them, such as
            `("cpu.count", "8")`; what is not TOML is taken as a string.
        base: The host whose facts hold where there is no TOML text.

    Raises:
        InputError: It is not TOML, or has a key or a type that a host does not have.
    """
    name = source.name if source is not None else "--set"
    table: dict[str, Any] = _CONVERTER.unstructure(base) if base is not None else {}
    if source is not None:
        if len(source.data) > _MAX_BYTES:
            raise InputError(f"{name} is too large for a host description")
        try:
            table = tomllib.loads(source.data.decode("utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InputError(f"{name} is not a host description: {error}") from error
    for key, value in overrides:
        _override(table, key, value)
    try:
        return _CONVERTER.structure(table, Host)
    except BaseValidationError as error:
        raise InputError(f"{name}: {_explain(error)}") from error


def host_to_dict(host: Host) -> dict[str, Any]:
    """Returns a host as tables, arrays and plain values."""
    table: dict[str, Any] = _CONVERTER.unstructure(host)
    return table


def render_host(host: Host) -> str:
    """Returns a host's description as TOML, which `parse_host` reads as the same host."""
    return "".join(_render_table((), host_to_dict(host)))


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


def _override(table: dict[str, Any], dotted: str, text: str) -> None:
    *parents, last = dotted.split(".")
    for key in parents:
        inner = table.setdefault(key, {})
        if not isinstance(inner, dict):
            raise InputError(f"--set {dotted}: '{key}' has no keys of its own")
        table = inner
    try:
        table[last] = tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        table[last] = text


def _explain(error: BaseException) -> str:
    """Returns the first thing that is wrong, with the key it is wrong at."""
    path: list[str] = []
    while isinstance(error, BaseValidationError) and not isinstance(
        error, ForbiddenExtraKeysError
    ):
        error = error.exceptions[0]
        for note in getattr(error, "__notes__", ()):
            key = getattr(note, "name", None) or getattr(note, "index", None)
            if key is not None:
                path.append(str(key))
    if isinstance(error, ForbiddenExtraKeysError):
        path.append(min(error.extra_fields))
        return f"a host has no key '{'.'.join(path)}'"
    return f"'{'.'.join(path)}': {error}"


def _strict(kind: type) -> Any:  # noqa: ANN401 - cattrs' own hook type
    def structure(value: object, _: object) -> object:
        if type(value) is not kind:
            raise TypeError(f"expected {kind.__name__}, not {value!r}")
        return value

    return structure


_CONVERTER = cattrs.Converter(forbid_extra_keys=True)
for _kind in (str, int, bool):
    _CONVERTER.register_structure_hook(_kind, _strict(_kind))
