"""`vmio undo`: undoes vmio's last change."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from vmio import app
from vmio.characters import printable
from vmio.cli.apply import confirm, print_diff
from vmio.cli.terminal import say
from vmio.errors import UsageError
from vmio.model.source import Source

__all__ = ["command"]


@click.command("undo")
@click.argument("vm", required=False, default="")
@click.option(
    "--list", "as_list", is_flag=True, help="List the changes that can be undone, and exit."
)
@click.option(
    "--to", "number", type=click.IntRange(1), help="Restore the state before this change."
)
@click.option("--run", metavar="ID", default="", help="Undo this run instead of the last one.")
@click.option("--force", is_flag=True, help="Undo even if others have changed the config since.")
@click.option("--dry-run", is_flag=True, help="Show the change without making it.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(
    vm: str,
    *,
    as_list: bool,
    number: int | None,
    run: str,
    force: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Restore configs to what they were before vmio last changed them.

    VM is a config's path, or a VM's number or name; without it, all configs that the last call of
    vmio changed are restored, each whole or not at all. An undo is a change too: the next one
    reverts it.

    Exits with 0 if everything is done, and with 3 or 4 if a config could not be restored.
    """
    if as_list:
        if number is not None or run or force or dry_run or yes:
            raise UsageError("--list changes nothing")
        _print_list(vm, as_json=as_json)
        return 0
    _check_words(vm, number, run)
    reversal = app.prepare_undo(vm, number=number, run=run, force=force)
    left = reversal.left
    done: tuple[app.WrittenConfig, ...] | None = None if dry_run else ()
    if reversal.restores:
        if not as_json:
            for restore in reversal.restores:
                old, new = restore.shown
                print_diff(Source(name=app.name_path(restore.path), data=old), new)
        if not dry_run:
            confirm(_ask(reversal), yes=yes)
            done, failed = app.undo(reversal)
            left = (*left, *failed)
    if len(left) == 1 and not (done or reversal.restores[1:]):
        raise left[0].error
    if as_json:
        from vmio.report.apply.json import render_undo_json

        click.echo(render_undo_json(reversal, done, left))
    _say_outcome(reversal, left, dry_run=dry_run)
    return max((each.error.exit_status for each in left), default=0)


def _check_words(vm: str, number: int | None, run: str) -> None:
    if number is not None and not vm:
        raise UsageError("--to requires VM")
    if run and vm:
        raise UsageError("--run and VM exclude each other: --run is for all configs of a run")


def _ask(reversal: app.PreparedUndo) -> str:
    first, *more = reversal.restores
    others = f" of {len(more) + 1} configs" if more else ""
    return f"vmio: Undo '{printable(first.entry.what)}' of {first.entry.time}{others}?"


def _say_outcome(
    reversal: app.PreparedUndo, left: Sequence[app.NotRestored], *, dry_run: bool
) -> None:
    kept = {each.path for each in left}
    done = [restore for restore in reversal.restores if restore.path not in kept]
    if dry_run:
        say("dry run: nothing is changed")
    else:
        for restore in done:
            name = app.name_path(restore.path)
            say(f"{name} is restored to its state before '{restore.entry.what}'")
    for each in left:
        say(f"error: not restored: {each.error.message}")
        if each.error.hint:
            say(f"hint: {each.error.hint}")
    if done and not dry_run:
        say("it takes effect after a full stop and start of the guest")


def _print_list(vm: str, *, as_json: bool) -> None:
    if as_json:
        from vmio.report.apply.json import render_journals_json

        click.echo(render_journals_json(app.list_changed(vm)))
        return
    if vm:
        for journal in app.list_changed(vm):
            click.echo(_name(journal.path))
            for entry in journal.entries():
                click.echo(f"  {entry.number:5}  {entry.time[:19]}Z  {printable(entry.what)}")
            say(f"the old states are in {journal.folder}")
        return
    runs = app.list_runs()
    for run in runs:
        click.echo(f"{run.time[:19]}Z  {run.id or '-':12}  {printable(run.what)}")
        for journal, entry in run.changes:
            click.echo(f"  {entry.number:5}  {_name(journal.path)}")
    if runs:
        say(f"the old states are in {runs[-1].changes[0][0].folder.parent}")
    else:
        say("vmio has changed nothing yet")


def _name(path: Path) -> str:
    # What is no absolute path is the address of a domain, for which no daemon is asked here.
    is_gone = path.is_absolute() and not app.is_there(path)
    return f"{printable(app.name_path(path))}{' (gone)' if is_gone else ''}"
