"""Layouts as tables for people: one guest's in full, or a line for each disk of many guests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.text import Text

from vmio.characters import disarm_lines, printable
from vmio.model.controller import Controller
from vmio.model.iothread import MAIN_LOOP
from vmio.model.topology import AttachedDisk, HostThread, Topology, Verdict
from vmio.report.layout.guest import ShownGuest
from vmio.report.table import Cell, Column, print_table
from vmio.units import format_duration_ns

__all__ = ["print_layouts", "print_topology"]

_BOLD, _RED, _GREEN, _YELLOW, _DIM = "1", "1;31", "32", "33", "2"
_NOTHING = "-"

_COLUMNS = (
    Column(head="disk"),
    Column(head="volume", leaves=7),
    Column(head="bus", label="", leaves=1),
    Column(head="controller", label="", leaves=4),
    Column(head="PCI", label="", leaves=2),
    Column(head="served by"),
    Column(head="cache", leaves=6),
    Column(head="aio", leaves=5),
)
_USED = Column(head="used", leaves=3)
_IGNORED = Column(head="ignored")

_LIST_COLUMNS = (
    Column(head="VM"),
    Column(head="disk"),
    Column(head="volume", label="", leaves=2),
    Column(head="controller", leaves=1, narrow="drop"),
    Column(head="served by"),
    _IGNORED,
)


def print_topology(topology: Topology, console: Console, *, title: str) -> None:
    """Prints each disk's thread, the effect of its settings, and the host's threads."""
    console.print(Text(disarm_lines(printable(title)), style="bold"))
    if not topology.disks:
        console.print("no disks")
        return
    verdicts: dict[Verdict, Column] = {"used": _USED, "ignored": _IGNORED}
    shown = {
        verdict: column
        for verdict, column in verdicts.items()
        if any(_list_settings(attached, verdict) for attached in topology.disks)
    }
    rows = [
        (
            *_make_cells(topology, attached),
            *(_name_settings(attached, verdict) for verdict in shown),
        )
        for attached in topology.disks
    ]
    print_table((*_COLUMNS, *shown.values()), rows, console)
    _print_ignored(topology, console)
    if topology.host_threads:
        console.print()
        _print_threads(topology.host_threads, console)


def print_layouts(rows: Sequence[ShownGuest], console: Console) -> None:
    """Prints a line for each disk of each guest, the errors, and the totals."""
    lines: list[tuple[Cell, ...]] = []
    disks: list[tuple[Topology, AttachedDisk]] = []
    for row in rows:
        found = row.topology.disks if row.topology is not None else ()
        if row.topology is None or not found:
            nothing = _NOTHING if row.topology is None else "no disks"
            lines.append(((row.name, _BOLD), nothing, *[_NOTHING] * (len(_LIST_COLUMNS) - 2)))
            continue
        disks += [(row.topology, attached) for attached in found]
        lines += [
            (
                (row.name, _BOLD),
                attached.disk.id,
                _name_volume(attached),
                attached.controller,
                _name_threads(row.topology, attached),
                _name_settings(attached, "ignored"),
            )
            for attached in found
        ]
    if lines:
        print_table(_LIST_COLUMNS, lines, console)
        console.print()
    for row in rows:
        if row.error:
            console.print(
                Text(disarm_lines(f"{printable(row.name)}: {printable(row.error.message)}"))
            )
    in_main_loop = sum(MAIN_LOOP in topology.served_by(attached) for topology, attached in disks)
    ignored = sum(len(_list_settings(attached, "ignored")) for _, attached in disks)
    console.print(
        f"{_count(len(rows), 'VM')}, {_count(len(disks), 'disk')}, {in_main_loop:,} on the main"
        f" loop, {_count(ignored, 'setting')} ignored"
    )


def _make_cells(topology: Topology, attached: AttachedDisk) -> tuple[Cell, ...]:
    controller = topology.controller_of(attached)
    return (
        (attached.disk.id, _BOLD),
        _name_volume(attached),
        attached.disk.bus,
        f"{controller.id} ({controller.model})",
        _name_place(controller),
        _name_threads(topology, attached),
        _name_value(attached, "cache", attached.cache),
        _name_value(attached, "aio", attached.aio),
    )


def _name_volume(attached: AttachedDisk) -> str:
    backing = attached.disk.backing
    return attached.disk.volume or (backing.filename if backing is not None else "") or _NOTHING


def _name_place(controller: Controller) -> str:
    if controller.pci is not None:
        return str(controller.pci)
    return "built in" if controller.built_in else "QEMU's choice"


def _name_threads(topology: Topology, attached: AttachedDisk) -> Cell:
    threads = topology.served_by(attached)
    return ", ".join(threads), _YELLOW if MAIN_LOOP in threads else _GREEN


def _name_value(attached: AttachedDisk, setting: str, value: str | None) -> Cell:
    """Returns a value, dimmed if it is not set in the config."""
    effect = attached.find_effect(setting)
    is_chosen = effect is not None and effect.verdict == "default"
    return value or _NOTHING, _DIM if is_chosen else ""


def _list_settings(attached: AttachedDisk, verdict: Verdict) -> list[str]:
    return [effect.setting for effect in attached.effects if effect.verdict == verdict]


def _name_settings(attached: AttachedDisk, verdict: Verdict) -> Cell:
    names = ", ".join(_list_settings(attached, verdict))
    return names or _NOTHING, _RED if names and verdict == "ignored" else ""


def _print_ignored(topology: Topology, console: Console) -> None:
    """Prints each reason why a setting is ignored once, with all disks that it applies to."""
    disks: dict[tuple[str, str], list[str]] = {}
    for attached in topology.disks:
        for effect in attached.effects:
            if effect.verdict == "ignored":
                disks.setdefault((effect.setting, effect.reason), []).append(attached.disk.id)
    if disks:
        console.print()
    for (setting, reason), ids in disks.items():
        line = Text(f"{printable(', '.join(ids))}: {setting} is ")
        line.append("ignored", style="bold red")
        line.append(f": {printable(reason)}")
        console.print(line)


def _print_threads(threads: Iterable[HostThread], console: Console) -> None:
    print_table(
        (Column(head="thread"), Column(head="TID"), Column(head="CPU time")),
        [
            (
                each.serves,
                str(each.thread_id),
                format_duration_ns(each.cpu_ns) if each.cpu_ns is not None else _NOTHING,
            )
            for each in threads
        ],
        console,
    )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
