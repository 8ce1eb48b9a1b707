"""Latency histograms that vmio has QEMU keep for a while, beside those that others have it keep.

A histogram may be somebody else's: libvirt sets those that its XML asks for, and exporters set
theirs. Setting one again clears it, and QEMU can only remove all of a disk's together. So only a
kind of requests that nobody counts is set; those of a disk are removed when all that are there are
vmio's and still as vmio set them; else they are left, which costs QEMU a binary search a request,
and said.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from vmio.errors import QmpError
from vmio.observe.disks import parse_disks
from vmio.observe.leftovers import HistogramNotes
from vmio.observe.percentiles import subtract_histograms
from vmio.observe.sample import DiskSample, Histogram
from vmio.qemu.histograms import HistogramKind, ask_to_count, ask_to_stop_counting
from vmio.qemu.qmp import CommandRefusedError
from vmio.qemu.questions import Asked, Question

__all__ = [
    "FINE_BOUNDARIES_NS",
    "HISTOGRAM_KINDS",
    "HistogramKeeper",
    "keep_histograms",
    "make_boundaries",
]

_TRIES: Final = 6
_PAUSE_S: Final = 0.25
"""Between two tries to remove them: a manager holds a monitor for moments."""
HISTOGRAM_KINDS: Final[tuple[HistogramKind, ...]] = ("reads", "writes", "flushes")


def make_boundaries(low_ns: int, high_ns: int, per_decade: int) -> tuple[int, ...]:
    """Returns boundaries in equal ratios, so many in each factor of ten.

    Raises:
        ValueError: They would be none, or too many to tell apart.
    """
    if not 0 < low_ns < high_ns or not 0 < per_decade <= low_ns:
        raise ValueError(f"{per_decade} boundaries for a factor of ten from {low_ns} ns")
    found: list[int] = []
    while not found or found[-1] < high_ns:
        found.append(min(high_ns, round(low_ns * 10 ** (len(found) / per_decade))))
    return tuple(found)


FINE_BOUNDARIES_NS: Final = make_boundaries(10_000, 10_000_000_000, 10)
"""Ten in a factor of ten, from 10 µs to 10 s: a quantile is known within 26 %."""


class HistogramKeeper:
    """Has QEMU count the latencies of a guest's disks; `keep_histograms` makes it.

    Args:
        monitor: The guest's.
        boundaries_ns: Of the histograms that nobody keeps yet.
        kinds: What is counted of each disk; without any, those that a killed vmio left are taken
            over, and nothing else.
        left: Where it is noted for the next vmio, should this one be killed; None for nowhere.
    """

    def __init__(
        self,
        monitor: Asked,
        boundaries_ns: Sequence[int],
        *,
        kinds: Sequence[HistogramKind] = HISTOGRAM_KINDS,
        left: HistogramNotes | None = None,
    ) -> None:
        self._monitor = monitor
        self._boundaries_ns = tuple(boundaries_ns)
        self._kinds = kinds
        self._left = left
        self._has_looked = False
        self.has_started = False
        """Whether all was set that could be."""
        self._ours: dict[tuple[str, HistogramKind], Histogram | None] = {}
        """As they were last seen, by the disk's `qdev`; None before that."""
        self.notes: tuple[str, ...] = ()
        """What could not be counted, and in the end what had to be left, a line each."""

    async def start(self) -> None:
        """Has the kinds of requests counted that nobody has counted yet.

        After a failure, or if it was cancelled, it may be called again.

        Raises:
            QmpError: The monitor does not answer, or not in kind.
        """
        async with self._monitor.conversation():
            disks = [each for each in await self._look() if each.qdev]
            self._take_over(disks)
            self._has_looked = True
            wanted = [
                (disk, kinds)
                for disk in disks
                if (kinds := [kind for kind in self._kinds if _find_histogram(disk, kind) is None])
            ]
            # Noted before they are set: what is cancelled meanwhile is looked at in the end.
            self._ours |= {(disk.qdev, kind): None for disk, kinds in wanted for kind in kinds}
            if self._left is not None and self._ours:
                self._left.write(self._boundaries_ns, self._ours)
            answers = await self._monitor.execute_all(
                [ask_to_count(disk.qdev, self._boundaries_ns, kinds) for disk, kinds in wanted]
            )
        for (disk, kinds), answer in zip(wanted, answers, strict=True):
            if isinstance(answer, CommandRefusedError):
                self.notes += (f"{disk.id}: no latencies are counted: {answer.message}",)
                for kind in kinds:
                    self._ours.pop((disk.qdev, kind))
        self.has_started = True

    def _take_over(self, disks: Iterable[DiskSample]) -> None:
        """Takes over what a killed vmio set and nobody has set with other boundaries since."""
        left = self._left.find_left(self._boundaries_ns) if self._left is not None else ()
        for disk in disks:
            for kind in HISTOGRAM_KINDS:
                key, found = (disk.qdev, kind), _find_histogram(disk, kind)
                if (
                    key in left
                    and found is not None
                    and self._boundaries_ns == found.boundaries_ns
                ):
                    self._ours[key] = found

    def note(self, disks: Iterable[DiskSample]) -> None:
        """Takes notice of a sample: what somebody has set again since is not vmio's any more."""
        for disk in disks:
            for kind in HISTOGRAM_KINDS:
                key = (disk.qdev, kind)
                found = _find_histogram(disk, kind)
                if key not in self._ours or found is None:
                    continue
                if self._is_ours(key, found):
                    self._ours[key] = found
                else:
                    self._ours.pop(key)

    def forget(self) -> None:
        """Takes notice that the guest has ended, and its histograms with it."""
        self._ours.clear()

    async def stop(self) -> None:
        """Removes what is still vmio's; `notes` says what had to be left.

        A monitor that others use is tried for about two seconds.
        """
        try:
            await self._try_to_remove()
        finally:
            if self._left is not None and self._has_looked:
                self._left.close(done=not self._ours)

    async def _try_to_remove(self) -> None:
        reason = ""
        for _ in range(_TRIES if self._ours else 0):
            try:
                async with self._monitor.conversation():
                    await self._remove()
            except QmpError as error:
                reason = error.message
                await asyncio.sleep(_PAUSE_S)
            else:
                return
        if self._ours:
            names = ", ".join(sorted({place for place, _ in self._ours}))
            self.notes += (f"the latency histograms of {names} could not be removed: {reason}",)

    async def _remove(self) -> None:
        if not self._ours:
            return
        disks = await self._look()
        self.note(disks)
        places: list[str] = []
        notes: list[str] = []
        for disk in disks:
            present = [kind for kind in HISTOGRAM_KINDS if _find_histogram(disk, kind) is not None]
            ours = [kind for kind in present if (disk.qdev, kind) in self._ours]
            if not ours:
                continue
            if ours == present and disk.zone_appends is None:
                places.append(disk.qdev)
            else:
                notes.append(
                    f"{disk.id}: the latency histogram of its {' and '.join(ours)} was left, since"
                    " QEMU would remove another one with it, which is somebody else's"
                )
        if places:
            # One that is refused is of a disk that has gone, and its histograms with it.
            await self._monitor.execute_all([ask_to_stop_counting(each) for each in places])
        self._ours.clear()
        self.notes += tuple(notes)

    async def _look(self) -> tuple[DiskSample, ...]:
        (stats,) = await self._monitor.execute_all([Question(command="query-blockstats")])
        if isinstance(stats, CommandRefusedError):
            raise stats
        return parse_disks(stats, self._monitor.name)

    def _is_ours(self, key: tuple[str, HistogramKind], found: Histogram) -> bool:
        last = self._ours[key]
        if last is None:
            return found.boundaries_ns == self._boundaries_ns
        return subtract_histograms(last, found) is not None


