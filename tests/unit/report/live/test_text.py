"""The tables of `vmio top --once`, their order, and the lines beside them."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from vmio.model.plan import Change
from vmio.observe.percentiles import LatencyRange
from vmio.observe.sample import Limits
from vmio.observe.verdicts.values import Figure, Verdict
from vmio.report.live.columns import VIEWS, View, list_items, sort_items
from vmio.report.live.rows import DiskRow, GuestRow, HostRows, OperationRow, QueueRow, ThreadRow
from vmio.report.live.text import print_rows
from vmio.report.live.words import describe_path, list_verdict_lines
from vmio.values import replace

READS = OperationRow(
    operations_per_s=12_345.0,
    bytes_per_s=50_565_120.0,
    latency_mean_ns=210_000.0,
    latency_p50=LatencyRange(low_ns=100_000, high_ns=250_000),
    latency_p99=LatencyRange(low_ns=500_000, high_ns=1_000_000),
    depth_mean=2.6,
    failed=2,
)
DISK = DiskRow(
    id="scsi0",
    file="/dev/pve/vm-172-disk-0",
    format="raw",
    driver="host_device",
    cache="none",
    aio="io_uring",
    controller="virtioscsi0",
    model="virtio-scsi-pci",
    served_by=("io0", "io1"),
    queues=tuple(
        QueueRow(index=index, served_by=f"io{index % 2}", in_flight=index, size=256)
        for index in range(4)
    ),
    reads=READS,
    writes=OperationRow(operations_per_s=0.0, bytes_per_s=0.0, depth_mean=0.0, failed=0),
    in_flight=6,
    limits=Limits(iops=12_345.0),
    binding=("iops",),
)
THREADS = (
    ThreadRow(name="main loop", role="main loop", owner="main loop", thread_id=1, cpu_share=0.97),
    ThreadRow(
        name="io0",
        role="iothread",
        owner="io0",
        thread_id=2,
        cpu_share=0.42,
        user_share=0.8,
        run_delay_share=0.06,
        processor=3,
        node=1,
        affinity=(0, 1, 2, 3),
        poll_max_ns=32768,
        poll_share=0.2,
        poll_share_low=0.1,
        poll_share_high=0.3,
    ),
    ThreadRow(name="io1", role="iothread", owner="io1", thread_id=3, cpu_share=0.0, poll_max_ns=0),
    ThreadRow(name="workers", role="worker", owner="io0", count=4, cpu_share=0.05),
)
FULL = Verdict(
    kind="main-loop-full",
    subject="main loop",
    severity="warning",
    evidence=(
        Figure(name="cpu", subject="main loop", value=0.97, unit="processors", at_least=0.9),
    ),
    source="somebody",
    step="give-threads",
    disks=("scsi0",),
)
POLLS = Verdict(
    kind="polling-wasted",
    subject="io0",
    severity="warning",
    evidence=(),
    source="somebody",
    change=Change(subject="io0", property="poll_max_ns", old="1000000", new="32768"),
)
BUSY = GuestRow(
    address="pid:100",
    started_ticks=1,
    label="172 web",
    id="172",
    name="web",
    manager="proxmox",
    uptime_s=3600.0,
    window_s=2.0,
    threads=THREADS,
    disks=(DISK,),
    verdicts=(FULL, POLLS),
    is_judged=True,
    monitor="answered",
)
WELL = replace(
    BUSY,
    address="pid:99",
    label="9 db",
    id="9",
    verdicts=(),
    threads=(replace(THREADS[0], cpu_share=0.01),),
    disks=(replace(DISK, reads=OperationRow(), writes=OperationRow(), binding=None, limits=None),),
)
NEW = replace(WELL, address="pid:98", label="new", is_judged=False)
ROWS = HostRows(wall_ns=0, duration_s=0.01, host_processors=4, guests=(NEW, WELL, BUSY))


def render(view: View, width: int, rows: HostRows = ROWS) -> str:
    """Returns what a terminal of a width shows."""
    text = io.StringIO()
    print_rows(rows, view, Console(file=text, width=width, color_system=None))
    return text.getvalue()


def test_guests_are_printed_with_the_worst_first() -> None:
    """Those that nobody judged are before those that nothing limits."""
    _, _, *lines = render("guests", 160).splitlines()
    assert [line.split("  ")[0] for line in lines] == ["172 web", "new", "9 db"]
    assert lines[0].endswith("main loop full (+1)")
    assert lines[1].endswith("-")
    assert lines[2].endswith("nothing limits it")
    assert all(word in lines[0] for word in ("97%", "42%", "12.3k", "48.2 MiB", "210 µs"))


def test_threads_and_disks_are_printed_with_the_busiest_first() -> None:
    """Each with the guest that it is of."""
    _, _, *threads = render("threads", 160).splitlines()
    assert "main loop" in threads[0]
    assert "97%" in threads[0]
    assert "4 of io0" in threads[2]
    _, _, *disks = render("disks", 160).splitlines()
    assert disks[0].startswith("172 web")
    assert all(word in disks[0] for word in ("scsi0", "io0, io1", "<1 ms", "reached"))


@pytest.mark.parametrize("view", [*VIEWS])
@pytest.mark.parametrize("width", [60, 80, 120, 160])
def test_no_table_is_wider_than_the_terminal(view: View, width: int) -> None:
    """Columns leave, the verdict stays."""
    text = render(view, width)
    assert max(map(len, text.splitlines())) <= width
    assert view != "guests" or "main loop full" in text


@pytest.mark.parametrize("view", [*VIEWS])
def test_each_column_sorts_both_ways(view: View) -> None:
    """What has no figure comes last either way."""
    items = list_items(ROWS, view)
    assert len({each.key for each in items}) == len(items)
    for column in VIEWS[view]:
        for is_reversed in (False, True):
            found = sort_items(items, column, is_reversed=is_reversed)
            assert sorted(map(id, found)) == sorted(map(id, items))
            missing = [column.sort(each) is None for each in found]
            assert missing == sorted(missing)


def test_items_have_keys_of_their_own() -> None:
    """Also a disk that is called like a thread's number, and what a recording has twice."""
    guest = replace(BUSY, disks=(replace(DISK, id="2"), DISK), threads=(THREADS[1], THREADS[1]))
    rows = replace(ROWS, guests=(guest, guest))
    keys = [each.key for view in VIEWS for each in list_items(rows, view)]
    assert len(keys) == len({*keys}) == 1 + 1 + 2


