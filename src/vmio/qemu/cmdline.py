"""Which aio engine each drive of a running QEMU was given.

No monitor command says that, so it is read from the command line of the process. An engine that
cannot work is an error at start, hence what was asked for is what is in force.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import cast, get_args

from vmio.model.disk import AioEngine

__all__ = ["parse_aio_engines", "read_aio_engines"]

_MAX_BYTES = 4 << 20
_MAX_DEPTH = 8
_DEFAULT = "threads"


def read_aio_engines(process: int) -> dict[str, AioEngine]:
    """Returns the engines by drive id and node name; empty when the process is not ours to see."""
    with suppress(OSError), Path(f"/proc/{process}/cmdline").open("rb") as file:
        text = file.read(_MAX_BYTES).decode("utf-8", "replace")
        return parse_aio_engines(tuple(text.split("\0")))
    return {}


def parse_aio_engines(words: tuple[str, ...]) -> dict[str, AioEngine]:
    """Returns the engines by drive id (`-drive`) and node name (`-blockdev`)."""
    engines: dict[str, AioEngine] = {}
    nodes: dict[str, Mapping[str, object]] = {}
    for option, value in pairwise(words):
        match option.lstrip("-") if option.startswith("-") else "":
            case "drive":
                options = _split(value)
                _note(engines, options.get("id"), options.get("aio", _DEFAULT))
            case "blockdev":
                node = _load(value)
                nodes |= {str(node["node-name"]): node} if "node-name" in node else {}
            case _:
                pass
    for name, node in nodes.items():
        _note(engines, name, _find_engine(node, nodes))
    return engines


def _note(engines: dict[str, AioEngine], name: str | None, engine: object) -> None:
    if name is not None and engine in get_args(AioEngine):
        engines[name] = cast("AioEngine", engine)


def _split(value: str) -> dict[str, str]:
    """Returns the options of `key=value,…`; a comma in a value is written twice."""
    parts = (part.replace(",,", ",") for part in re.split(r"(?<!,),(?=(?:,,)*(?!,))", value))
    return {key: text for part in parts for key, _, text in (part.partition("="),)}


def _load(value: str) -> Mapping[str, object]:
    """Returns a block node's options, with dotted keys made into what they stand for."""
    if value.startswith("{"):
        with suppress(ValueError, RecursionError):
            loaded = json.loads(value)
            return loaded if isinstance(loaded, dict) else {}
        return {}
    options = _split(value)
    below = {key[5:]: text for key, text in options.items() if key.startswith("file.")}
    return {**options, "file": below} if below else options


def _find_engine(node: Mapping[str, object], nodes: Mapping[str, Mapping[str, object]]) -> object:
    """Returns the engine of the lowest node under a node, None where that does no file I/O."""
    for lower in _walk_down(node, nodes):
        if lower.get("driver") in {"file", "host_device", "host_cdrom"}:
            return lower.get("aio", _DEFAULT)
    return None


def _walk_down(
    node: Mapping[str, object], nodes: Mapping[str, Mapping[str, object]]
) -> Iterator[Mapping[str, object]]:
    for _ in range(_MAX_DEPTH):
        yield node
        match node.get("file"):
            case str(name) if name in nodes:
                node = nodes[name]
            case dict(below):
                node = below
            case _:
                return
