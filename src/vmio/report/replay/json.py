"""The polling in a trace as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable

import attrs

from vmio.sim.trace import LoopTrace

__all__ = ["SCHEMA", "render_trace_json"]

SCHEMA = 1


def render_trace_json(loops: Iterable[LoopTrace], *, qemu_version: str) -> str:
    """Returns one document: each event loop, the busiest first; times are in nanoseconds."""
    table = {
        "schema": SCHEMA,
        "qemu_version": qemu_version,
        "loops": [attrs.asdict(loop) for loop in loops],
    }
    return json.dumps(table, indent=2, ensure_ascii=False, allow_nan=False)
