"""Settings in the words of the notation in hand, for messages and fixes."""

from __future__ import annotations

from vmio.formats.registry import name_setting as find_name
from vmio.lint.rule import Context
from vmio.model.plan import Change

__all__ = ["instruct", "name_parameter", "name_setting"]

_WITHOUT_VALUE = frozenset({"iothread", "queues"})
"""Properties that are removed whatever their value is."""


def name_setting(context: Context, subject: str, name: str, value: str | None = None) -> str:
    """Returns the name of a disk's setting, with a value if one is given: `discard=on`."""
    return find_name(context.guest, subject, name, value)


def name_parameter(context: Context, name: str) -> str:
    """Returns the name of an IOThread's parameter, given as its field: `poll-max-ns`."""
    return find_name(context.guest, "", name.replace("_", "-"))


def instruct(context: Context, change: Change) -> str:
    """Returns a change as an instruction, without a full stop: `write aio=native`."""
    subject, name = change.subject, change.property
    if change.new is not None:
        return f"write {name_setting(context, subject, name, change.new)}"
    old = None if name in _WITHOUT_VALUE else change.old
    return f"remove {name_setting(context, subject, name, old)}"
