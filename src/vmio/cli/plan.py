"""`vmio plan`: plans a better layout for a guest, step by step, with the reasons."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, assert_never

import click

from vmio import app
from vmio.cli.completing import complete_policy, complete_vm
from vmio.cli.facts import make_plan
from vmio.cli.guests import find_guests
from vmio.cli.options import host_options, qemu_version_option, storage_option
from vmio.cli.terminal import say, say_hint
from vmio.errors import UsageError, VmioError
from vmio.model.host import Host
from vmio.model.plan import Plan

__all__ = ["command", "say_written"]

_LOAD = "4k-randread-qd1"
_STDIN = "<stdin>"


@click.command("plan")
@click.argument("vms", metavar="[VM]...", nargs=-1, shell_complete=complete_vm)
@click.option(
    "--policy",
    metavar="NAME",
    shell_complete=complete_policy,
    default="auto",
    show_default=True,
    help="How to spread disks over threads.",
)
@click.option("--list-policies", is_flag=True, help="List the policies.")
@click.option("--compare", is_flag=True, help="Compare the plans of all policies.")
@click.option(
    "--rank",
    type=click.Choice(["iops", "latency", "cpu"]),
    help="Rank the layouts of all policies by prediction.",
)
@click.option("--workload", metavar="LOAD", help=f"The load for --rank.  [default: {_LOAD}]")
@click.option("--profile", metavar="FILE", help="The costs for --rank.")
@click.option(
    "--all", "many", is_flag=True, help="Print one line for each guest of several, or of a tree."
)
@click.option("-o", "--output", metavar="FILE", help="Write the plan, for vmio apply.")
@click.option("--force", is_flag=True, help="Replace FILE if it exists.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--diff", "as_diff", is_flag=True, help="Print the config's changes only.")
@storage_option
@qemu_version_option
@host_options
def command(
    vms: tuple[str, ...],
    *,
    policy: str,
    list_policies: bool,
    compare: bool,
    rank: app.Criterion | None,
    workload: str | None,
    profile: str | None,
    many: bool,
    output: str | None,
    force: bool,
    as_json: bool,
    as_diff: bool,
    storage: str | None,
    qemu_version: str | None,
    host: str | None,
    overrides: tuple[str, ...],
) -> int:
    """Plan which IOThreads serve the disks of VM, and say why.

    VM is a config, a VM's number or name, or a QEMU command line: saved, of a process as
    pid:NUMBER, or of the one behind a monitor as qmp:SOCKET. Without VM there is a line for each
    guest of this host: in /etc/pve, or the QEMU processes where there is none.

    Nothing is changed: `vmio apply` makes the changes of a plan that was written with -o for a
    config. To a command line you make them yourself; --diff shows them.
    """
    if list_policies:
        return _print_policies(as_json=as_json)
    forms = {"--compare": compare, "--all": many, "--diff": as_diff}
    _check_forms([name for name, given in forms.items() if given], rank, output, as_json=as_json)
    single = [name for name in forms if name != "--all" and forms[name]]
    single += [name for name, value in (("--rank", rank), ("-o", output)) if value is not None]
    _check_call(vms, rank, workload, profile, single, many=many, force=force and output is None)
    paths = find_guests(vms)
    if many or len(paths) > 1 or app.is_folder(paths[0]):
        found = app.find_vms(paths)
        places = app.read_places(
            found, host=host, overrides=overrides, qemu_version=qemu_version, storage=storage
        )
        return _print_all((*places.errors, *found), policy, places, as_json=as_json)
    guest = app.open_guest(
        paths[0], host=host, overrides=overrides, qemu_version=qemu_version, storage=storage
    )
    facts = guest.context.host
    name = vms[0] if vms else paths[0]
    for problem in guest.vm.problems:
        text = problem.message.replace("\n", ": ")
        say(f"{name}: {text}")
    if compare:
        return _print_comparison(guest, facts, as_json=as_json)
    if rank is not None:
        ranking = app.rank_plans(
            guest, facts, _LOAD if workload is None else workload, by=rank, profile=profile
        )
        return _print_ranking(ranking, as_json=as_json)
    plan = make_plan(name, guest, facts, policy)
    _print_plan(guest, plan, "json" if as_json else "diff" if as_diff else "text")
    if output is not None:
        app.save_plan(plan, output, force=force)
        say_written(plan, output)
    return 0


def say_written(plan: Plan, output: str) -> None:
    """Says what can be done with a plan's file, as `vmio apply` will see it."""
    refusal = app.find_refusal(plan)
    if not plan.changes:
        say(f"wrote {output}, which changes nothing")
    elif refusal is not None:
        say(f"wrote {output}; {refusal.message}")
        say_hint(refusal.hint)
    else:
        # Standard input has no name by which apply could find it again.
        config = " CONFIG" if plan.config == _STDIN else ""
        say(f"wrote {output}; vmio apply {output}{config} makes the changes")


