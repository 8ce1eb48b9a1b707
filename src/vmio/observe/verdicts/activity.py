"""A window's activity by event loop and by disk, as the verdicts need it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from msgspec import Struct

from vmio.model.iothread import MAIN_LOOP
from vmio.model.topology import AttachedDisk, Topology
from vmio.observe.rates import DiskRates, Rates, ThreadRates
from vmio.observe.verdicts.thresholds import WAITS
from vmio.observe.verdicts.values import GUEST, VerdictKind, Window

__all__ = ["Activity", "DiskActivity", "Held", "choose", "find_demand", "measure_window"]

Held = Collection[tuple[VerdictKind, str]]
"""The verdicts in force, by kind and subject: their thresholds are those that end them."""


class DiskActivity(Struct, frozen=True, kw_only=True):
    """A disk's activity, all kinds of operation together; None if not known."""

    rates: DiskRates
    loops: tuple[str, ...]
    """What serves it; empty for a disk that the layout does not have."""
    attached: AttachedDisk | None
    requests_per_s: float | None
    count: int | None
    """Requests completed in the window."""
    depth: float | None
    latency_ns: float | None


class Activity(Struct, frozen=True, kw_only=True):
    """A window's activity."""

    window: Window
    rates: Rates
    held: Held
    threads: tuple[ThreadRates, ...]
    """Event loops and vCPUs."""
    waits_from: float
    """Run delay, as a share of time, above which a thread waits for processors."""
    waiting: tuple[ThreadRates, ...]
    """Those that wait for processors, the longest first."""
    disks: tuple[DiskActivity, ...]

    def disks_of(self, loop: str) -> tuple[DiskActivity, ...]:
        """Returns the disks that a loop serves, alone or with others."""
        return tuple(each for each in self.disks if loop in each.loops)

    def find_thread(self, name: str) -> ThreadRates | None:
        """Returns the thread of an event loop."""
        return next(
            (each for each in self.threads if each.name == name and each.role != "vcpu"), None
        )

    def is_waiting(self, thread: ThreadRates) -> bool:
        """Returns whether a thread waits for processors, so that its own figures say little."""
        return thread in self.waiting

    def is_held(self, kind: VerdictKind, subject: str) -> bool:
        """Returns whether a verdict is in force."""
        return (kind, subject) in self.held


def measure_window(window: Window, rates: Rates, held: Held) -> Activity:
    """Returns a window's activity."""
    threads = tuple(
        each for each in rates.threads if each.role in {"main loop", "iothread", "vcpu"}
    )
    waits_from = choose(WAITS, is_held=("waits-for-processors", GUEST) in held)
    waiting = [each for each in threads if (each.run_delay_share or 0.0) > waits_from]
    return Activity(
        window=window,
        rates=rates,
        held=held,
        threads=threads,
        waits_from=waits_from,
        waiting=tuple(sorted(waiting, key=lambda each: -(each.run_delay_share or 0.0))),
        disks=tuple(_measure_disk(each, window.layout) for each in rates.disks),
    )


def choose(thresholds: tuple[float, float], *, is_held: bool) -> float:
    """Returns the threshold that begins a verdict, or the one that ends it if it is in force."""
    begins, ends = thresholds
    return ends if is_held else begins


def find_demand(thread: ThreadRates) -> float:
    """Returns the processors that a thread uses or waits for."""
    return thread.cpu_share + (thread.run_delay_share or 0.0)


def _measure_disk(rates: DiskRates, layout: Topology) -> DiskActivity:
    attached = layout.find_disk(rates.id)
    operations = (rates.reads, rates.writes, rates.flushes, rates.unmaps)
    count = _add([each.count for each in operations])
    depth = _add([each.depth_mean for each in operations])
    per_s = _add([each.operations_per_s for each in operations])
    return DiskActivity(
        rates=rates,
        loops=() if attached is None else layout.served_by(attached) or (MAIN_LOOP,),
        attached=attached,
        requests_per_s=per_s,
        count=None if count is None else int(count),
        depth=depth,
        latency_ns=depth / per_s * 1e9 if depth is not None and per_s else None,
    )


def _add(values: Sequence[float | None]) -> float | None:
    """Returns a sum over reads, writes and other kinds; None unless the first two are known."""
    if None in values[:2]:
        return None
    return sum(each for each in values if each is not None)
