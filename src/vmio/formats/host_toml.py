"""Host descriptions: TOML to `Host`, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cattrs.errors import BaseValidationError

from vmio.bounds import MAX_DEPTH, load_toml
from vmio.errors import InputError
from vmio.formats.toml_text import explain, make_converter, render_toml
from vmio.model.host import Host
from vmio.model.source import Source
from vmio.model.version import QemuVersion, parse_version

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
        InputError: It is not TOML, or has a key, a type or a number that a host does not have.
    """
    name = source.name if source is not None else "--set"
    table: dict[str, Any] = _CONVERTER.unstructure(base) if base is not None else {}
    if source is not None:
        if len(source.data) > _MAX_BYTES:
            raise InputError(f"{name} is too large for a host description")
        try:
            table = load_toml(source.data)
        except ValueError as error:
            raise InputError(f"{name} is not a host description: {error}") from error
    for key, value in overrides:
        _override(table, key, value)
    try:
        return _CONVERTER.structure(table, Host)
    except BaseValidationError as error:
        raise InputError(f"{name}: {explain(error, 'a host')}") from error


def host_to_dict(host: Host) -> dict[str, Any]:
    """Returns a host as tables, arrays and plain values."""
    table: dict[str, Any] = _CONVERTER.unstructure(host)
    return table


def render_host(host: Host) -> str:
    """Returns a host's description as TOML, which `parse_host` reads as the same host."""
    return render_toml(host_to_dict(host))


def _override(table: dict[str, Any], dotted: str, text: str) -> None:
    *parents, last = dotted.split(".", MAX_DEPTH)
    for key in parents:
        inner = table.setdefault(key, {})
        if not isinstance(inner, dict):
            raise InputError(f"--set {dotted}: '{key}' has no keys of its own")
        table = inner
    try:
        table[last] = load_toml(f"value = {text}".encode())["value"]
    except ValueError:
        table[last] = text


def _structure_version(value: object, _: object) -> QemuVersion | None:
    text = _CONVERTER.structure(value, str)
    return parse_version(text) if text else None


def _unstructure_version(version: QemuVersion | None) -> str:
    return str(version) if version is not None else ""


_CONVERTER = make_converter()
_CONVERTER.register_structure_hook(QemuVersion | None, _structure_version)
_CONVERTER.register_unstructure_hook(QemuVersion | None, _unstructure_version)
