"""What `vmio apply` and `vmio undo` did, or would do, as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence

from vmio.formats.proxmox.writer import compute_digest
from vmio.managers.proxmox.journal import Journal
from vmio.managers.proxmox.planned import Outcome, Work
from vmio.managers.proxmox.undo import Left, Reversal
from vmio.managers.proxmox.write import Applied
from vmio.model.source import Source
from vmio.report.plan.words import describe_plan

__all__ = ["render_apply_json", "render_journals_json", "render_undo_json"]

SCHEMA = 1


def render_apply_json(work: Work, outcome: Outcome | None, command: str) -> str:
    """Returns one document: the config, what was set live, and what is left to do.

    Args:
        work: What the plan comes to.
        outcome: What was done; None for a dry run.
        command: The `qm set` line that does the same to the config.
    """
    applied = outcome.config if outcome is not None else None
    described = describe_plan(work.guest, work.plan)
    return _dump(
        {
            "vm": work.plan.vm,
            "policy": work.plan.policy,
            "dry_run": outcome is None,
            "config": _describe(str(work.path), work.source.data, work.new, applied),
            "running": work.running,
            "command": command,
            "live": [
                {
                    "path": change.path,
                    "property": change.property,
                    "new": change.new,
                    "old": next(
                        (r.old for r in (outcome.live if outcome else ()) if r.change == change),
                        None,
                    ),
                }
                for change in work.live
            ],
            "waits_for_restart": [
                each.words.what for each in described.steps if each.step in work.waiting
            ],
            "by_hand": [
                {"what": each.words.what, "how": each.words.how} for each in described.by_hand
            ],
        }
    )


def render_undo_json(
    reversal: Reversal, done: Sequence[Applied] | None, left: Sequence[Left]
) -> str:
    """Returns one document: which changes were taken back, and what the configs are now.

    Where it is about one config, that stands at the top, too.

    Args:
        reversal: What the undo comes to.
        done: What became of configs; None for a dry run.
        left: The configs that stay as they are.
    """
    applied = {each.path: each for each in done or ()}
    restored: list[dict[str, object]] = [
        {
            "number": restore.entry.number,
            "what": restore.entry.what,
            "config": _describe(
                str(restore.path), restore.old, restore.new, applied.get(restore.path)
            ),
        }
        for restore in reversal.restores
    ]
    kept = [
        {"path": str(each.path), "message": each.error.message, "hint": each.error.hint}
        for each in left
    ]
    only = restored[0] if len(restored) == 1 else {}
    return _dump(only | {"dry_run": done is None, "configs": restored, "left": kept})


def render_journals_json(journals: Sequence[Journal]) -> str:
    """Returns one document: the kept states of each config, the oldest first."""
    return _dump(
        {
            "configs": [
                {
                    "path": str(journal.path),
                    "changes": [
                        {
                            "number": entry.number,
                            "time": entry.time,
                            "run": entry.run,
                            "what": entry.what,
                            "before": entry.before,
                            "after": entry.after,
                            "backup": str(journal.locate(entry)),
                        }
                        for entry in journal.entries()
                    ],
                }
                for journal in journals
            ]
        }
    )


def _describe(path: str, old: bytes, new: bytes, applied: Applied | None) -> dict[str, object]:
    before, after = (compute_digest(Source(name=path, data=data)) for data in (old, new))
    return {
        "path": path,
        "before": before,
        "after": after,
        "written": applied is not None and applied.changed,
        "backup": str(applied.backup) if applied is not None and applied.backup else None,
    }


def _dump(table: dict[str, object]) -> str:
    return json.dumps({"schema": SCHEMA} | table, indent=2)
