"""The result of `vmio apply` and `vmio undo`, or of a dry run, as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from vmio.managers.journal import Journal, WrittenConfig
from vmio.managers.libvirt.find import name_path
from vmio.managers.planned import Outcome, PreparedPlan
from vmio.managers.undo import NotRestored, PreparedUndo
from vmio.model.source import Source
from vmio.report.envelope import Count, render_document
from vmio.report.plan.words import describe_plan

__all__ = [
    "JournalsData",
    "OutcomeData",
    "UndoData",
    "render_apply_json",
    "render_journals_json",
    "render_undo_json",
]


class ConfigData(TypedDict):
    """A config before and after a change; digests are SHA-1, like Proxmox VE's own."""

    path: str
    before: str
    """The digest of the old content."""
    after: str
    """The digest of the new content, also in a dry run."""
    written: bool
    backup: str | None
    """The file that keeps the old content."""


class LiveValueData(TypedDict):
    """A property of a running QEMU's object."""

    path: str
    """The object's path, such as `/objects/iothread-virtioscsi0`."""
    property: str
    new: Count
    old: int | None
    """null if it was not set."""


class ManualStepData(TypedDict):
    """A step that only a person can take."""

    what: str
    how: str


class OutcomeData(TypedDict):
    """What a plan changed, or would change."""

    vm: str
    policy: str
    dry_run: bool
    config: ConfigData
    running: bool
    """Whether the guest runs on this node, so that its config is not changed."""
    command: str
    """The `qm set` command that makes the same change to the config."""
    live: list[LiveValueData]
    waits_for_restart: list[str]
    """Steps that take effect after a full stop and start of the guest."""
    by_hand: list[ManualStepData]


class RestoreData(TypedDict):
    """A change that was undone, or would be."""

    number: Count
    """The number of the change in `vmio undo --list`."""
    what: str
    config: ConfigData


class LeftConfigData(TypedDict):
    """A config that was not changed."""

    path: str
    message: str
    hint: str


class UndoData(TypedDict):
    """What an undo changed, or would change."""

    dry_run: bool
    configs: list[RestoreData]
    left: list[LeftConfigData]


class KeptStateData(TypedDict):
    """A change that vmio made, with the state before it, which is kept."""

    number: Count
    time: str
    """UTC, in ISO 8601."""
    run: str
    """The id of the vmio call that made it; empty if an older vmio made it."""
    what: str
    before: str
    """The digest (SHA-1) of the config before the change."""
    after: str
    backup: str


class JournalData(TypedDict):
    """The kept states of a config."""

    path: str
    changes: list[KeptStateData]
    """Oldest first."""


class JournalsData(TypedDict):
    """What vmio changed on this host."""

    configs: list[JournalData]


def render_apply_json(work: PreparedPlan, outcome: Outcome | None, command: str) -> str:
    """Returns the config, the live changes and the remaining steps as a document.

    Args:
        work: The prepared changes.
        outcome: The result; None for a dry run.
        command: The `qm set` command that makes the same change to the config.
    """
    applied = outcome.config if outcome is not None else None
    described = describe_plan(work.guest, work.plan)
    data: OutcomeData = {
        "vm": work.plan.vm,
        "policy": work.plan.policy,
        "dry_run": outcome is None,
        "config": _describe(name_path(work.path), work.source.data, work.new, applied),
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
    return render_document("outcome", data)


def render_undo_json(
    reversal: PreparedUndo, done: Sequence[WrittenConfig] | None, left: Sequence[NotRestored]
) -> str:
    """Returns the undone changes and the current configs as a document.

    Args:
        reversal: The prepared undo.
        done: The restored configs; None for a dry run.
        left: The configs that are not restored.
    """
    applied = {each.path: each for each in done or ()}
    data: UndoData = {
        "dry_run": done is None,
        "configs": [
            {
                "number": restore.entry.number,
                "what": restore.entry.what,
                "config": _describe(
                    name_path(restore.path), restore.old, restore.new, applied.get(restore.path)
                ),
            }
            for restore in reversal.restores
        ],
        "left": [
            {"path": name_path(each.path), "message": each.error.message, "hint": each.error.hint}
            for each in left
        ],
    }
    return render_document("undo", data)


def render_journals_json(journals: Sequence[Journal]) -> str:
    """Returns the kept states of each config, oldest first, as a document."""
    data: JournalsData = {
        "configs": [
            {
                "path": name_path(journal.path),
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
    return render_document("journals", data)


def _describe(path: str, old: bytes, new: bytes, applied: WrittenConfig | None) -> ConfigData:
    before, after = (Source(name=path, data=data).digest for data in (old, new))
    return {
        "path": path,
        "before": before,
        "after": after,
        "written": applied is not None and applied.changed,
        "backup": str(applied.backup) if applied is not None and applied.backup else None,
    }
