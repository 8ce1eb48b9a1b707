"""QEMU's `-readconfig` files: options in sections, `[device "id"]` with `key = "value"`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from vmio.formats.qemu.argv import build_option
from vmio.model.option import Option
from vmio.model.source import Source, Span

__all__ = ["parse_config_file"]

_MAX_BYTES = 1 << 20
_SECTION = re.compile(r'\[\s*([^\]"\s]{1,63})(?:\s+"([^"\]]{1,63})")?\s*\]\s*')
_SETTING = re.compile(r'\s*([^\s="]{1,63})\s*=\s*"([^"]*)"\s*')
_GROUPS = {"boot-opts": "boot", "memory": "m", "smp-opts": "smp"}
"""Sections whose option has another name on the command line."""


def parse_config_file(source: Source, span: Span) -> tuple[tuple[Option, ...], tuple[str, ...]]:
    """Returns the options of a file, and a text for each fault that QEMU would refuse.

    Args:
        source: The file.
        span: Where the command line names it, which is the place given to its options.
    """
    if len(source.data) > _MAX_BYTES:
        return (), (f"{source.name} is larger than {_MAX_BYTES} bytes",)
    refused: list[str] = []
    sections = tuple(_read_sections(source, refused))
    options = tuple(
        build_option(_GROUPS.get(name, name), values, span, dict.fromkeys(values, span))
        for name, values in sections
    )
    return options, tuple(refused)


def _read_sections(source: Source, refused: list[str]) -> Iterator[tuple[str, Mapping[str, str]]]:
    name = ""
    values: dict[str, str] = {}
    text = source.data.decode("utf-8", "replace")
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        if section := _SECTION.fullmatch(line):
            if name:
                yield name, values
            name, values = section[1], {"id": section[2]} if section[2] else {}
        elif (setting := _SETTING.fullmatch(line)) and name:
            values[setting[1]] = setting[2]
        else:
            refused.append(f"line {number} of {source.name} is neither a section nor a setting")
    if name:
        yield name, values
