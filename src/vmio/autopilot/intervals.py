"""Computes the activity of event loops between two looks at a guest; pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from vmio.autopilot.values import Interval, Load
from vmio.model.iothread import MAIN_LOOP
from vmio.model.topology import Topology
from vmio.observe.rates import OperationRates, compare_samples
from vmio.observe.readings import list_servers
from vmio.observe.sample import Sample

__all__ = ["Loops", "find_loops", "find_setting", "measure_interval"]

_NS: Final = 1e9


class Loops(Struct, frozen=True, kw_only=True):
    """Event loops that serve the same disks: none of them can be judged without the others."""

    iothreads: tuple[str, ...]
    disks: tuple[str, ...]


def find_loops(layout: Topology) -> tuple[Loops, ...]:
    """Returns the IOThreads with the disks that they alone serve, in the order of the disks.

    Those that share a disk, by a mapping of its queues, are together. A disk that the main loop
    serves as well is left out with its IOThreads: the main loop does not poll.
    """
    groups: list[tuple[set[str], list[str]]] = []
    for disk, servers in list_servers(layout).items():
        joined = [each for each in groups if each[0] & set(servers)]
        groups = [each for each in groups if each not in joined]
        groups.append(
            (
                set(servers).union(*(names for names, _ in joined)),
                [*(name for _, disks in joined for name in disks), disk],
            )
        )
    order = [each.id for each in layout.iothreads]
    return tuple(
        Loops(iothreads=tuple(each for each in order if each in names), disks=tuple(disks))
        for names, disks in groups
        if MAIN_LOOP not in names and names <= set(order)
    )


def find_setting(sample: Sample, loops: Loops) -> int | None:
    """Returns the `poll-max-ns` of event loops; None if it differs, or QEMU did not tell."""
    settings = {each.id: each.poll_max_ns for each in sample.iothreads}
    found = {settings.get(each) for each in loops.iothreads}
    return found.pop() if len(found) == 1 else None


def measure_interval(before: Sample, after: Sample, loops: Loops) -> Interval | None:
    """Returns what event loops did between two samples of their guest.

    None if the samples do not tell: a monitor was in use, a counter was reset, the disks or the
    threads are others.
    """
    setting = find_setting(after, loops)
    if setting is None or not before.disks or not after.disks:
        return None
    try:
        rates = compare_samples(before, after)
    except ValueError:
        return None
    disks = {each.id: each for each in rates.disks}
    threads = [each for each in rates.threads if each.name in loops.iothreads]
    if not set(loops.disks) <= disks.keys() or len(threads) != len(loops.iothreads):
        return None
    served = [disks[each] for each in loops.disks]
    kinds = [each for disk in served for each in (disk.reads, disk.writes, disk.flushes)]
    if any(each.count is None for each in kinds):
        return None
    transfers = [each for disk in served for each in (disk.reads, disk.writes)]
    requests = sum(each.count or 0 for each in kinds)
    cpu_share = sum(each.cpu_share for each in threads)
    waiting = [each for each in rates.threads if each.role == "vcpu"]
    return Interval(
        duration_s=rates.duration_s,
        poll_max_ns=setting,
        requests=requests,
        load=Load(
            requests_per_s=sum(each.operations_per_s or 0.0 for each in kinds),
            depth=sum(each.depth_mean or 0.0 for each in kinds),
        ),
        cpu_share=cpu_share,
        cpu_per_request_ns=cpu_share * rates.duration_s * _NS / requests if requests else 0.0,
        latency_mean_ns=_find_latency(transfers),
        run_delay_share=max(
            (each.run_delay_share or 0.0 for each in (*threads, *waiting)), default=0.0
        ),
        is_limited=any(each.binding for each in served),
    )


def _find_latency(kinds: Sequence[OperationRates]) -> float:
    """Returns the mean over all requests; 0 without any."""
    count = sum(each.count or 0 for each in kinds)
    total_ns = sum((each.latency_mean_ns or 0.0) * (each.count or 0) for each in kinds)
    return total_ns / count if count else 0.0
