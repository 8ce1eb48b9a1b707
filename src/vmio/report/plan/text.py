"""A plan for people: the current layout, each step with its reason, and the layout after."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from vmio.characters import printable
from vmio.formats.base import Setting
from vmio.model.iothread import MAIN_LOOP
from vmio.model.topology import Topology
from vmio.report.layout.text import print_topology
from vmio.report.plan.words import DescribedPlan, DescribedStep
from vmio.report.table import Cell, Column, print_table

__all__ = ["Row", "print_comparison", "print_plan", "print_plans"]

_WHEN = {
    "live": "at once in a running guest, and at every start",
    "restart": "after a full stop and start; a reboot inside the guest is not enough",
}


class Row(Struct, frozen=True, kw_only=True):
    """One line of a table of plans: its name, and the plan or the reason why there is none."""

    name: str
    plan: DescribedPlan | None = None
    error: str = ""


def print_plan(described: DescribedPlan, console: Console, *, name: str) -> None:
    """Prints a plan whole."""
    plan = described.plan
    print_topology(plan.before, console, title=f"{name}, as it is")
    console.print()
    console.print(Text(printable(f"plan by {plan.policy}"), style="bold"))
    _print_notes(plan.notes, console)
    if not plan.steps:
        if any(attached.disk.keeps_data for attached in plan.before.disks):
            console.print("nothing to change: the layout is already that of this policy")
        return
    for number, step in enumerate(described.steps, start=1):
        _print_step(step, console, number)
    if described.settings:
        console.print()
        print_topology(plan.after, console, title=f"{name}, as planned")


def print_comparison(rows: Sequence[Row], console: Console) -> None:
    """Prints the plans of several policies for one guest."""
    _print_table("policy", rows, console)
    _print_notes(
        dict.fromkeys(note for row in rows if row.plan for note in row.plan.plan.notes), console
    )
    _print_errors(rows, console)


def print_plans(rows: Sequence[Row], console: Console) -> None:
    """Prints the plans of one policy for several guests."""
    _print_table("guest", rows, console)
    for row in rows:
        notes = row.plan.plan.notes if row.plan is not None else ()
        _print_notes(notes, console, label=row.name)
    _print_errors(rows, console)


def _print_notes(notes: Iterable[str], console: Console, *, label: str = "note") -> None:
    for note in notes:
        console.print(Text(f"{printable(label)}: {printable(note)}", style="yellow"))


def _print_step(each: DescribedStep, console: Console, number: int) -> None:
    step, words = each.step, each.words
    console.print()
    console.print(Text(f"{number}. {printable(words.what)}", style="bold"))
    when = "" if step.obstacle else _WHEN[step.takes_effect]
    lines = (
        ("why", words.why),
        ("effect", words.effect),
        ("guest", words.guest_notices),
        ("by hand", words.how),
        ("when", when),
        ("source", words.source),
    )
    for label, text in lines:
        if text:
            body = Text(f"{label}: ", style="dim")
            body.append(printable(text), style="yellow" if label == "by hand" else "none")
            console.print(Padding(body, (0, 0, 0, 3), expand=False))
    for setting in each.settings:
        console.print(Padding(_show_setting(setting), (0, 0, 0, 3), expand=False))


def _show_setting(setting: Setting) -> Text:
    line = Text(f"{printable(setting.name)}: ")
    old, new = setting.old, setting.new
    line.append(printable(old) if old is not None else "not written", style="red")
    line.append(" -> ")
    line.append(printable(new) if new is not None else "removed", style="green")
    return line


def _print_table(first: str, rows: Iterable[Row], console: Console) -> None:
    columns = (
        Column(head=first),
        Column(head="IOThreads", leaves=6),
        Column(head="main loop", short="main\nloop"),
        Column(head="spread", leaves=1),
        Column(head="changes", leaves=4),
        Column(head="by hand", short="by\nhand", leaves=5),
        Column(head="args", leaves=3),
        Column(head="restart", leaves=2),
    )
    print_table(columns, [_make_cells(row, len(columns)) for row in rows], console)


def _make_cells(row: Row, count: int) -> tuple[Cell, ...]:
    if row.plan is None:
        return (row.name, *["-"] * (count - 1))
    plan, changes = row.plan.plan, row.plan.settings
    served = _count_served(plan.after)
    needs_start = any(
        each.step.takes_effect == "restart" and each.settings for each in row.plan.steps
    )
    return (
        (row.name, "1"),
        str(len(plan.after.iothreads)),
        str(served.pop(MAIN_LOOP, 0)),
        "+".join(map(str, served.values())) or "-",
        str(len(changes)),
        str(len(plan.by_hand)),
        "yes" if any(change.key == "args" for change in changes) else "no",
        "yes" if needs_start else "no",
    )


def _count_served(topology: Topology) -> dict[str, int]:
    """Returns how many disks each thread serves, CD drives not counted."""
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
