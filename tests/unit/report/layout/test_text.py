"""Layouts as tables: no word is broken at eighty columns, and many guests come with sums."""

from __future__ import annotations

import io
import re

from rich.console import Console

from vmio.bench.result import Comparison
from vmio.errors import InputError
from vmio.report.layout.guest import ShownGuest
from vmio.report.layout.text import print_layouts, print_topology


def make_console(columns: int) -> Console:
    """Returns a console of that width that keeps what is printed."""
    return Console(file=io.StringIO(), width=columns, highlight=False, markup=False)


def read(console: Console) -> list[str]:
    """Returns the lines that were printed."""
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_layout_is_a_table_with_a_line_for_each_disk(comparison: Comparison) -> None:
    """At 160 columns; what is ignored has its reason below, once."""
    console = make_console(160)
    print_topology(comparison.a.topology, console, title="701, as planned")
    head, rule, row, *_ = (re.split(r"  +", line) for line in read(console)[1:])
    assert head == [
        *("disk", "volume", "bus", "controller", "PCI"),
        *("served by", "cache", "aio", "ignored"),
    ]
    assert rule == ["─" * 115]
    assert row == [
        *("scsi0", "nvmpool-data:vm-701-disk-0", "scsi", "scsihw0 (virtio-scsi-pci)", "pci.0:0x5"),
        *("main loop", "none", "io_uring", "iothread"),
    ]
    assert sum("is ignored: scsihw is" in line for line in read(console)) == 1


def test_layout_breaks_no_word_at_eighty_columns(comparison: Comparison) -> None:
    """A controller and its address stand below their disk."""
    console = make_console(80)
    print_topology(comparison.b.topology, console, title="701, as planned")
    lines = read(console)
    assert max(map(len, lines)) <= 80
    at = next(at for at, line in enumerate(lines) if line.startswith("scsi0 "))
    assert lines[at].split()[:3] == ["scsi0", "nvmpool-data:vm-701-disk-0", "iothread-virtioscsi0"]
    assert lines[at + 1].split()[:4] == ["scsi", "virtioscsi0", "(virtio-scsi-pci)", "pci.3:0x1"]


def test_layouts_of_many_guests_have_a_line_a_disk_and_sums(comparison: Comparison) -> None:
    """A guest that could not be laid out is told below."""
    console = make_console(80)
    rows = (
        ShownGuest(path="701.conf", name="701 web", topology=comparison.a.topology),
        ShownGuest(path="702.conf", name="702 db", topology=comparison.b.topology),
        ShownGuest(path="9.conf", name="9\x1b", error=InputError("cannot read it")),
    )
    print_layouts(rows, console)
    lines = read(console)
    assert max(map(len, lines)) <= 80
    assert [line.split()[-3:] for line in lines if line.startswith("701 web")] == [
        ["main", "loop", "iothread"]
    ] * 3
    assert lines[-2:] == [
        "9\\x1b: cannot read it",
        "3 VMs, 6 disks, 3 on the main loop, 3 settings ignored",
    ]


def test_layouts_of_no_guest_are_a_sum() -> None:
    """No guests make no table."""
    console = make_console(80)
    print_layouts((), console)
    assert read(console) == ["0 VMs, 0 disks, 0 on the main loop, 0 settings ignored"]
