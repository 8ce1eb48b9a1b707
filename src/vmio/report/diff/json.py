"""A comparison of two command lines as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence

from vmio.formats.qemu.diff import Difference

__all__ = ["render_diff_json"]

SCHEMA = 1


def render_diff_json(a: str, b: str, differences: Sequence[Difference]) -> str:
    """Returns one document: the sides' names, whether they are equal, and what differs."""
    return json.dumps(
        {
            "schema": SCHEMA,
            "a": a,
            "b": b,
            "equal": not differences,
            "differences": [
                {
                    "kind": difference.kind,
                    "option": difference.option,
                    "id": difference.id,
                    "driver": difference.driver,
                    "changes": [
                        {"key": change.key, "a": change.a, "b": change.b}
                        for change in difference.changes
                    ],
                }
                for difference in differences
            ],
        },
        indent=2,
    )
