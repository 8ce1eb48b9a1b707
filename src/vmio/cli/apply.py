"""`vmio apply`: applies a plan, or prints Proxmox VE's own commands for it."""

from __future__ import annotations

import sys

import click

from vmio import app
from vmio.characters import disarm_lines, printable
from vmio.cli.completing import complete_policy, complete_vm
from vmio.cli.facts import make_plan
from vmio.cli.options import host_options, qemu_version_option, storage_option
from vmio.cli.terminal import has_colour, say
from vmio.errors import UsageError
from vmio.model.host import Host
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
@click.option("--dry-run", is_flag=True, help="Show the change without making it.")
@click.option("--commands", is_flag=True, help="Print the commands of qm or virsh for the change.")
@click.option(
    "--live/--no-live",
    default=None,
    help="Also change the running guest where possible; the default if one is found.",
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
    """Apply PLAN, a file written by vmio plan -o, to the config it names or to CONFIG.

    CONFIG, and PLAN with --policy, can be a VM's number or name instead of a file.

    The config is written under Proxmox VE's lock, whole or not at all, and only if it has not
    changed since the plan was made; vmio undo restores it. While a guest runs on this node, its
    config is not changed: --commands prints the command with which Proxmox VE keeps the change for
    the next start.

    Exits with 0 if everything is done, and 1 if a config was not changed.
    """
    if commands and (dry_run or as_json or live or qmp is not None):
        raise UsageError("--commands excludes --dry-run, --json, --live and --qmp")
    if live is False and qmp is not None:
        raise UsageError("--no-live and --qmp exclude each other")
    if policy is not None and config is not None:
        raise UsageError("with --policy, name one config and no plan")
    if policy is not None:
        guest = app.open_guest(
            plan,
            host=host,
            overrides=overrides,
            qemu_version=qemu_version,
            storage=storage,
            writes=True,
        )
        facts = guest.context.host
        wanted = make_plan(plan, guest, facts, policy)
    else:
        facts = app.read_host(host, overrides, base=Host())
        wanted = app.read_plan(plan)
    work = app.prepare_apply(
        wanted,
        config,
        qmp=qmp,
        live=live,
        check=not commands,
        libvirt_version=facts.libvirt_version,
    )
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

        click.echo(render_apply_json(work, outcome, app.render_commands(work)))
    _say_outcome(work, outcome)
    return _LEFT if work.running and work.new != work.source.data else 0


def confirm(question: str, *, yes: bool) -> None:
    """Asks for confirmation on a terminal; returns if the answer is yes.

    Raises:
        UsageError: Standard input is not a terminal.
        Abort: The answer is no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(
            "nothing is changed: confirmation requires a terminal",
            hint="--yes confirms the change; --dry-run shows it",
        )
    click.confirm(printable(question), abort=True, err=True)


def print_diff(source: Source, new: bytes) -> None:
    """Prints the change of a config, in colours on a terminal."""
    from vmio.report.diff.unified import render_unified_diff

    colour = has_colour()
    text = render_unified_diff(source, new, colour=colour)
    click.echo(text.encode("utf-8", "surrogateescape"), nl=False)


def _print_commands(work: app.PreparedPlan) -> None:
    from vmio.report.plan.words import describe_plan

    lines = app.render_commands(work)
    if lines:
        click.echo(lines)
    for each in describe_plan(work.guest, work.plan).by_hand:
        click.echo(f"# by hand: {printable(each.words.what)}: {printable(each.words.how)}")


def _print_steps(work: app.PreparedPlan) -> None:
    from vmio.report.plan.words import describe_plan

    for change in work.live:
        click.echo(printable(f"live: {change.path} {change.property} = {change.new}"))
    for each in describe_plan(work.guest, work.plan).by_hand:
        click.echo(f"by hand: {printable(each.words.what)}")
        click.echo(disarm_lines(f"    {printable(each.words.how)}"))


def _ask(work: app.PreparedPlan) -> str:
    parts = [f"write {app.name_path(work.path)}"] if work.writes else []
    parts += [f"set {len(work.live)} values of the running guest"] if work.live else []
    text = " and ".join(parts)
    return f"vmio: {text[:1].upper()}{text[1:]}?"


def _say_outcome(work: app.PreparedPlan, outcome: app.Outcome | None) -> None:
    for note in (*work.plan.notes, *work.reminders):
        say(note)
    if work.new == work.source.data and not work.live:
        say(f"{app.name_path(work.path)}: nothing to change")
    elif outcome is None:
        say("dry run: nothing is changed")
    if outcome is not None and outcome.config is not None:
        say(f"{app.name_path(work.path)} is written; vmio undo {_name(work)} restores it")
    for result in outcome.live if outcome is not None else ():
        change = result.change
        say(f"{change.path} now has {change.property} = {change.new}, before {result.old}")
    if work.running and work.new != work.source.data:
        say(f"guest {work.plan.vm} is running, so its config is not changed")
        say("hint: stop it first, or run the command that vmio apply --commands prints")
    elif work.waiting and work.writes:
        say(
            "it takes effect after a full stop and start of the guest;"
            " a reboot inside is not enough"
        )


def _name(work: app.PreparedPlan) -> str:
    """Returns a word that can be pasted into a shell command."""
    if work.path.name == f"{work.plan.vm}.conf" and work.plan.vm.isdecimal():
        return app.quote(work.plan.vm)
    path = app.name_path(work.path)
    return app.quote(f"./{path}" if path.startswith("-") else path)
