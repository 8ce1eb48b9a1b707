"""Shell completion for arguments and values of options."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from vmio import app
from vmio.patterns import compile_late

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

__all__ = [
    "complete_disk",
    "complete_policy",
    "complete_rule",
    "complete_running",
    "complete_snapshot",
    "complete_vm",
]

_PLAIN = compile_late(r"[\w,./@:+=-]+", re.ASCII)
"""Characters that a shell's script takes as part of one word."""


def complete_rule(
    _ctx: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Completes codes of rules; after a comma, the last one."""
    before, comma, _ = incomplete.rpartition(",")
    rules = app.complete_rules()
    return _offer(((f"{before}{comma}{code}", name) for code, name in rules), incomplete)


def complete_policy(
    _ctx: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Completes policies; those with a number up to the number."""
    return _offer(app.complete_policies(), incomplete)


def complete_vm(
    _ctx: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Completes files, and the configs of the tree that is typed so far."""
    vms = app.complete_vms(incomplete) if incomplete.endswith("/") else ()
    found = _offer(((path, "") for path in vms), incomplete)
    return found or [_make_item(incomplete, kind="file")]


def complete_running(
    _ctx: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Completes the guests that run on this host."""
    return _offer(app.complete_running(), incomplete)


def complete_disk(
    ctx: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Completes the disks of the guest that is already typed."""
    return _offer(((disk, "") for disk in app.complete_disks(_find_vm(ctx))), incomplete)


def complete_snapshot(
    ctx: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Completes the snapshots of the guest that is already typed."""
    return _offer(((name, "") for name in app.complete_snapshots(_find_vm(ctx))), incomplete)


def _find_vm(ctx: click.Context) -> str:
    """Returns the guest of a call; each verb has its own name for the argument."""
    # While an option's value is completed, click has not named the arguments yet.
    params = ctx.params
    named = params.get("vm") or params.get("vms") or params.get("a") or ctx.args or [""]
    vm = named if isinstance(named, str) else named[0]
    # Standard input is the terminal itself.
    return "" if vm == "-" else vm


def _offer(pairs: Iterable[tuple[str, str]], incomplete: str) -> list[CompletionItem]:
    return [
        _make_item(word, words=words)
        for word, words in pairs
        if word.startswith(incomplete) and _PLAIN.fullmatch(word)
    ]


def _make_item(word: str, *, words: str = "", kind: str = "plain") -> CompletionItem:
    # No verb that runs needs it; only a shell that asks what could come next does.
    from click.shell_completion import CompletionItem

    return CompletionItem(word, type=kind, help=words or None)
