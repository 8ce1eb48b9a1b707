"""Metrics of looks, in both formats."""

from __future__ import annotations

import gc
import re
import tracemalloc
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pytest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample as Series

from vmio.exporter.collector import FiguresCollector, render_figures
from vmio.exporter.figures import MAX_DISKS, GuestFigures, HostFigures, HostFiguresTracker
from vmio.exporter.metrics import GUEST_METRICS, HOST_METRICS
from vmio.exporter.pages import render_page
from vmio.managers.discovery import RunningGuest
from vmio.observe.readings import Look
from vmio.observe.sample import DiskSample
from vmio.observe.verdicts.values import VerdictKind
from vmio.values import replace

MakeGuest = Callable[..., RunningGuest]
MakeLook = Callable[..., Look]
INTERVAL_S = 15
PAGE = Path(__file__).parents[3] / "docs" / "metrics.md"
OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"


def follow(*looks: Look) -> HostFigures:
    """Returns the figures of the last look."""
    tracker = HostFiguresTracker()
    return [tracker.add(each) for each in looks][-1]


def list_series(figures: HostFigures, accept: str = "") -> list[Series]:
    """Returns the series of figures, written and read again."""
    body, content_type = render_figures(figures, accept)
    is_open = content_type.startswith("application/openmetrics-text")
    parse: Callable[[str], Iterable[Family]] = (
        openmetrics.text_string_to_metric_families if is_open else text_string_to_metric_families
    )
    families = parse(body.decode())
    return [each for family in families for each in family.samples]


def find(series: Iterable[Series], name: str, **labels: str) -> float | None:
    """Returns the value of the only series with these labels, None if there is none."""
    found = [
        each.value
        for each in series
        if each.name == name and labels.items() <= each.labels.items()
    ]
    assert len(found) <= 1, found
    return found[0] if found else None


@pytest.fixture
def figures(make_guest: MakeGuest, make_look: MakeLook) -> HostFigures:
    """Returns the figures of a guest of Proxmox VE whose main loop is full."""
    guest = make_guest(manager="proxmox", number="172")
    return follow(*(make_look(at_s, guest) for at_s in (2, 4, 6)))


@pytest.mark.parametrize("accept", ["", OPENMETRICS])
def test_every_metric_of_the_table_is_exposed(figures: HostFigures, accept: str) -> None:
    """Nothing in the table, and so on its page, stays without a series."""
    found = {each.name for each in list_series(figures, accept)}
    expected = {
        f"{each.series}_bucket" if each.kind == "histogram" else each.series
        for each in (*GUEST_METRICS, *HOST_METRICS)
    }
    assert expected <= found
    assert "process_cpu_seconds_total" in found


@pytest.mark.parametrize("accept", ["", OPENMETRICS])
def test_figures_are_in_base_units_by_guest_thread_and_disk(
    figures: HostFigures, accept: str
) -> None:
    """Seconds and bytes; a guest has the name that its manager calls it by."""
    series = list_series(figures, accept)
    guest = {"guest": "172 web"}
    io0 = {**guest, "role": "iothread", "thread": "io0"}
    assert find(series, "vmio_guest_info", **guest, id="qemu/172", manager="proxmox") == 1
    assert find(series, "vmio_guest_start_time_seconds", **guest) == 992
    assert find(series, "vmio_thread_cpu_seconds_total", **io0, mode="user") == 1.08
    assert find(series, "vmio_thread_run_delay_seconds_total", **io0) == 0.06
    assert find(series, "vmio_thread_sleeps_total", **guest, role="pool", thread="") == 2400
    assert find(series, "vmio_disk_read_requests_total", **guest, disk="vd1") == 6000
    assert find(series, "vmio_disk_write_bytes_total", **guest, disk="vd1") == 6000 * 4096
    assert find(series, "vmio_disk_flush_time_seconds_total", **guest, disk="vd1") == 0.6
    limit = find(series, "vmio_disk_limit_requests_per_second", disk="vd0", operation="all")
    assert limit == 5000
    assert find(series, "vmio_iothread_poll_max_seconds", **guest, thread="io0") == 32768e-9
    polled = find(series, "vmio_iothread_poll_estimated_seconds_total", **guest, thread="io0")
    assert polled is not None
    assert 0.5 < polled < 0.8
    assert (
        find(
            series,
            "vmio_disk_info",
            **guest,
            disk="vd0",
            iothread="io0",
            driver="virtio-blk-pci",
            cache="none",
            aio="native",
        )
        == 1
    )


