"""A topology as a table for people."""

from __future__ import annotations

from collections.abc import Iterable

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vmio.characters import disarm_lines, printable
from vmio.model.controller import Controller
from vmio.model.iothread import MAIN_LOOP
from vmio.model.topology import HostThread, Topology
from vmio.report.layout.guest import ShownGuest
from vmio.units import format_duration_ns

__all__ = ["print_layouts", "print_topology"]

_VERDICT_STYLE = {"used": "green", "ignored": "bold red", "default": "dim"}
_SETTINGS = ("iothread", "cache", "aio", "discard", "detect_zeroes", "queues")


def print_topology(topology: Topology, console: Console, *, title: str) -> None:
    """Prints what serves each disk, what each setting comes to, and the host's threads."""
    console.print(Text(disarm_lines(printable(title)), style="bold"))
    if not topology.disks:
        console.print("no disks")
        return
    console.print(_make_disk_table(topology))
    if any(attached.effects for attached in topology.disks):
        console.print()
        console.print(_make_effect_table(topology))
        _print_ignored(topology, console)
    if topology.host_threads:
        console.print()
        console.print(_make_thread_table(topology.host_threads))


def print_layouts(guests: Iterable[ShownGuest], console: Console) -> None:
    """Prints a line for each disk of many guests: its volume, what serves it, what is ignored."""
    table = _table("VM", "disk", "volume", "controller", "served by", "ignored")
    for guest in guests:
        name = printable(guest.name)
        if guest.topology is None:
            reason = guest.error.message if guest.error is not None else ""
            table.add_row(Text(name, style="bold"), Text(printable(reason), style="bold red"))
            continue
        if not guest.topology.disks:
            table.add_row(Text(name, style="bold"), Text("no disks"))
        for attached in guest.topology.disks:
            served_by = guest.topology.served_by(attached)
            ignored = [each.setting for each in attached.effects if each.verdict == "ignored"]
            table.add_row(
                Text(name, style="bold"),
                Text(printable(attached.disk.id)),
                Text(printable(attached.disk.volume or "-")),
                Text(printable(attached.controller)),
                Text(
                    printable(", ".join(served_by)),
                    style="yellow" if MAIN_LOOP in served_by else "green",
                ),
                Text(printable(", ".join(ignored) or "-")),
            )
    console.print(table)


def _table(*headings: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0), pad_edge=False, show_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold", min_width=min(len(heading), 9))
    return table


def _make_disk_table(topology: Topology) -> Table:
    table = _table("disk", "bus", "controller", "PCI", "served by", "cache", "aio")
    for attached in topology.disks:
        controller = topology.controller_of(attached)
        served_by = topology.served_by(attached)
        table.add_row(
            Text(printable(attached.disk.id), style="bold"),
            Text(printable(attached.disk.bus)),
            Text(printable(f"{controller.id} ({controller.model})")),
            Text(_name_place(controller)),
            Text(
                printable(", ".join(served_by)),
                style="yellow" if MAIN_LOOP in served_by else "green",
            ),
            Text(printable(attached.cache or "-")),
            Text(printable(attached.aio or "-")),
        )
    return table


def _name_place(controller: Controller) -> str:
    if controller.pci is not None:
        return str(controller.pci)
    return "built in" if controller.built_in else "QEMU's choice"


def _make_effect_table(topology: Topology) -> Table:
    settings = [
        setting
        for setting in _SETTINGS
        if any(attached.find_effect(setting) for attached in topology.disks)
    ]
    table = _table("setting of", *settings)
    for attached in topology.disks:
        cells = [Text(printable(attached.disk.id), style="bold")]
        for setting in settings:
            effect = attached.find_effect(setting)
            verdict = effect.verdict if effect is not None else "-"
            cells.append(Text(verdict, style=_VERDICT_STYLE.get(verdict, "")))
        table.add_row(*cells)
    return table


def _print_ignored(topology: Topology, console: Console) -> None:
    """Prints each reason why a setting is ignored once, with every disk that it holds for."""
    disks: dict[tuple[str, str], list[str]] = {}
    for attached in topology.disks:
        for effect in attached.effects:
            if effect.verdict == "ignored":
                disks.setdefault((effect.setting, effect.reason), []).append(attached.disk.id)
    for (setting, reason), ids in disks.items():
        line = Text(f"{printable(', '.join(ids))}: {setting} is ")
        line.append("ignored", style=_VERDICT_STYLE["ignored"])
        line.append(f": {printable(reason)}")
        console.print(line)


def _make_thread_table(threads: tuple[HostThread, ...]) -> Table:
    table = _table("thread", "TID", "CPU time")
    for thread in threads:
        cpu = format_duration_ns(thread.cpu_ns) if thread.cpu_ns is not None else "-"
        table.add_row(Text(printable(thread.serves)), str(thread.thread_id), cpu)
    return table
