"""What bench/accuracy.py measures, in which order, and what it makes of numbers."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from vmio.bench.jobs import Job
from vmio.bench.load import LoopFigures, RunFigures
from vmio.errors import GuestError
from vmio.model.host import Host
from vmio.model.version import parse_version

PATH = Path(__file__).parents[3] / "bench/accuracy.py"


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    """The program, which is no module of a package."""
    spec = importlib.util.spec_from_file_location("accuracy", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["accuracy"] = module
    spec.loader.exec_module(module)
    return module


class Stage:
    """Guests that only count what is asked of them."""

    def __init__(self) -> None:
        self.booted: list[tuple[int, bool]] = []
        """Disks of each guest, and whether they have IOThreads."""
        self.up = 0
        self.on: set[int] = set()
        self.runs: list[tuple[int, int, int | None]] = []
        """Guest, depth and polling."""
        self.hanging: set[int] = set()

    @asynccontextmanager
    async def boot(self, _guest: object, topology: Any, _how: object) -> AsyncIterator[Any]:  # noqa: ANN401
        """Stands in for `boot_guest`."""
        number = len(self.booted)
        self.booted.append((len(topology.disks), bool(topology.iothreads)))
        self.up += 1
        self.on.add(number)
        polling: list[int] = []

        @asynccontextmanager
        async def running() -> AsyncIterator[None]:
            self.on.add(number)
            yield
            self.on.remove(number)

        async def stop() -> None:
            self.on.remove(number)

        async def set_polling(poll: int) -> None:
            polling.append(poll)

        async def run(job: Job) -> RunFigures:
            assert self.on == {number}
            if number in self.hanging:
                self.hanging.remove(number)
                raise GuestError("it hangs")
            self.runs.append((number, job.iodepth, polling[-1] if polling else None))
            loop = LoopFigures(name="x", cpu_share=0.5, sleeps_per_s=10.0)
            return RunFigures(
                iops=100.0,
                latency_mean_ns=1.0,
                iothreads=(loop,) if topology.iothreads else (),
                main_loop=loop,
                vcpu_cpu_share=0.5,
                interrupted=0.0,
            )

        try:
            yield SimpleNamespace(running=running, stop=stop, set_polling=set_polling, run=run)
        finally:
            self.on.discard(number)
            self.up -= 1


def measure(bench: ModuleType, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Measures three rounds of `unseen`, and checks that nothing is left."""
    monkeypatch.setattr(bench, "boot_guest", stage.boot)
    kept: list[int] = []

    def keep(found: list[Any]) -> None:
        assert len({len(each.iops) for each in found}) == 1
        kept.append(len(found[0].iops))

    host = Host(qemu_version=parse_version("10.0.2"))
    found = asyncio.run(bench.measure(bench.SETTINGS["unseen"], host, None, rounds=3, keep=keep))
    assert kept == [1, 2, 3]
    assert stage.up == 0
    return list(found)


def test_each_round_goes_over_all_settings_in_another_order(
    bench: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four guests are up at once, one runs; settings of layouts are mixed; the order is fixed."""
    stage, again = Stage(), Stage()
    found = measure(bench, stage, monkeypatch)
    assert len(found) == 39
    assert stage.booted == [(1, True), (2, True), (3, True), (2, False)]
    rounds = [stage.runs[at : at + 39] for at in (0, 39, 78)]
    assert len(stage.runs) == 117
    assert all(Counter(each) == Counter(rounds[0]) for each in rounds)
    assert len(set(rounds[0])) == 39
    assert rounds[0] != rounds[1] != rounds[2] != rounds[0]
    changes = [sum(a[0] != b[0] for a, b in pairwise(each)) for each in rounds]
    assert min(changes) > 15
    measure(bench, again, monkeypatch)
    assert again.runs == stage.runs


def test_guest_that_hangs_is_booted_again_and_its_run_repeated(
    bench: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else is measured again."""
    stage = Stage()
    stage.hanging = {1}
    found = measure(bench, stage, monkeypatch)
    assert stage.booted == [(1, True), (2, True), (3, True), (2, False), (2, True)]
    assert len(stage.runs) == 117
    assert all(len(each.iops) == len(each.cpu_share) == len(each.sleeps) == 3 for each in found)


def test_guest_that_hangs_twice_ends_it(
    bench: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A guest that hangs in the same run again does not come to an answer."""
    stage = Stage()
    stage.hanging = {1, 4}
    with pytest.raises(GuestError):
        measure(bench, stage, monkeypatch)
    assert stage.up == 0


def compare(bench: ModuleType, one: list[float], other: list[float]) -> tuple[int, int]:
    """Compares two layouts of which the first is predicted to be faster."""

    def make(layout: str, iops: list[float], said: float) -> Any:  # noqa: ANN401
        seen = bench.Measured(
            layout=layout, depth=1, poll_max_ns=0, iops=iops, cpu_share=[], sleeps=[]
        )
        return bench.Compared(seen=seen, said=SimpleNamespace(iops=SimpleNamespace(mean=said)))

    return tuple(
        bench.compare_layouts(
            [
                make("two disks, own IOThreads", one, 2.0),
                make("two disks, one IOThread", other, 1.0),
            ]
        )
    )


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        # The host becomes half as fast, and both with it.
        ([2000.0, 1500.0, 1000.0], [1900.0, 1410.0, 890.0], (1, 1)),
        ([1900.0, 1410.0, 890.0], [2000.0, 1500.0, 1000.0], (1, 0)),
        # As far apart on average, but in no round alike.
        ([2000.0, 1500.0, 1000.0], [1000.0, 2000.0, 1200.0], (0, 0)),
        ([2000.0, 1500.0, 1000.0], [2000.0, 1500.0, 1000.0], (0, 0)),
    ],
)
def test_layouts_differ_by_their_differences_within_rounds(
    bench: ModuleType, one: list[float], other: list[float], told: tuple[int, int]
) -> None:
    """What drifts in both alike hides no difference."""
    assert compare(bench, one, other) == told


def test_of_many_pairs_at_once_hardly_any_differs_by_chance(bench: ModuleType) -> None:
    """A difference that one pair shows is none where it was looked for in many."""
    rounds = [90.0, 60.0, 130.0]
    assert bench.spread(rounds) < 95 < bench.spread(rounds, pairs=10)
    assert bench.spread(rounds, pairs=1) == bench.spread(rounds)
