"""Host descriptions: TOML to `Host`, and back."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime, time
from typing import Any

from msgspec import ValidationError, convert, to_builtins

from vmio.bounds import MAX_DEPTH, load_toml
from vmio.errors import InputError, UsageError
from vmio.formats.toml_text import render_toml
from vmio.model.host import Host
from vmio.model.source import Source
from vmio.model.version import QemuVersion, parse_version
from vmio.values import explain, replace

__all__ = ["host_to_dict", "is_package", "parse_host", "render_host", "set_qemu_version"]

_MAX_BYTES = 1024 * 1024
_VERSIONS = ("qemu_version", "pve_qemu_version")
"""The description's file; an empty text if there is none."""
_TEXTS = frozenset({*_VERSIONS, "libvirt_version"})
_RELEASE = re.compile(r"\d{1,4}\.\d{1,4}(?:\.\d{1,4})?", re.ASCII)
_PACKAGE = re.compile(r"(\d{1,4}\.\d{1,4}(?:\.\d{1,4})?)-\d[\w.+~]{0,30}", re.ASCII)


def parse_host(
    source: Source | None,
    overrides: Sequence[tuple[str, str]] = (),
    *,
    base: Host | None = None,
) -> Host:
    """Reads a host description.

    Args:
        source: The TOML text; None for the base with only the overrides replaced.
        overrides: Dotted keys with their values as TOML writes them, such as
            `("cpu.count", "8")`; a value that is not TOML is a string.
        base: The host whose facts apply if there is no TOML text.

    Raises:
        InputError: It is not TOML, or has a key, a type or a number that a host does not have.
    """
    name = source.name if source is not None else "--set"
    table = host_to_dict(base) if base is not None else {}
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
        for key in _VERSIONS:
            if key in table:
                table[key] = _read_version(key, table[key])
        return convert(table, Host)
    except ValidationError as error:
        raise InputError(f"{name}: {explain(error, 'a host')}") from error


def host_to_dict(host: Host) -> dict[str, Any]:
    """Returns a host as tables, arrays and plain values."""
    table: dict[str, Any] = to_builtins(host, builtin_types=(date, datetime, time))
    for key in _VERSIONS:
        version = getattr(host, key)
        table[key] = str(version) if version is not None else ""
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
        value = load_toml(f"value = {text}".encode())["value"]
    except ValueError:
        value = text
    # To TOML, the version 9.0 is a number.
    table[last] = text if dotted in _TEXTS and isinstance(value, float) else value


def _read_version(key: str, text: object) -> QemuVersion | None:
    if not isinstance(text, str):
        raise ValidationError(f"Expected `str`, got `{type(text).__name__}` - at `$.{key}`")
    try:
        return parse_version(text) if text else None
    except ValueError as error:
        raise ValidationError(f"{error} - at `$.{key}`") from error


def set_qemu_version(host: Host, text: str) -> Host:
    """Returns a host with another QEMU: a Proxmox package as `10.1.2-7`, or a release as `9.2.0`.

    Raises:
        UsageError: It is neither of them.
    """
    package = _PACKAGE.fullmatch(text.strip())
    if package is not None:
        return _set_package(host, package)
    if not _RELEASE.fullmatch(text.strip()):
        raise UsageError(
            f"'{text[:80]}' is not a QEMU version",
            hint="a release is like 9.2.0, a Proxmox package like 10.1.2-7",
        )
    return replace(host, qemu_version=parse_version(text.strip()), pve_qemu_version=None)


def is_package(text: str) -> bool:
    """Returns whether a text is the version of a distribution's package of QEMU."""
    return _PACKAGE.fullmatch(text) is not None


def _set_package(host: Host, package: re.Match[str]) -> Host:
    return replace(
        host, qemu_version=parse_version(package[1]), pve_qemu_version=parse_version(package[0])
    )
