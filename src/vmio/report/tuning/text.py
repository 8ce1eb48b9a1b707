"""A search as tables for people: the trials beforehand, and the result."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from vmio.characters import printable
from vmio.report.figures import format_ratio
from vmio.report.table import Column, print_table
from vmio.report.tuning.words import METRICS, describe_task, name_volume, summarise_tuning
from vmio.tune.in_guest import LiveTask
from vmio.tune.tuner import estimate_trial_s
from vmio.units import format_time_s

if TYPE_CHECKING:
    from rich.console import Console

    from vmio.tune.result import InGuest, Tried, Tuning
    from vmio.tune.tuner import SearchTask

__all__ = ["print_task", "print_tuning"]


def print_task(task: SearchTask, console: Console) -> None:
    """Prints what can be chosen, and the trials that a search has at most."""
    console.print(Text(printable(describe_task(task)), style="bold"), soft_wrap=True)
    console.print()
    in_guest = isinstance(task, LiveTask)
    if not in_guest:
        columns = (
            Column(head="layout", narrow="wrap"),
            Column(head="disks", narrow="wrap"),
            Column(head="live settings", right=True),
        )
        rows = [
            (each.name, each.layout.title, str(len(each.settings))) for each in task.candidates
        ]
        print_table(columns, rows, console)
        console.print()
    names = dict.fromkeys(each.name for one in task.candidates for each in one.settings)
    console.print("live settings:")
    for name in names:
        console.print(f"  {name or ('its own' if in_guest else 'as booted')}")
    console.print()
    trials = (
        Column(head="trial", right=True),
        Column(head="race"),
        Column(head="settings", right=True),
        Column(head="pairs", right=True),
        Column(head="time", right=True),
    )
    print_table(
        trials,
        [
            (
                str(trial.number + 1),
                trial.stage,
                str(len(set(trial.settings))),
                str(len(trial.settings)),
                format_time_s(estimate_trial_s(task, trial)),
            )
            for trial in task.trials
        ],
        console,
    )
    console.print()
    what = "settings" if in_guest else "layouts"
    console.print(f"which {what} get as far as the later trials is decided by the earlier ones")


def print_tuning(tuning: Tuning, console: Console) -> None:
    """Prints the result, then everything that was tried, the best first."""
    console.print(Text(printable(summarise_tuning(tuning)), style="bold"), soft_wrap=True)
    console.print()
    if tuning.tried:
        _print_tried(tuning, console)
        console.print()
        console.print("ratios to the guest as it is, above 1 is better; while the search chose")
        console.print("by them, so that the best ones are flattered: only fresh pairs confirm")
    for name, reason in tuning.failures:
        console.print(f"failed: {printable(name)}: {printable(reason)}", soft_wrap=True)
    for left in tuning.left:
        console.print(f"not in the plan, to be set by yourself: {printable(left)}", soft_wrap=True)
    if tuning.in_guest is not None:
        _print_in_guest(tuning.in_guest, console)
    why = f", {tuning.accelerator_reason}" if tuning.accelerator_reason else ""
    busy = sum(each.busy_pairs for each in tuning.tried)
    context = (
        f"{tuning.guest}: {tuning.disk}, {name_volume(tuning)}; by {tuning.objective.name} of"
        f" {', '.join(job.name for job in tuning.jobs)}; {tuning.accelerator}{why};"
        f" {tuning.trials} trial{'s' * (tuning.trials != 1)} with {tuning.pairs} pairs, {busy} on"
        f" a busy host; seed {tuning.seed}; {format_time_s(tuning.duration_s)} in this call"
    )
    console.print(Text(printable(context), style="dim"), soft_wrap=True)


def _print_in_guest(in_guest: InGuest, console: Console) -> None:
    """Prints how the winner is set, which the guest is not left with."""
    if in_guest.commands:
        console.print("to set the winner until the guest stops:")
    for line in in_guest.commands:
        console.print(f"  {printable(line)}", soft_wrap=True, highlight=False, markup=False)
    if in_guest.keep:
        console.print("and for the next start:")
    for line in in_guest.keep:
        console.print(f"  {printable(line)}", soft_wrap=True, highlight=False, markup=False)


def _print_tried(tuning: Tuning, console: Console) -> None:
    several = len(tuning.objective.metrics) > 1
    metrics = (Column(head=name, right=True, leaves=2) for name in METRICS)
    has_layouts = tuning.in_guest is None
    columns = (
        *((Column(head="layout", narrow="wrap"),) if has_layouts else ()),
        Column(head="setting", narrow="wrap"),
        *((Column(head="score", right=True),) if several else ()),
        *metrics,
        Column(head="pairs", right=True, leaves=1),
        *((Column(head="front"),) if several else ()),
    )
    rows = [_list_figures(each, several=several) for each in tuning.tried]
    print_table(columns, rows if has_layouts else [row[1:] for row in rows], console)


def _list_figures(tried: Tried, *, several: bool) -> tuple[str, ...]:
    ratios = {each.metric: format_ratio(each.ratio) for each in tried.metrics}
    return (
        tried.layout,
        tried.setting or "as booted",
        *((format_ratio(tried.ratio),) if several else ()),
        *(ratios.get(metric, "-") for metric in METRICS),
        str(tried.pairs),
        *(("yes" if tried.on_front else "",) if several else ()),
    )