@asynccontextmanager
async def keep_histograms(
    monitor: Asked,
    *,
    boundaries_ns: Sequence[int] = FINE_BOUNDARIES_NS,
    kinds: Sequence[HistogramKind] = HISTOGRAM_KINDS,
    left: HistogramNotes | None = None,
) -> AsyncIterator[HistogramKeeper]:
    """Has QEMU count the latencies of a guest's disks while the body runs.

    The body shows each sample's disks to `HistogramKeeper.note`, so that a histogram that somebody
    sets meanwhile is noticed. A vmio that is killed leaves them to the next one, by its notes.

    Args:
        monitor: The guest's.
        boundaries_ns: Of the histograms that nobody keeps yet; those of others have their own.
        kinds: As for `HistogramKeeper`.
        left: The guest's notes, which are closed in the end if the monitor answered to begin with;
            None to leave none.

    Raises:
        QmpError: The monitor does not answer to begin with, or not in kind.
    """
    keeper = HistogramKeeper(monitor, boundaries_ns, kinds=kinds, left=left)
    try:
        await keeper.start()
        yield keeper
    finally:
        await keeper.stop()


def _find_histogram(disk: DiskSample, kind: HistogramKind) -> Histogram | None:
    match kind:
        case "reads":
            return disk.reads.histogram
        case "writes":
            return disk.writes.histogram
        case "flushes":
            return disk.flushes.histogram
