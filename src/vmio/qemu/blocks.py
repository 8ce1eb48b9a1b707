"""The medium in a drive, as a monitor reports it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast, get_args

from vmio.bounds import load_json
from vmio.model.disk import FILE_DRIVERS, AioEngine, Backing, CacheMode, DetectZeroes
from vmio.model.topology import AttachedDisk
from vmio.qemu.replies import as_integer, as_mapping
from vmio.values import replace

__all__ = ["Nodes", "index_nodes", "insert_medium"]

Nodes = Mapping[str, Sequence[Mapping[str, Any]]]
"""Block nodes by the name of the file that they open."""

_CACHE_MODES: Mapping[tuple[bool, bool, bool], CacheMode] = {
    # direct, no-flush, writeback
    (True, False, True): "none",
    (True, False, False): "directsync",
    (False, False, False): "writethrough",
    (False, False, True): "writeback",
    (False, True, True): "unsafe",
}


def insert_medium(
    attached: AttachedDisk,
    block: Mapping[str, Any],
    nodes: Nodes,
    engines: Mapping[str, AioEngine],
) -> AttachedDisk:
    """Returns a drive with its medium, unchanged if there is none.

    Args:
        attached: The drive.
        block: Its entry of query-block.
        nodes: The reply to query-named-block-nodes, from `index_nodes`.
        engines: aio engines by drive id and node name.
    """
    inserted = as_mapping(block.get("inserted"))
    if not inserted:
        return attached
    filename = _unwrap_filename(str(inserted.get("file", "")))
    # If several nodes open the same file, the right one is not known.
    found = nodes.get(filename, ())
    lowest = found[0] if len(found) == 1 else {}
    cache, below = as_mapping(inserted.get("cache")), as_mapping(lowest.get("cache"))
    # The node that the drive uses may be a filter above the one that opens the file.
    direct = bool(below.get("direct", cache.get("direct")))
    no_flush = bool(cache.get("no-flush")) or bool(below.get("no-flush"))
    write_cache = bool(cache.get("writeback"))
    names = (block.get("device"), inserted.get("node-name"))
    zeroes = inserted.get("detect_zeroes")
    return replace(
        attached,
        disk=replace(
            attached.disk,
            volume=filename,
            backing=Backing(
                filename=filename,
                format=str(inserted.get("drv", "")),
                driver=str(lowest.get("drv", "")),
            ),
            read_only=bool(inserted.get("ro")),
            size_bytes=as_integer(as_mapping(inserted.get("image")).get("virtual-size")),
        ),
        cache=_CACHE_MODES.get((direct, no_flush, write_cache)),
        cache_direct=direct,
        cache_no_flush=no_flush,
        write_cache=write_cache,
        aio=next((engines[name] for name in map(str, names) if name in engines), None),
        detect_zeroes=cast("DetectZeroes", zeroes) if zeroes in get_args(DetectZeroes) else None,
    )


def _unwrap_filename(text: str) -> str:
    """Returns the file below a chain of nodes that a plain name cannot describe.

    Source: QEMU 10.0: such a chain, for example a throttle filter, is reported as `json:{…}`.
    """
    if not text.startswith("json:"):
        return text
    try:
        node = load_json(text.removeprefix("json:"))
    except ValueError:
        return text
    while isinstance(node, dict) and "file" in node:
        node = node["file"]
    return str(node["filename"]) if isinstance(node, dict) and "filename" in node else text


def index_nodes(nodes: Iterable[Mapping[str, Any]]) -> Nodes:
    """Returns the nodes by the file that they open."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for node in nodes:
        if str(node.get("drv")) in FILE_DRIVERS:
            found.setdefault(str(node.get("file")), []).append(node)
    return found
