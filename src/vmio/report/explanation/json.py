"""The stories of disks as JSON.

One object: `schema` 1, `vm`, `origin` (plan, command or running) and `disks`, one object for each
story; its fields are those of `vmio.lint.story.Story`, its findings have a code, a severity, a
message and the fix in words. Fields may be added; none changes its meaning within a schema.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from attrs import asdict

from vmio.lint.story import Story

__all__ = ["render_story_json"]

SCHEMA = 1


def render_story_json(stories: Sequence[Story], *, vm: str, origin: str) -> str:
    """Returns stories as one JSON document."""
    told = {"schema": SCHEMA, "vm": vm, "origin": origin, "disks": list(map(_describe, stories))}
    return json.dumps(told, indent=2, ensure_ascii=False)


def _describe(story: Story) -> dict[str, object]:
    return {
        "disk": story.disk,
        "dropped": story.dropped or None,
        "line": story.line,
        "place": story.place,
        "stations": [asdict(station) for station in story.stations],
        "settings": [asdict(setting) for setting in story.settings],
        "guest": list(story.guest),
        "arguments": list(story.arguments),
        "findings": [
            {
                "code": finding.code,
                "severity": finding.severity.value,
                "message": finding.message,
                "fix": finding.fix.message if finding.fix is not None else None,
            }
            for finding in story.findings
        ],
    }