def test_latencies_are_those_of_the_time_of_the_exporter(figures: HostFigures) -> None:
    """Buckets are cumulative, and the sum is of the requests that were counted."""
    series = list_series(figures)
    disk = {"disk": "vd0", "operation": "read"}
    assert find(series, "vmio_disk_latency_seconds_count", **disk) == 4000
    assert find(series, "vmio_disk_latency_seconds_bucket", **disk, le="0.0001") == 0
    assert find(series, "vmio_disk_latency_seconds_bucket", **disk, le="0.001") == 4000
    assert find(series, "vmio_disk_latency_seconds_sum", **disk) == pytest.approx(0.4)


def test_verdict_is_a_series_while_it_is_in_force(
    make_guest: MakeGuest, make_look: MakeLook
) -> None:
    """A main loop that stays full has a verdict; one that rests has none."""
    kind: VerdictKind = "main-loop-full"
    guest = make_guest()
    full = [make_look(at_s, guest) for at_s in (2, 4, 6)]
    assert find(list_series(follow(*full)), "vmio_verdict", kind=kind, subject="main loop") == 1
    observation = full[-1].observations[0]
    assert observation.sample is not None
    rest = []
    for at_s in (8, 10, 12):
        sample = replace(
            observation.sample, monotonic_ns=at_s * 10**9 + 1, disks_monotonic_ns=None
        )
        rest.append(replace(full[-1], observations=(replace(observation, sample=sample),)))
    assert find(list_series(follow(*full, *rest)), "vmio_verdict", kind=kind) is None


def test_guest_whose_monitor_is_held_keeps_its_threads(
    make_guest: MakeGuest, make_look: MakeLook
) -> None:
    """Its disks have no series for the moment, and two metrics tell."""
    guest = make_guest()
    series = list_series(
        follow(make_look(2, guest), make_look(4, guest, monitor="held by another"))
    )
    assert find(series, "vmio_guest_sample_success", guest="web") == 0
    assert find(series, "vmio_guest_monitor_busy", guest="web") == 1
    assert find(series, "vmio_thread_sleeps_total", guest="web", role="main") == 800
    assert find(series, "vmio_disk_read_requests_total", disk="vd0") is None
    assert find(series, "vmio_disk_latency_seconds_count", disk="vd0", operation="read") is None


def test_guest_whose_monitor_is_not_to_be_asked_is_read(
    make_guest: MakeGuest, make_look: MakeLook
) -> None:
    """Another metric tells why it has no disks."""
    series = list_series(follow(make_look(2, make_guest(), monitor="not asked")))
    assert find(series, "vmio_guest_sample_success", guest="web") == 1
    assert find(series, "vmio_guest_monitor_usable", guest="web") == 0
    assert find(series, "vmio_disk_thread_info", disk="vd0", thread="io0") == 1


def test_guest_that_was_not_read_has_no_figures(
    make_guest: MakeGuest, make_look: MakeLook
) -> None:
    """It is there, and did not answer in time."""
    look = make_look(2, make_guest())
    late = replace(
        look,
        observations=(replace(look.observations[0], sample=None, problem="not read"),),
    )
    series = list_series(follow(look, late))
    assert find(series, "vmio_guest_sample_success", guest="web") == 0
    assert find(series, "vmio_guest_monitor_busy", guest="web") == 0
    assert not [each for each in series if each.name.startswith("vmio_thread")]


HOSTILE = (
    '"',
    "\\",
    "\n",
    'x"} 1\nvmio_up 0\n#',
    "\x1b[2J",
    "\0",
    "\u202e",
    "\udc80",
    "x" * 10**4,
)


