"""`vmio undo`: the last change of a config taken back."""

from __future__ import annotations

from pathlib import Path

import click

from vmio import api
from vmio.characters import printable
from vmio.cli.apply import confirm, print_diff
from vmio.errors import UsageError
from vmio.model.source import Source

__all__ = ["command"]


@click.command("undo")
@click.argument("vm", required=False, default="")
@click.option("--list", "as_list", is_flag=True, help="List what can be taken back, and end.")
@click.option("--to", "number", type=click.IntRange(1), help="Go back to before this change.")
@click.option("--force", is_flag=True, help="Even if somebody else has changed the config since.")
@click.option("--dry-run", is_flag=True, help="Show the change and make none.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document (schema 1).")
def command(
    vm: str,
    *,
    as_list: bool,
    number: int | None,
    force: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Put back what a config was before vmio changed it last.

    VM is a config's path or a guest's number; without it, it is the config that was changed last.
    An undo is a change too: the next one takes it back.
    """
    if as_list:
        if number is not None or force or dry_run or yes:
            raise UsageError("--list changes nothing")
        _print_list(vm, as_json=as_json)
        return
    if number is not None and not vm:
        raise UsageError("--to needs the config that it is about")
    restore = api.prepare_undo(vm, number=number, force=force)
    applied = None
    if not as_json:
        print_diff(Source(name=str(restore.path), data=restore.old), restore.new)
    if not dry_run:
        what = printable(restore.entry.what)
        confirm(f"vmio: Take back '{what}' of {restore.entry.time}?", yes=yes)
        applied = api.undo(restore)
    if as_json:
        from vmio.report.apply_json import render_undo_json

        click.echo(render_undo_json(restore, applied))
    if applied is None:
        _say("a dry run: nothing is changed")
    else:
        _say(f"{restore.path} is what it was before '{restore.entry.what}'")
        _say("it counts after a full stop and start of the guest")


def _print_list(vm: str, *, as_json: bool) -> None:
    journals = api.list_changed(vm)
    if as_json:
        from vmio.report.apply_json import render_journals_json

        click.echo(render_journals_json(journals))
        return
    for journal in journals:
        gone = "" if Path(journal.path).exists() else " (gone)"
        click.echo(f"{printable(str(journal.path))}{gone}")
        for entry in journal.entries():
            click.echo(f"  {entry.number:5}  {entry.time[:19]}Z  {printable(entry.what)}")
    if journals:
        _say(f"the old states are in {journals[0].folder.parent}")
    else:
        _say("vmio has changed nothing yet")


def _say(text: str) -> None:
    click.echo(f"vmio: {printable(text)}", err=True)
