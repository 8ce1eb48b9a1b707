"""Histograms that are set for a while, beside those that others have set."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from vmio.errors import QmpError
from vmio.observe import histograms
from vmio.observe.disks import parse_disks
from vmio.observe.histograms import HistogramKeeper, keep_histograms, make_boundaries
from vmio.observe.leftovers import open_notes
from vmio.qemu.qmp import CommandRefusedError
from vmio.qemu.questions import Question

OURS, THEIRS = (10, 100), (50, 500)
KEYS = {"boundaries-read": "rd", "boundaries-write": "wr", "boundaries-flush": "flush"}
Counted = dict[str, dict[str, list[int]]]


class Qemu:
    """Keeps histograms as QEMU does."""

    name = "the monitor"
    peer_pid: int | None = None

    def __init__(self, *disks: str) -> None:
        self.kept: dict[str, Counted] = {disk: {} for disk in disks}
        self.commands: list[dict[str, object]] = []
        self.refuses = False
        self.silent = 0

    @asynccontextmanager
    async def conversation(self) -> AsyncIterator[None]:
        """Nothing to do."""
        yield

    async def execute_all(self, questions: Sequence[Question]) -> tuple[Any, ...]:
        """Does what it is told, unless it is silent."""
        if self.silent:
            self.silent -= 1
            raise QmpError("it does not answer")
        return tuple(self.execute(each) for each in questions)

    def execute(self, question: Question) -> object:
        """Does one thing."""
        if question.command == "query-blockstats":
            return [
                {
                    "qdev": disk,
                    "stats": {f"{key}_latency_histogram": each for key, each in k.items()},
                }
                for disk, k in self.kept.items()
            ]
        assert question.command == "block-latency-histogram-set"
        arguments = dict(question.arguments)
        self.commands.append(dict(arguments))
        if self.refuses:
            return CommandRefusedError("no such thing", error_class="GenericError")
        kept = self.kept[str(arguments.pop("id"))]
        if not arguments:
            kept.clear()
        for argument, boundaries in arguments.items():
            assert isinstance(boundaries, list)
            self.set(kept, KEYS[argument], boundaries)
        return {}

    def set(self, kept: Counted, key: str, boundaries: Sequence[int]) -> None:
        """Begins to count at nothing."""
        kept[key] = {"boundaries": list(boundaries), "bins": [0] * (len(boundaries) + 1)}

    def work(self) -> None:
        """Has a request in each histogram."""
        for kept in self.kept.values():
            for each in kept.values():
                each["bins"][0] += 1


def run(
    qemu: Qemu, body: Callable[[HistogramKeeper], Awaitable[None]] | None = None
) -> tuple[str, ...]:
    """Keeps histograms while the body runs, and returns what was said of it."""

    async def main() -> tuple[str, ...]:
        async with keep_histograms(qemu, boundaries_ns=OURS) as keeper:
            qemu.work()
            if body is not None:
                await body(keeper)
        return keeper.notes

    return asyncio.run(main())


def show(qemu: Qemu, keeper: HistogramKeeper) -> None:
    """Shows the keeper a sample."""
    keeper.note(parse_disks(qemu.execute(Question(command="query-blockstats")), "m"))


def test_histograms_are_set_and_removed() -> None:
    """Of each disk all kinds, and nothing is left."""
    qemu = Qemu("vd0", "vd1")

    async def body(keeper: HistogramKeeper) -> None:
        show(qemu, keeper)
        for kept in qemu.kept.values():
            assert {key: each["boundaries"] for key, each in kept.items()} == {
                "rd": [10, 100],
                "wr": [10, 100],
                "flush": [10, 100],
            }

    assert run(qemu, body) == ()
    assert qemu.kept == {"vd0": {}, "vd1": {}}


def test_histograms_of_others_are_not_touched() -> None:
    """A disk that has all of them is not set, nor is anything of it removed."""
    qemu = Qemu("vd0")
    for key in KEYS.values():
        qemu.set(qemu.kept["vd0"], key, THEIRS)
    assert run(qemu) == ()
    assert qemu.commands == []
    assert qemu.kept["vd0"]["rd"] == {"boundaries": [50, 500], "bins": [1, 0, 0]}


def test_histograms_beside_another_are_left() -> None:
    """QEMU removes all of a disk together."""
    qemu = Qemu("vd0", "vd1")
    qemu.set(qemu.kept["vd0"], "wr", THEIRS)
    (note,) = run(qemu)
    assert note == (
        "vd0: the latency histogram of its reads and flushes was left, since QEMU would remove"
        " another one with it, which is somebody else's"
    )
    assert qemu.kept["vd0"]["wr"] == {"boundaries": [50, 500], "bins": [1, 0, 0]}
    assert qemu.kept["vd1"] == {}


@pytest.mark.parametrize("boundaries", [THEIRS, OURS])
@pytest.mark.parametrize("shown", [False, True])
def test_histogram_that_somebody_set_again_is_theirs(
    boundaries: tuple[int, ...], *, shown: bool
) -> None:
    """By its boundaries, or by counts that fell."""
    qemu = Qemu("vd0")

    async def body(keeper: HistogramKeeper) -> None:
        show(qemu, keeper)
        for key in KEYS.values():
            qemu.set(qemu.kept["vd0"], key, boundaries)
        if shown:
            show(qemu, keeper)
            qemu.work()

    assert run(qemu, body) == ()
    assert len(qemu.commands) == 1
    assert set(qemu.kept["vd0"]) == {"rd", "wr", "flush"}


def test_histogram_of_a_kind_that_nobody_sets_here_is_anothers() -> None:
    """Of appends to a zone."""
    qemu = Qemu("vd0")

    async def body(_: HistogramKeeper) -> None:
        qemu.set(qemu.kept["vd0"], "zone_append", OURS)

    assert len(run(qemu, body)) == 1
    assert "zone_append" in qemu.kept["vd0"]


def test_disk_that_keeps_none_is_said() -> None:
    """And nothing of it is removed."""
    qemu = Qemu("vd0")
    qemu.refuses = True
    assert run(qemu) == ("vd0: no latencies are counted: no such thing",)
    assert len(qemu.commands) == 1


def test_disk_that_is_gone_is_no_error() -> None:
    """Its histograms went with it."""
    qemu = Qemu("vd0", "vd1")

    async def body(_: HistogramKeeper) -> None:
        qemu.kept.pop("vd1")

    assert run(qemu, body) == ()
    assert qemu.kept == {"vd0": {}}


@pytest.mark.parametrize(("silent", "left"), [(2, False), (100, True)])
def test_monitor_that_does_not_answer_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, silent: int, *, left: bool
) -> None:
    """For a moment; then it is said that histograms were left."""
    monkeypatch.setattr(histograms, "_PAUSE_S", 0.0)
    qemu = Qemu("vd0")

    async def body(_: HistogramKeeper) -> None:
        qemu.silent = silent

    assert (len(run(qemu, body)) == 1) is left
    assert bool(qemu.kept["vd0"]) is left


def test_histograms_are_removed_whatever_ends_the_body() -> None:
    """An error, or being cancelled."""
    qemu = Qemu("vd0")

    async def main() -> None:
        with pytest.raises(LookupError):
            async with keep_histograms(qemu, boundaries_ns=OURS):
                raise LookupError
        assert qemu.kept == {"vd0": {}}

        async def wait() -> None:
            async with keep_histograms(qemu, boundaries_ns=OURS):
                await asyncio.sleep(60)

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        assert qemu.kept["vd0"]
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert qemu.kept == {"vd0": {}}


def test_boundaries_are_in_equal_ratios() -> None:
    """Ten in a factor of ten, with both ends."""
    found = make_boundaries(10_000, 10_000_000_000, 10)
    assert (len(found), found[0], found[10], found[-1]) == (61, 10_000, 100_000, 10_000_000_000)
    ratios = [high / low for low, high in pairwise(found)]
    assert max(ratios) == pytest.approx(10**0.1, rel=1e-4)


@pytest.mark.parametrize(("low", "high", "count"), [(0, 1, 1), (5, 5, 1), (5, 9, 0), (1, 9, 10)])
def test_boundaries_that_are_none_are_refused(low: int, high: int, count: int) -> None:
    """Or that would be the same number twice."""
    with pytest.raises(ValueError, match="boundaries"):
        make_boundaries(low, high, count)


def test_histograms_of_a_killed_vmio_are_removed(tmp_path: Path) -> None:
    """As far as they are still as it set them; without a wish for any, none is set."""
    qemu = Qemu("vd0", "vd1")

    async def main() -> None:
        written = open_notes(1, 1, folder=tmp_path)
        await HistogramKeeper(qemu, OURS, left=written).start()
        qemu.set(qemu.kept["vd1"], "rd", THEIRS)
        qemu.commands.clear()
        written.close(done=False)  # as the kernel does for it
        notes = open_notes(1, 1, folder=tmp_path)
        async with keep_histograms(qemu, boundaries_ns=OURS, kinds=(), left=notes) as keeper:
            assert qemu.commands == []
            qemu.work()
            show(qemu, keeper)
        assert qemu.kept["vd0"] == {}
        assert {key: each["boundaries"][0] for key, each in qemu.kept["vd1"].items()} == {
            "rd": 50,
            "wr": 10,
            "flush": 10,
        }
        assert [each[:4] for each in keeper.notes] == ["vd1:"]

    asyncio.run(main())
    assert [*tmp_path.iterdir()] == []


def test_notes_of_a_killed_vmio_outlast_a_monitor_that_does_not_answer(tmp_path: Path) -> None:
    """The next try has them, or the next vmio."""
    qemu = Qemu("vd0")
    notes = open_notes(1, 1, folder=tmp_path)
    notes.write(OURS, {("vd0", "reads")})
    notes.close(done=False)
    notes = open_notes(1, 1, folder=tmp_path)
    qemu.silent = 100

    async def main() -> None:
        with pytest.raises(QmpError):
            async with keep_histograms(qemu, boundaries_ns=OURS, left=notes):
                pass
        qemu.silent = 0
        qemu.set(qemu.kept["vd0"], "rd", OURS)
        async with keep_histograms(qemu, boundaries_ns=OURS, left=notes):
            pass

    asyncio.run(main())
    assert qemu.kept == {"vd0": {}}
    assert [*tmp_path.iterdir()] == []