@pytest.mark.parametrize("accept", ["", OPENMETRICS])
def test_hostile_names_are_values_of_labels_and_nothing_else(
    make_guest: MakeGuest, make_look: MakeLook, accept: str
) -> None:
    """Whatever a guest and its disks are called, each has its series and adds no other."""
    guests = [make_guest(name, pid=n) for n, name in enumerate(HOSTILE * 2, start=100)]
    look = make_look(2, *guests)
    observations = tuple(
        replace(
            each,
            sample=replace(
                each.sample,
                disks=tuple(replace(each.sample.disks[0], id=name) for name in HOSTILE),
            ),
        )
        for each in look.observations
        if each.sample is not None
    )
    series = list_series(follow(replace(look, observations=observations)), accept)
    shown = [each for each in series if each.name == "vmio_disk_read_requests_total"]
    assert len(shown) == len(guests) * len(HOSTILE)
    assert len({(each.labels["guest"], each.labels["disk"]) for each in shown}) == len(shown)
    assert not [each for each in series if each.name == "vmio_up"]
    assert all(value.isprintable() for each in series for value in each.labels.values())


def test_series_are_bounded_for_a_guest_with_disks_without_end(
    make_guest: MakeGuest, make_look: MakeLook
) -> None:
    """What a QEMU reports decides neither memory nor the size of a scrape."""
    figures = follow(make_look(2, make_guest(disks=1100)))
    families = {each.name: each.samples for each in FiguresCollector(figures).collect()}
    assert len(families["vmio_disk_read_requests"]) == MAX_DISKS
    assert [each.value for each in families["vmio_guest_disks"]] == [1100]


def test_no_series_is_exposed_twice(make_guest: MakeGuest, make_look: MakeLook) -> None:
    """Prometheus refuses a whole scrape for it: guests of one name have names of their own."""
    same = [make_guest(pid=n, started_ticks=n) for n in (1, 2, 3)]
    series = list_series(follow(make_look(2, *same), make_look(4, *same)))
    keys = [(each.name, *sorted(each.labels.items())) for each in series]
    assert len(set(keys)) == len(keys)


def test_names_follow_the_conventions() -> None:
    """One prefix, base units, no suffix that the kind adds, and never a process's number."""
    for each in (*GUEST_METRICS, *HOST_METRICS):
        assert re.fullmatch(r"vmio(_[a-z]+)+", each.name), each.name
        assert not re.search(r"_(total|info|count|sum|bucket|ns|us|ms|percent)\b", each.name)
        assert not {"pid", "tid", "le"} & set(each.labels)
        assert each.labels[:1] == (("guest",) if each in GUEST_METRICS else each.labels[:1])
        assert not each.help.endswith(".")


def test_page_is_that_of_the_table() -> None:
    """docs/metrics.md is what `make docs` writes."""
    assert PAGE.read_text(encoding="utf-8") == render_page(), "run `make docs`"


def test_memory_stays_over_an_hour_of_looks(make_guest: MakeGuest, make_look: MakeLook) -> None:
    """Looks at guests that come and go, as Prometheus asks for them, leave nothing behind."""

    def pass_time(tracker: HostFiguresTracker, looks: Iterable[int]) -> None:
        for number in looks:
            stays = make_guest("stays", pid=1)
            comes = make_guest(f"g{number // 5}", pid=1000 + number // 5)
            tracker.add(make_look(number * INTERVAL_S, stays, comes))

    tracker = HostFiguresTracker()
    pass_time(tracker, range(1, 20))
    tracemalloc.start()
    try:
        pass_time(tracker, range(20, 40))
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        pass_time(tracker, range(40, 40 + 3600 // INTERVAL_S))
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 50_000


def test_guest_that_vmio_fails_at_hides_no_other_guest(
    make_guest: MakeGuest, make_look: MakeLook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The metric that cannot be made of it is left out, and a person told once a scrape."""
    figures = follow(make_look(1, make_guest("forged"), make_guest("web", pid=101)))

    def fail(figures: GuestFigures) -> Sequence[tuple[str, DiskSample]]:
        if figures.name == "forged":
            raise KeyError("x")
        sample = figures.reading.observation.sample
        return [(each.id, each) for each in sample.disks] if sample is not None else []

    monkeypatch.setattr(GuestFigures, "disks", property(fail))
    told: list[str] = []
    body, _ = render_figures(figures, "", report=told.append)
    assert told == ["forged has no vmio_disk_read_requests, a bug in vmio: KeyError: 'x'"]
    text = body.decode()
    assert 'vmio_disk_read_requests_total{disk="vd0",guest="web"}' in text
    assert 'vmio_guest_info{domain="",guest="forged"' in text
