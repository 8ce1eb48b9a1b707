"""A plan for people: today's layout, each step with its reason, and the layout after."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attrs import frozen
from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from vmio.characters import printable
from vmio.model.iothread import MAIN_LOOP
from vmio.model.plan import Change, Plan, Step
from vmio.model.topology import Topology
from vmio.report.layout.text import print_topology

__all__ = ["Row", "print_comparison", "print_plan", "print_plans"]

_WHEN = {
    "live": "at once in a running guest, and at every start",
    "restart": "after a full stop and start; a reboot inside the guest is not enough",
}


@frozen(kw_only=True)
class Row:
    """One line of a table of plans: what it is called, and the plan or why there is none."""

    name: str
    plan: Plan | None = None
    error: str = ""


def print_plan(plan: Plan, console: Console, *, name: str) -> None:
    """Prints a plan whole."""
    print_topology(plan.before, console, title=f"{name}, as it is")
    console.print()
    console.print(Text(printable(f"plan by {plan.policy}"), style="bold"))
    _print_notes(plan.notes, console)
    if not plan.steps:
        if any(attached.disk.keeps_data for attached in plan.before.disks):
            console.print("nothing to change: the disks are served as this policy wants")
        return
    for number, step in enumerate(plan.steps, start=1):
        _print_step(step, console, number)
    if _has_changes(plan):
        console.print()
        print_topology(plan.after, console, title=f"{name}, as planned")


def print_comparison(rows: Sequence[Row], console: Console) -> None:
    """Prints what several policies come to for one guest."""
    console.print(_make_table("policy", rows))
    _print_notes(
        dict.fromkeys(note for row in rows if row.plan for note in row.plan.notes), console
    )
    _print_errors(rows, console)


def print_plans(rows: Sequence[Row], console: Console) -> None:
    """Prints what one policy comes to for several guests."""
    console.print(_make_table("guest", rows))
    for row in rows:
        notes = row.plan.notes if row.plan is not None else ()
        _print_notes(notes, console, label=row.name)
    _print_errors(rows, console)


def _print_notes(notes: Iterable[str], console: Console, *, label: str = "note") -> None:
    for note in notes:
        console.print(Text(f"{printable(label)}: {printable(note)}", style="yellow"))


def _print_step(step: Step, console: Console, number: int) -> None:
    console.print()
    console.print(Text(f"{number}. {printable(step.what)}", style="bold"))
    when = "" if step.by_hand else _WHEN[step.takes_effect]
    lines = (
        ("why", step.why),
        ("effect", step.effect),
        ("guest", step.guest_notices),
        ("by hand", step.by_hand),
        ("when", when),
        ("source", step.source),
    )
    for label, text in lines:
        if text:
            body = Text(f"{label}: ", style="dim")
            body.append(printable(text), style="yellow" if label == "by hand" else "none")
            console.print(Padding(body, (0, 0, 0, 3), expand=False))
    for change in step.changes:
        console.print(Padding(_show_change(change), (0, 0, 0, 3), expand=False))


def _show_change(change: Change) -> Text:
    name = f"{change.key}: {change.option}" if change.option else change.key
    line = Text(f"{printable(name)}: ")
    line.append(printable(change.old) if change.old is not None else "not written", style="red")
    line.append(" -> ")
    line.append(printable(change.new) if change.new is not None else "removed", style="green")
    return line


def _has_changes(plan: Plan) -> bool:
    return any(step.changes and not step.by_hand for step in plan.steps)


def _make_table(first: str, rows: Iterable[Row]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0), pad_edge=False, show_edge=False)
    headings = (first, "IOThreads", "main loop", "spread", "changes", "by hand", "args", "restart")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        if row.plan is None:
            table.add_row(printable(row.name), *("-" for _ in headings[1:]))
            continue
        changes = [c for step in row.plan.steps if not step.by_hand for c in step.changes]
        served = _count_served(row.plan.after)
        table.add_row(
            Text(printable(row.name), style="bold"),
            str(len(row.plan.after.iothreads)),
            str(served.pop(MAIN_LOOP, 0)),
            "+".join(map(str, served.values())) or "-",
            str(len(changes)),
            str(sum(bool(step.by_hand) for step in row.plan.steps)),
            "yes" if any(change.key == "args" for change in changes) else "no",
            "yes"
            if any(s.takes_effect == "restart" and s.changes for s in row.plan.steps)
            else "no",
        )
    return table


def _count_served(topology: Topology) -> dict[str, int]:
    """Returns how many disks each thread serves; cd drives do not count."""
    counts: dict[str, int] = {}
    for attached in topology.disks:
        if attached.disk.media == "cdrom" or attached.disk.cloudinit:
            continue
        for thread in topology.served_by(attached):
            counts[thread] = counts.get(thread, 0) + 1
    return counts


def _print_errors(rows: Iterable[Row], console: Console) -> None:
    for row in rows:
        if row.error:
            console.print(Text(f"{printable(row.name)}: {printable(row.error)}"))
