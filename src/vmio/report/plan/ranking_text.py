"""A ranking of layouts for people: its basis, a line for each layout, and ties."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console

from vmio.characters import printable
from vmio.report.figures import format_rate, format_share
from vmio.report.prediction.text import print_warnings, show_range
from vmio.report.table import Column, print_table
from vmio.sim.ranking import LEAST_EFFECT, Criterion, RankedLayout, Ranking
from vmio.units import format_duration_ns

__all__ = ["print_ranking"]

_WORDS: dict[Criterion, str] = {
    "iops": "IOPS, highest first",
    "latency": "mean latency, lowest first",
    "cpu": "CPU, lowest first",
}


def print_ranking(ranking: Ranking, console: Console) -> None:
    """Prints a ranking; the first line states that it is predicted, by what and for which load."""
    first = ranking.layouts[0].prediction
    console.print(
        f"predicted, nothing was measured: {printable(first.workload)} on every disk, QEMU "
        f"{first.qemu_version}, {printable(first.profile)}"
    )
    console.print(f"ranked by {_WORDS[ranking.by]}")
    print_warnings(first, console)
    console.print()
    _print_table(ranking, console)
    console.print()
    if any(each.first != each.last for each in ranking.layouts):
        console.print(
            "more than one rank: a tie, as the intervals overlap or are less than"
            f" {LEAST_EFFECT * 100:.0f} % apart"
        )
    if any(each.prediction.bistable for each in ranking.layouts):
        console.print("a range: bistable, depends on the initial polling times")
    console.print("CPU: all event loops together, in processors")
    for name, reason in ranking.left_out:
        console.print(f"not ranked: {printable(name)}: {printable(reason)}")
    for note in (*ranking.notes, *_list_notes(ranking.layouts)):
        console.print(f"note: {printable(note)}")
    console.print("measure what matters: vmio bench")


def _print_table(ranking: Ranking, console: Console) -> None:
    columns = (
        Column(head="rank"),
        Column(head="layout", narrow="wrap"),
        Column(head="IOThreads", right=True, leaves=1),
        Column(head="IOPS", right=True),
        Column(head="latency", right=True),
        Column(head="CPU", right=True),
    )
    rows = []
    for each in ranking.layouts:
        found = each.prediction
        rows.append(
            (
                str(each.first) if each.first == each.last else f"{each.first} to {each.last}",
                ", ".join(each.layout.names),
                str(len(each.layout.topology.iothreads)),
                show_range(found, found.iops, format_rate),
                show_range(found, found.latency_mean_ns, format_duration_ns),
                show_range(found, found.cpu_share, format_share),
            )
        )
    print_table(columns, rows, console)


def _list_notes(layouts: Iterable[RankedLayout]) -> list[str]:
    """Returns the notes of predictions; a note that is not of all names its layouts."""
    of: dict[str, list[str]] = {}
    layouts = list(layouts)
    for each in layouts:
        for note in each.prediction.notes:
            of.setdefault(note, []).append(each.layout.names[0])
    return [
        note if len(names) == len(layouts) else f"{', '.join(names)}: {note}"
        for note, names in of.items()
    ]
