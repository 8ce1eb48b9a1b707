"""What a calibration makes of numbers, and that it refuses a busy host."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast

import pytest

from vmio.bench import calibrate
from vmio.bench.calibrate import check_idle, find_quantiles
from vmio.bench.jobs import Job
from vmio.bench.load import GuestCounts, LoadedGuest
from vmio.errors import GuestError, QmpError, ToolError
from vmio.host.timing import WaitCosts

BOUNDARIES = calibrate._BOUNDARIES_NS


def test_quantiles_are_those_of_the_histogram() -> None:
    """A uniform distribution over its bins has even quantiles, from 1 to 99 %."""
    boundaries = tuple(range(1_000, 11_000, 1_000))
    bins = [0, *[50] * 9, 0]
    found = find_quantiles(boundaries, bins)
    assert len(found) == 21
    assert found[0] == 1_090
    assert found[10] == 5_500
    assert found[-1] == 9_910


def test_quantiles_ascend_whatever_is_in_the_bins() -> None:
    """Empty bins, one full bin and the open bin at the end are all taken."""
    source = random.Random(4)  # noqa: S311 - for a histogram, not a secret
    boundaries = tuple(round(4_000 * 1.12**step) for step in range(90))
    for _ in range(200):
        bins = [source.choice((0, 0, 0, 1, 1000)) for _ in range(91)]
        bins[source.randrange(91)] += 30
        found = find_quantiles(boundaries, bins)
        assert len(found) == 21
        assert all(low <= high for low, high in pairwise(found))
        assert found[0] >= 1


def test_busy_host_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says how busy, and takes it as it is when it is told to."""
    monkeypatch.setattr(calibrate, "measure_busy", lambda: 1.4)
    with pytest.raises(ToolError, match=r"busy: other programs use 1\.4"):
        check_idle()
    assert check_idle(force=True) == 1.4