def test_sorting_by_name_counts_as_people_do() -> None:
    """9 is before 172."""
    column = VIEWS["guests"][0]
    found = sort_items(list_items(ROWS, "guests"), column, is_reversed=False)
    assert [each.guest.label for each in found] == ["9 db", "172 web", "new"]


def test_verdicts_are_told_with_figures_and_the_call_that_plans() -> None:
    """A single parameter needs no plan."""
    text = "\n".join(each.text for each in list_verdict_lines(BUSY))
    assert (
        text
        == """\
the main loop has no time left
  All that it serves waits for it.
  cpu of main loop: 0.97 processors (at least 0.90 processors)
  → give the disks IOThreads of their own: scsi0 (vmio plan 172)
IOThread io0 polls in vain
  Requests come too rarely for polling to catch them, and it takes most of the \
IOThread's processor time.
  → set poll-max-ns to 32768 on io0"""
    )
    by_hand = replace(BUSY, manager="none", verdicts=(FULL,))
    assert list_verdict_lines(by_hand)[-1].text.endswith("(vmio plan pid:100)")


def test_guest_without_verdicts_says_whether_that_means_something() -> None:
    """Notes are told with it."""
    assert [each.text for each in list_verdict_lines(WELL)] == ["nothing limits it"]
    (line,) = list_verdict_lines(NEW)
    assert line.text.startswith("not known yet")
    noted = replace(NEW, notes=("its monitor is its manager's alone",))
    assert list_verdict_lines(noted)[-1].text == "its monitor is its manager's alone"


def test_path_of_a_disk_has_figures_at_each_station() -> None:
    """From the disk to the processor that its IOThread ran on."""
    hops = describe_path(BUSY, DISK)
    assert [(each.what, each.name) for each in hops] == [
        ("disk", "scsi0"),
        ("file", "/dev/pve/vm-172-disk-0"),
        ("controller", "virtioscsi0"),
        ("IOThread", "io0"),
        ("processor", "3, NUMA node 1"),
        ("IOThread", "io1"),
        ("processor", "-"),
    ]
    text = "\n".join(line.text for hop in hops for line in hop.lines)
    for told in (
        "reads    12.3k/s    48.2 MiB/s  mean 210 µs  p50 <250 µs  p99 <1 ms  2 failed",
        "on average 2.6 under way, now 6",
        "held back by its limit: iops",
        "raw in host_device, cache=none, aio=io_uring",
        "4 queues of 256 entries, in flight: 0 1 2 3",
        "queues of io0: 0,2; io1: 1,3",
        "42% of a processor, 80% of it user, waits 6.0%",
        "polls for 32.8 µs at most, which takes 20% (10% to 30%)",
        "4 workers: 5.0%",
        "may run on 0-3",
        "does not poll (poll-max-ns 0)",
    ):
        assert told in text


def test_path_of_an_unknown_disk_says_so() -> None:
    """A disk that was plugged since the start has figures alone."""
    hops = describe_path(BUSY, DiskRow(id="new"))
    assert [(each.what, each.name) for each in hops] == [
        ("disk", "new"),
        ("file", "-"),
        ("controller", "-"),
    ]
