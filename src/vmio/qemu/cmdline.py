"""The aio engine of each drive of a running QEMU.

No monitor command reports it, so it is read from the command line of the process. QEMU does not
start with an engine that cannot work, so the requested engine is the one in force.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import cast, get_args

from vmio.formats.qemu.argv import parse_words
from vmio.model.disk import FILE_DRIVERS, AioEngine

__all__ = ["parse_aio_engines", "read_aio_engines"]

_MAX_BYTES = 4 << 20
_MAX_DEPTH = 8
_DEFAULT = "threads"


def read_aio_engines(process: int) -> dict[str, AioEngine]:
    """Returns the engines by drive id and node name; empty if the process cannot be read."""
    with suppress(OSError), Path(f"/proc/{process}/cmdline").open("rb") as file:
        text = file.read(_MAX_BYTES).decode("utf-8", "replace")
        return parse_aio_engines(tuple(text.split("\0")))
    return {}


def parse_aio_engines(words: tuple[str, ...]) -> dict[str, AioEngine]:
    """Returns the engines by drive id (`-drive`) and node name (`-blockdev`)."""
    engines: dict[str, AioEngine] = {}
    nodes: dict[str, Mapping[str, str]] = {}
    for option in parse_words(words).options:
        if option.name == "drive" and "id" in option.properties:
            _note(engines, option.id, option.properties.get("aio", _DEFAULT))
        elif option.name == "blockdev" and option.id:
            nodes[option.id] = option.properties
    for name, node in nodes.items():
        _note(engines, name, _find_engine(node, nodes))
    return engines


def _note(engines: dict[str, AioEngine], name: str, engine: str | None) -> None:
    if engine in get_args(AioEngine):
        engines[name] = cast("AioEngine", engine)


def _find_engine(node: Mapping[str, str], nodes: Mapping[str, Mapping[str, str]]) -> str | None:
    """Returns the engine of the lowest node below a node; None if that does no file I/O."""
    prefix = ""
    for _ in range(_MAX_DEPTH):
        if node.get(f"{prefix}driver") in FILE_DRIVERS:
            return node.get(f"{prefix}aio", _DEFAULT)
        below = f"{prefix}file"
        if below in node:
            node, prefix = nodes.get(node[below], {}), ""
        else:
            prefix = f"{below}."
    return None