def test_rounds_have_all_loads_each_in_an_order_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No load has the same neighbours in each round, and the order is the same each time."""
    first = run_rounds(monkeypatch, 3)
    assert run_rounds(monkeypatch, 3) == first
    rounds = [first[at : at + 16] for at in (0, 16, 32)]
    assert len(first) == 48
    assert all(Counter(each) == Counter(rounds[0]) for each in rounds)
    assert len(set(rounds[0])) == 16
    neighbours = [set(pairwise(each)) for each in rounds]
    assert len(neighbours[0] & neighbours[1]) < 5
    assert len(neighbours[1] & neighbours[2]) < 5


def test_host_that_others_use_meanwhile_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the end of the round in which they did; what this program and the guest use is theirs."""
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr(calibrate, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    used = iter([0.0, 2.0, 2.0, 6.0])
    monkeypatch.setattr(calibrate, "read_others_s", lambda _: next(used))
    with pytest.raises(ToolError, match=r"busy: other programs used 0\.4"):
        run_rounds(monkeypatch, 3, even_if_busy=False)
    assert next(used, None) is None


def test_interrupts_are_those_of_a_run_a_request() -> None:
    """What the guest counted before is none of the run's; without a request nothing is divided."""
    figures = cast("Any", None)
    before = GuestCounts(interrupts=100, requests=1_000)
    after = GuestCounts(interrupts=150, requests=1_200)
    run = calibrate._Run(figures=figures, before=before, after=after)
    assert run.interrupts == 0.25
    assert calibrate._Run(figures=figures, before=before, after=before).interrupts == 0


@pytest.mark.parametrize("hangs", [0, 1, 2])
def test_guest_that_hangs_is_replaced_once(monkeypatch: pytest.MonkeyPatch, hangs: int) -> None:
    """What was measured of it counts for nothing; each guest is gone before the next is booted."""
    up: list[bool] = []
    left = iter([True] * hangs)

    @asynccontextmanager
    async def boot(*_: object, **__: object) -> AsyncIterator[None]:
        assert not any(up)
        up.append(True)
        try:
            yield
        finally:
            up[-1] = False

    async def measure(*_: object, **__: object) -> None:
        if next(left, False):
            raise GuestError("it hangs")
        raise ToolError("it was measured")

    monkeypatch.setattr(calibrate, "boot_guest", boot)
    monkeypatch.setattr(calibrate, "_measure", measure)
    told: list[str] = []
    anything = cast("Any", None)
    with pytest.raises(GuestError if hangs == 2 else ToolError):
        asyncio.run(
            calibrate.calibrate(
                anything, anything, aio="native",
                report=lambda progress: told.append(progress.words),
            )
        )  # fmt: skip
    assert up == [False] * min(2, hangs + 1)
    assert sum("hangs" in words for words in told) == min(1, hangs)


@pytest.mark.parametrize(
    ("stats", "error"),
    [
        (None, "no statistics of the guest's disk"),
        ({}, "does not report its latency histogram"),
        ({"boundaries": [1, 2], "bins": [50, 50, 50]}, "does not report its latency histogram"),
        (
            {"boundaries": [*BOUNDARIES], "bins": [50] * 90},
            "does not report its latency histogram",
        ),
        (
            {"boundaries": [*BOUNDARIES], "bins": [-1] * 91},
            "does not report its latency histogram",
        ),
        ({"boundaries": [*BOUNDARIES], "bins": [0] * 91}, "too few requests"),
        ({"boundaries": [*BOUNDARIES], "bins": [2] * 91}, ""),
    ],
)
def test_histogram_is_that_of_the_disk_or_none(stats: object, error: str) -> None:
    """With the boundaries that were set, and enough requests to say something."""
    entry = {
        "qdev": "/machine/peripheral/virtio0/virtio-backend" if stats is not None else "other",
        "stats": {"rd_latency_histogram": stats},
    }

    async def execute(_command: str) -> object:
        return [entry]

    qmp = SimpleNamespace(execute=execute, name="the monitor")
    loaded = cast("LoadedGuest", SimpleNamespace(process=SimpleNamespace(qmp=qmp)))
    if error:
        with pytest.raises((QmpError, ToolError), match=error):
            asyncio.run(calibrate._read_histogram(loaded, "virtio0"))
    else:
        assert asyncio.run(calibrate._read_histogram(loaded, "virtio0")) == (2,) * 91


def run_rounds(
    monkeypatch: pytest.MonkeyPatch, rounds: int, *, even_if_busy: bool = True
) -> list[tuple[object, ...]]:
    """Returns the loads that a guest is asked for: disk, polling and what fio does."""
    asked: list[tuple[object, ...]] = []
    polling: list[int] = []
    disks = {True: "virtio0", False: "virtio1"}

    async def set_polling(poll_max_ns: int) -> None:
        polling.append(poll_max_ns)

    async def count_interrupts() -> str:
        return "counts"

    async def run(job: Job, *, only: str) -> str:
        asked.append((only, polling[-1] if only == "virtio0" else None, job))
        return "figures"

    async def reset(_loaded: object, _disk: str) -> None:
        return

    async def read(_loaded: object, _disk: str) -> list[int]:
        return [0, *[50] * 89, 0]

    def find(_topology: object, *, polled: bool) -> object:
        return SimpleNamespace(disk=SimpleNamespace(id=disks[polled]))

    waits = WaitCosts(syscall_ns=1, wake_ns=2, sleep_ns=3)
    monkeypatch.setattr(calibrate, "measure_waits", lambda: waits)
    monkeypatch.setattr(calibrate, "_reset_histogram", reset)
    monkeypatch.setattr(calibrate, "_read_histogram", read)
    monkeypatch.setattr(calibrate, "_find_disk", find)
    process = SimpleNamespace(pid=None)
    loaded = SimpleNamespace(
        topology=None,
        set_polling=set_polling,
        run=run,
        count_interrupts=count_interrupts,
        process=process,
    )
    found, service, costs = asyncio.run(
        calibrate._measure(
            cast("LoadedGuest", loaded), rounds, lambda _: None, even_if_busy=even_if_busy
        )
    )
    assert all(len(runs) == rounds for runs in found.values())
    assert len(service) == 3
    assert costs == waits
    return asked