def _check_call(
    vms: tuple[str, ...],
    rank: app.Criterion | None,
    workload: str | None,
    profile: str | None,
    single: list[str],
    *,
    many: bool,
    force: bool,
) -> None:
    """Refuses what makes no sense.

    Args:
        vms: What is named.
        rank: By which figure layouts are ranked.
        workload: The load for that.
        profile: The costs for that.
        single: The options of the call that are for one VM.
        many: Whether a line for each VM is asked for.
        force: Whether a file is to be replaced, and none is named.
    """
    if rank is None and (workload is not None or profile is not None):
        raise UsageError("--workload and --profile require --rank")
    if force:
        raise UsageError("--force requires --output FILE")
    if not vms and single:
        raise UsageError(f"{single[0]} is for one VM: name it", hint=app.ADDRESSES)
    if vms and not many and (len(vms) > 1 or app.is_folder(vms[0])):
        raise UsageError("one VM is planned at a time", hint="--all shows several in a table")


def _print_policies(*, as_json: bool) -> int:
    if as_json:
        from vmio.report.plan.json import render_policies_json

        click.echo(render_policies_json(app.list_policies()))
    else:
        for usage, summary in app.list_policies():
            click.echo(f"{usage:14} {summary}")
    return 0


def _check_forms(
    forms: list[str], rank: app.Criterion | None, output: str | None, *, as_json: bool
) -> None:
    if len(forms) + (rank is not None) > 1 or (as_json and "--diff" in forms):
        raise UsageError(
            "--compare, --rank, --all and --diff exclude each other",
            hint="--json can be combined with all but --diff",
        )
    for form in forms:
        if form != "--diff" and output is not None:
            raise UsageError(
                f"{form} writes no plan", hint="-o writes that of one VM and --policy"
            )
    if rank is not None and output is not None:
        raise UsageError("--rank writes no plan", hint="-o requires one --policy")


def _print_plan(guest: app.Guest, plan: Plan, form: Literal["json", "diff", "text"]) -> None:
    match form:
        case "json":
            from vmio.report.plan.json import render_plan_json
            from vmio.report.plan.words import describe_plan

            click.echo(render_plan_json(describe_plan(guest, plan)))
        case "diff":
            from vmio.cli.apply import print_diff

            print_diff(guest.vm.source, app.preview_plan(guest, plan))
        case "text":
            from vmio.cli.console import make_console
            from vmio.report.plan.text import print_plan
            from vmio.report.plan.words import describe_plan

            print_plan(
                describe_plan(guest, plan),
                make_console(),
                name=f"{guest.vm.id} {guest.vm.name}".strip(),
            )
        case _:
            assert_never(form)


def _print_comparison(guest: app.Guest, host: Host, *, as_json: bool) -> int:
    from vmio.cli.console import make_console
    from vmio.report.plan.text import Row, print_comparison
    from vmio.report.plan.words import describe_plan

    rows = []
    for name in app.list_compared():
        try:
            plan = make_plan(guest.vm.source.name, guest, host, name)
            rows.append(Row(name=name, plan=describe_plan(guest, plan)))
        except VmioError as error:
            rows.append(Row(name=name, error=error.message))
    if as_json:
        from vmio.report.plan.json import render_plans_json

        click.echo(render_plans_json(rows))
    else:
        print_comparison(rows, make_console())
    return 0


def _print_ranking(ranking: app.Ranking, *, as_json: bool) -> int:
    if as_json:
        from vmio.report.plan.ranking_json import render_ranking_json

        click.echo(render_ranking_json(ranking))
    else:
        from vmio.cli.console import make_console
        from vmio.report.plan.ranking_text import print_ranking

        print_ranking(ranking, make_console())
    return 0


def _print_all(
    vms: tuple[app.Found, ...], policy: str, places: app.Places, *, as_json: bool
) -> int:
    """Prints one line a guest, and returns the worst status."""
    from vmio.cli.console import make_console
    from vmio.report.plan.text import Row, print_plans
    from vmio.report.plan.words import describe_plan

    rows, status = [], 0
    for found in vms:
        name = Path(found.path).name
        try:
            if found.error is not None:
                raise found.error
            place = places.by_folder[found.folder]
            guest = app.load(found.path, host=place.host, storages=place.storages)
            name = f"{guest.vm.id} {guest.vm.name}".strip()
            plan = make_plan(found.path, guest, place.host, policy)
            rows.append(Row(name=name, plan=describe_plan(guest, plan)))
        except VmioError as error:
            rows.append(Row(name=name, error=error.message))
            status = max(status, error.exit_status)
    if as_json:
        from vmio.report.plan.json import render_plans_json

        click.echo(render_plans_json(rows))
    else:
        print_plans(rows, make_console())
    return status
