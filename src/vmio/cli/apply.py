"""`vmio apply`: a plan carried out, or printed as Proxmox VE's own commands."""

from __future__ import annotations

import os
import sys

import click

from vmio import app
from vmio.characters import disarm_lines, printable
from vmio.cli.completing import complete_policy, complete_vm
from vmio.cli.facts import make_plan
from vmio.cli.options import host_options, qemu_version_option, storage_option
from vmio.cli.terminal import say
from vmio.errors import UsageError
from vmio.model.source import Source

__all__ = ["command", "confirm", "print_diff"]

_LEFT = 1


@click.command("apply")
@click.argument("plan", shell_complete=complete_vm)
@click.argument("config", required=False, shell_complete=complete_vm)
@click.option(
    "--policy",
    metavar="NAME",
    shell_complete=complete_policy,
    help="Plan and apply in one step; PLAN is then a config.",
)
@click.option("--dry-run", is_flag=True, help="Show the change and make none.")
@click.option("--commands", is_flag=True, help="Print the qm command for the change, and exit.")
@click.option(
    "--live/--no-live",
    default=None,
    help="Change a running guest at once, as far as it can be; by default if one is found.",
)
@click.option("--qmp", metavar="SOCKET", help="The running guest's QMP socket.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@qemu_version_option
@storage_option
@host_options
def command(
    plan: str,
    *,
    config: str | None,
    policy: str | None,
    dry_run: bool,
    commands: bool,
    live: bool | None,
    qmp: str | None,
    yes: bool,
    as_json: bool,
    qemu_version: str | None,
    storage: str | None,
    host: str | None,
    overrides: tuple[str, ...],
) -> int:
    """Carry out PLAN, a file that vmio plan -o wrote, on the config it names or on CONFIG.

    CONFIG, and PLAN with --policy, can be a VM's number or name instead of a file.

    The config is written under Proxmox VE's lock, whole or not at all, if it still is what the
    plan was made for; vmio undo restores it. While a guest runs on this node its config
    stays as it is, and --commands prints what makes Proxmox VE keep the change for its next start.

    Exits with 0 if all is done, and 1 if a config was left as it is.
    """
    if commands and (dry_run or as_json or live or qmp is not None):
        raise UsageError("--commands prints, and does nothing else")
    if live is False and qmp is not None:
        raise UsageError("--no-live and --qmp exclude each other")
    if policy is not None and config is not None:
        raise UsageError("with --policy there is one config, and no plan")
    if policy is not None:
        guest = app.open_guest(
            plan,
            host=host,
            overrides=overrides,
            qemu_version=qemu_version,
            storage=storage,
            writes=True,
        )
        wanted = make_plan(plan, guest, guest.context.host, policy)
    else:
        wanted = app.read_plan(plan)
    work = app.prepare_apply(wanted, config, qmp=qmp, live=live, check=not commands)
    if commands:
        _print_commands(work)
        return 0
    if not as_json:
        print_diff(work.source, work.new)
        _print_steps(work)
    outcome = None
    if not dry_run:
        if work.writes or work.live:
            confirm(_ask(work), yes=yes)
        outcome = app.apply(work)
    if as_json:
        from vmio.report.apply.json import render_apply_json

        click.echo(render_apply_json(work, outcome, app.render_qm(work)))
    _say_outcome(work, outcome)
    return _LEFT if work.running and work.new != work.source.data else 0


def confirm(question: str, *, yes: bool) -> None:
    """Asks on a terminal, and goes on if the answer is yes.

    Raises:
        UsageError: There is nobody to ask.
        Abort: The answer is no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(
            "there is no terminal to ask on, so nothing is changed",
            hint="--yes says that the change is meant; --dry-run shows it",
        )
    click.confirm(printable(question), abort=True, err=True)


def print_diff(source: Source, new: bytes) -> None:
    """Prints what changes in a config, in colours on a terminal."""
    from vmio.report.diff.unified import render_unified_diff

    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    text = render_unified_diff(source, new, colour=colour)
    click.echo(text.encode("utf-8", "surrogateescape"), nl=False)


def _print_commands(work: app.Work) -> None:
    from vmio.report.plan.words import describe_plan

    line = app.render_qm(work)
    if line:
        click.echo(line)
    for each in describe_plan(work.guest, work.plan).by_hand:
        click.echo(f"# by hand: {printable(each.words.what)}: {printable(each.words.how)}")


def _print_steps(work: app.Work) -> None:
    from vmio.report.plan.words import describe_plan

    for change in work.live:
        click.echo(printable(f"live: {change.path} {change.property} = {change.new}"))
    for each in describe_plan(work.guest, work.plan).by_hand:
        click.echo(f"by hand: {printable(each.words.what)}")
        click.echo(disarm_lines(f"    {printable(each.words.how)}"))


def _ask(work: app.Work) -> str:
    parts = [f"write {work.path}"] if work.writes else []
    parts += [f"set {len(work.live)} values of the running guest"] if work.live else []
    text = " and ".join(parts)
    return f"vmio: {text[:1].upper()}{text[1:]}?"


def _say_outcome(work: app.Work, outcome: app.Outcome | None) -> None:
    for note in work.plan.notes:
        say(note)
    if work.new == work.source.data and not work.live:
        say(f"{work.path}: nothing to change")
    elif outcome is None:
        say("a dry run: nothing is changed")
    if outcome is not None and outcome.config is not None:
        say(f"{work.path} is written; vmio undo {_name(work)} puts back what it was")
    for result in outcome.live if outcome is not None else ():
        change = result.change
        say(f"{change.path} has {change.property} = {change.new} now; it was {result.old}")
    if work.running and work.new != work.source.data:
        say(f"guest {work.plan.vm} is running, so its config stays as it is")
        say("hint: stop it first, or run what vmio apply --commands prints")
    elif work.waiting and work.writes:
        say(
            "it takes effect after a full stop and start of the guest;"
            " a reboot inside is not enough"
        )


def _name(work: app.Work) -> str:
    """Returns a word of a command that a person may paste into a shell."""
    if work.path.stem == work.plan.vm:
        return app.quote(work.plan.vm)
    path = str(work.path)
    return app.quote(f"./{path}" if path.startswith("-") else path)
